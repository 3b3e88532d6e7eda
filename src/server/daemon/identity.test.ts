import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { assumeIdentity, findIdentity } from './identity.js'

describe('findIdentity', () => {
  test('finds a user with its own group, or with another', () => {
    assert.equal(findIdentity(undefined, undefined), null)
    assert.deepEqual(findIdentity('root', undefined), { user: 'root', uid: 0, gid: 0 })
    const daemon = findIdentity(undefined, 'daemon')
    assert.ok(daemon !== null && daemon.gid > 0)
    assert.deepEqual(daemon, { user: undefined, uid: undefined, gid: daemon.gid })
    assert.deepEqual(findIdentity('root', 'daemon'), { user: 'root', uid: 0, gid: daemon.gid })
  })

  test('refuses names that do not exist, whole and to the letter', () => {
    const cases = [
      ['user', 'nosuch', undefined],
      ['user', 'roo', undefined],
      ['user', 'root:x', undefined],
      ['user', '', undefined],
      ['group', undefined, 'nosuch'],
    ] as const
    for (const [key, user, group] of cases) {
      const file = key === 'user' ? '/etc/passwd' : '/etc/group'
      assert.throws(() => findIdentity(user, group), {
        code: 'PGR_CONFIGURATION_INVALID',
        message: `${key}: got ${JSON.stringify(user ?? group)}; expected a ${key} of ${file}`,
      })
    }
  })
})

describe('assumeIdentity', () => {
  test('says so when the process may not, and stays who it is', () => {
    const [uid, gid] = [process.getuid!(), process.getgid!()]
    const isRoot = uid === 0
    if (isRoot) process.seteuid!(uid + 1)
    try {
      for (const [user, message] of [
        ['daemon', 'user: cannot become daemon, which only root can: operation not permitted'],
        [
          undefined,
          `group: cannot become group ${gid + 1}, which only root can: operation not permitted`,
        ],
      ] as const) {
        const other = user === undefined ? undefined : uid + 1
        assert.throws(
          () => {
            assumeIdentity({ user, uid: other, gid: gid + 1 })
          },
          { code: 'PGR_CONFIGURATION_INVALID', message },
        )
      }
    } finally {
      if (isRoot) process.seteuid!(0)
    }
    assert.deepEqual([process.getuid!(), process.getgid!()], [uid, gid])
  })

  test('does nothing when the process is that user already', () => {
    const [uid, gid] = [process.getuid!(), process.getgid!()]
    assumeIdentity({ user: 'whatever it is called', uid, gid })
    assumeIdentity({ user: undefined, uid: undefined, gid })
    assert.deepEqual([process.getuid!(), process.getgid!()], [uid, gid])
  })
})
