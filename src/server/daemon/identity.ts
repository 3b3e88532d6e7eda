/** The user and group that a daemon becomes once it has bound what only root may bind. */
import { readFileSync } from 'node:fs'
import { settingProblem, withSetting } from './setting-problem.js'

/** Who to become. */
export interface Identity {
  /** Name of the user; `undefined` when only the group changes. */
  readonly user: string | undefined
  readonly uid: number | undefined
  readonly gid: number
}

/**
 * Looks up what `user` and `group` say; a user without a group has the one of its own.
 * @returns `null` when both are absent: the daemon stays who started it.
 * @throws {@link ProxyError} `PGR_CONFIGURATION_INVALID` when one does not exist.
 */
export function findIdentity(user: string | undefined, group: string | undefined): Identity | null {
  const named = user === undefined ? undefined : lookUp('user', user, '/etc/passwd')
  const grouped = group === undefined ? undefined : lookUp('group', group, '/etc/group')
  const gid = grouped?.[0] ?? named?.[1]
  return gid === undefined ? null : { user, uid: named?.[0], gid }
}

/**
 * Becomes `identity`, with the supplementary groups of the user; there is no way back.
 * @throws {@link ProxyError} `PGR_CONFIGURATION_INVALID` when this process may not.
 */
export function assumeIdentity({ user, uid, gid }: Identity): void {
  const isUser = uid === undefined || process.getuid?.() === uid
  if (isUser && process.getgid?.() === gid) return
  const key = user === undefined ? 'group' : 'user'
  withSetting(key, `cannot become ${user ?? `group ${gid}`}, which only root can`, () => {
    // The order matters: without its user id root may no longer change its groups.
    if (user !== undefined) (process as GroupSetter).initgroups(user, gid)
    process.setgid!(gid)
    if (uid !== undefined) process.setuid!(uid)
  })
}

/** A call of Node's on Unix that its type declarations have forgotten. */
type GroupSetter = typeof process & { initgroups(user: string, extraGroup: number): void }

/** The numbers of the line of `name`: both files have them in the third and fourth column. */
function lookUp(key: string, name: string, file: string): readonly [number, number] {
  const rows = withSetting(key, `${file} cannot be read`, () => readFileSync(file, 'utf8'))
  const columns = rows.split('\n').map((row) => row.split(':'))
  const own = columns.find((row) => row[0] === name && /^\d+$/.test(row[2] ?? ''))
  if (own === undefined || name === '') {
    throw settingProblem(key, `got ${JSON.stringify(name)}; expected a ${key} of ${file}`)
  }
  return [Number(own[2]), Number(own[3])]
}
