/** CPU time and resident memory of processes, from Linux's /proc; undefined on other systems. */
import { readFileSync, readdirSync, writeFileSync } from 'node:fs'

/** CPU time spent since the process began, over all of its threads. */
export interface CpuTime {
  readonly totalUs: number
  readonly userTicks: number
  readonly systemTicks: number
}

/** CPU time of one window of a run. */
export interface CpuUse {
  readonly totalUs: number
  readonly userUs: number
  readonly systemUs: number
}

/** Direct children of a process, such as the workers of an nginx master. */
export function childrenOf(pid: number): number[] {
  const text = readText(`/proc/${pid}/task/${pid}/children`) ?? ''
  return text.split(' ').filter(Boolean).map(Number)
}

/** The sum over `pids`; undefined where /proc is absent or a process is gone. */
export function cpuTime(pids: readonly number[]): CpuTime | undefined {
  let totalUs = 0
  let userTicks = 0
  let systemTicks = 0
  for (const pid of pids) {
    const stat = readText(`/proc/${pid}/stat`)
    if (stat === undefined) return undefined
    // The second field is the program's name in parentheses, which may itself hold blanks.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    const user = Number(fields[11])
    const system = Number(fields[12])
    userTicks += user
    systemTicks += system
    totalUs += scheduledUs(pid) ?? (user + system) * US_PER_TICK
  }
  return { totalUs, userTicks, systemTicks }
}

/**
 * What was spent between two readings. The sum is exact to the scheduler's nanoseconds; how it
 * divides into user and system follows the kernel's ticks, which are coarse but fair over seconds.
 */
export function cpuBetween(before: CpuTime, after: CpuTime): CpuUse {
  const totalUs = after.totalUs - before.totalUs
  const user = after.userTicks - before.userTicks
  const system = after.systemTicks - before.systemTicks
  const userUs = user + system === 0 ? 0 : (totalUs * user) / (user + system)
  return { totalUs, userUs, systemUs: totalUs - userUs }
}

/** Resident memory in KiB, summed over `pids`. */
export function residentKiB(pids: readonly number[]): number | undefined {
  return sumOfStatus(pids, 'VmRSS')
}

/** Highest resident memory in KiB since the process began or {@link resetPeak} was called. */
export function peakResidentKiB(pids: readonly number[]): number | undefined {
  return sumOfStatus(pids, 'VmHWM')
}

/** Starts a new peak reading from the present resident memory. */
export function resetPeak(pids: readonly number[]): void {
  for (const pid of pids) writeFileSync(`/proc/${pid}/clear_refs`, '5')
}

function scheduledUs(pid: number): number | undefined {
  let nanoseconds = 0
  for (const thread of readNames(`/proc/${pid}/task`)) {
    const text = readText(`/proc/${pid}/task/${thread}/schedstat`)
    if (text === undefined) return undefined
    nanoseconds += Number(text.split(' ')[0])
  }
  return nanoseconds > 0 ? nanoseconds / 1_000 : undefined
}

function sumOfStatus(pids: readonly number[], key: string): number | undefined {
  let sum = 0
  for (const pid of pids) {
    const match = new RegExp(`^${key}:\\s+(\\d+) kB`, 'm').exec(
      readText(`/proc/${pid}/status`) ?? '',
    )
    if (match === null) return undefined
    sum += Number(match[1])
  }
  return sum
}

function readText(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return undefined
  }
}

function readNames(path: string): string[] {
  try {
    return readdirSync(path)
  } catch {
    return []
  }
}

// USER_HZ, the unit of /proc/PID/stat, is 100 on every platform that Node is built for.
const US_PER_TICK = 10_000
