/** Descriptors from one process to another, over a unix socket (`SCM_RIGHTS`, man unix(7)). */
import { constants } from 'node:os'
import type { Libc } from './libc.js'
import { Memory } from './memory.js'

/** What came with one message. */
export interface PassedDescriptors {
  readonly bytes: Buffer
  /** Open, and ours to close. */
  readonly fds: readonly number[]
}

/** The kernel passes no more with one message (`SCM_MAX_FD`). */
export const MAX_PASSED_DESCRIPTORS = 253

/**
 * Sends `bytes`, at least one, with `fds`. Waits where the socket is blocking.
 * @returns the bytes taken, or a negative errno.
 */
export function sendDescriptors(
  libc: Libc,
  socket: number,
  bytes: Uint8Array,
  fds: readonly number[],
): number {
  const control = Memory.allocate(libc, controlBytes(fds.length))
  control.bytes.writeUInt32LE(CONTROL_HEADER_BYTES + 4 * fds.length, 0)
  control.bytes.writeInt32LE(SOL_SOCKET, 8)
  control.bytes.writeInt32LE(SCM_RIGHTS, 12)
  for (const [index, fd] of fds.entries()) {
    control.bytes.writeInt32LE(fd, CONTROL_HEADER_BYTES + 4 * index)
  }
  const data = Memory.allocate(libc, bytes.length)
  data.bytes.set(bytes)
  const message = messageOf(libc, data, fds.length === 0 ? null : control)
  const sent = libc.sendmsg(socket, message.bytes, MSG_NOSIGNAL)
  return sent < 0 ? -libc.errno() : sent
}

/**
 * Receives what one message brings, up to `maxBytes` of it.
 * @returns a negative errno when there is nothing; no bytes at the end of the stream. Descriptors
 * that had no room are `-EMSGSIZE`, and those that had are closed.
 */
export function receiveDescriptors(
  libc: Libc,
  socket: number,
  maxBytes: number,
): PassedDescriptors | number {
  const control = Memory.allocate(libc, controlBytes(MAX_PASSED_DESCRIPTORS))
  const data = Memory.allocate(libc, maxBytes)
  const message = messageOf(libc, data, control)
  const received = libc.recvmsg(socket, message.bytes, MSG_CMSG_CLOEXEC)
  if (received < 0) return -libc.errno()
  const fds = descriptorsIn(control.bytes, message.bytes.readUInt32LE(40))
  if ((message.bytes.readInt32LE(48) & MSG_CTRUNC) !== 0) {
    for (const fd of fds) libc.close(fd)
    return -constants.errno.EMSGSIZE
  }
  return { bytes: data.bytes.subarray(0, received), fds }
}

/** The descriptors of all control messages within the first `length` bytes. */
function descriptorsIn(control: Buffer, length: number): number[] {
  const fds: number[] = []
  for (let at = 0; at + CONTROL_HEADER_BYTES <= length;) {
    const messageBytes = control.readUInt32LE(at)
    if (messageBytes < CONTROL_HEADER_BYTES) break
    const isRights =
      control.readInt32LE(at + 8) === SOL_SOCKET && control.readInt32LE(at + 12) === SCM_RIGHTS
    const end = Math.min(at + messageBytes, length)
    for (let fd = at + CONTROL_HEADER_BYTES; isRights && fd + 4 <= end; fd += 4) {
      fds.push(control.readInt32LE(fd))
    }
    at += aligned(messageBytes)
  }
  return fds
}

/** `struct msghdr` and the one `struct iovec` behind it, for 64-bit Linux. */
function messageOf(libc: Libc, data: Memory, control: Memory | null): Memory {
  const message = Memory.allocate(libc, MESSAGE_BYTES + 16)
  const { bytes, address } = message
  bytes.writeBigUInt64LE(BigInt(address + MESSAGE_BYTES), 16)
  bytes.writeBigUInt64LE(1n, 24)
  bytes.writeBigUInt64LE(BigInt(control?.address ?? 0), 32)
  bytes.writeBigUInt64LE(BigInt(control?.bytes.length ?? 0), 40)
  bytes.writeBigUInt64LE(BigInt(data.address), MESSAGE_BYTES)
  bytes.writeBigUInt64LE(BigInt(data.bytes.length), MESSAGE_BYTES + 8)
  return message
}

function controlBytes(descriptors: number): number {
  return aligned(CONTROL_HEADER_BYTES + 4 * descriptors)
}

function aligned(bytes: number): number {
  return (bytes + 7) & ~7
}

const CONTROL_HEADER_BYTES = 16
const MESSAGE_BYTES = 56
const SOL_SOCKET = 1
const SCM_RIGHTS = 1
const MSG_CTRUNC = 0x8
const MSG_NOSIGNAL = 0x4000
const MSG_CMSG_CLOEXEC = 0x40000000
