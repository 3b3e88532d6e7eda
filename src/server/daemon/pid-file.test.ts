import assert from 'node:assert/strict'
import { existsSync, readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { writePidFile } from './pid-file.js'
import { temporaryFolder } from '../../../test/helpers/temporary-folder.js'

describe('writePidFile', () => {
  test('writes the id for everybody to read, and keeps an older file', (t) => {
    const path = join(temporaryFolder(t), 'a.pid')
    writeFileSync(path, '1\n')
    writePidFile(path, null)
    assert.equal(readFileSync(path, 'utf8'), `${process.pid}\n`)
    assert.equal(statSync(path).mode & 0o777, 0o644)
    assert.equal(readFileSync(`${path}.old`, 'utf8'), '1\n')
  })

  test('writes to no file that a link leads to', (t) => {
    const folder = temporaryFolder(t)
    const [path, trap] = [join(folder, 'a.pid'), join(folder, 'trap')]
    writeFileSync(trap, 'precious')
    symlinkSync(trap, path)
    writePidFile(path, null)
    assert.equal(readFileSync(trap, 'utf8'), 'precious')
    assert.equal(readFileSync(path, 'utf8'), `${process.pid}\n`)
  })

  test('says which key and file, and why', () => {
    assert.throws(
      () => {
        writePidFile('/nonexistent/a.pid', null)
      },
      { message: 'pid_file: /nonexistent/a.pid cannot be written: no such file or directory' },
    )
    assert.ok(!existsSync('/nonexistent'))
  })
})
