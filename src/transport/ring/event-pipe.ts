/** Waits for an eventfd in Node's event loop, through the handle below pipes. */

/** Calls back when the eventfd was signalled. */
export interface EventPipe {
  onWake: () => void
  /** Keeps the process alive. */
  ref(): void
  /** Lets the process end. */
  unref(): void
}

/** The eventfd in the event loop, or `null` when this Node does not have pipes as we know them. */
export function loadPipe(eventFd: number): EventPipe | null {
  try {
    return open(eventFd)
  } catch {
    return null
  }
}

function open(eventFd: number): EventPipe | null {
  // eslint-disable-next-line no-restricted-globals -- there is no other way to wait for a descriptor
  const { binding } = process as unknown as { binding?: (name: 'pipe_wrap') => PipeBinding }
  if (binding === undefined) return null
  const { Pipe, constants } = binding('pipe_wrap')
  const handle = new Pipe(constants.SOCKET)
  handle.open(eventFd)
  // Each read takes the eventfd's counter; the number in it means nothing.
  const memory = new Uint8Array(new ArrayBuffer(COUNTER_BYTES))
  handle.useUserBuffer(memory)
  const pipe: EventPipe & { readonly memory: Uint8Array } = {
    memory,
    onWake: () => undefined,
    ref: () => {
      handle.ref()
    },
    unref: () => {
      handle.unref()
    },
  }
  handle.onread = () => {
    pipe.onWake()
  }
  return handle.readStart() === 0 ? pipe : null
}

interface PipeBinding {
  readonly Pipe: new (kind: number) => PipeHandle
  readonly constants: { readonly SOCKET: number }
}

interface PipeHandle {
  onread: () => void
  open(fd: number): void
  useUserBuffer(memory: Uint8Array): void
  readStart(): number
  ref(): void
  unref(): void
}

const COUNTER_BYTES = 8
