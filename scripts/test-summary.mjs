/** A `node:test` reporter that writes one JSON object: what passed, failed and was skipped. */

/** Suites are groups of tests, not tests; only the leaves and their parents of type test count. */
const isSuite = (data) => data.details?.type === 'suite'

/** The runner reports a file without any test as one passed test that is named after the file. */
const isEmptyFile = (data) => data.nesting === 0 && data.name === data.file

export default async function* summary(events) {
  const passed = []
  const failed = []
  const skipped = []
  for await (const { type, data } of events) {
    if ((type !== 'test:pass' && type !== 'test:fail') || isSuite(data)) continue
    const entry = { name: data.name, file: data.file }
    if (data.skip !== undefined) skipped.push({ ...entry, reason: data.skip })
    else if (data.todo !== undefined) skipped.push({ ...entry, reason: `to do: ${data.todo}` })
    else if (type === 'test:fail') failed.push(entry)
    else if (isEmptyFile(data)) failed.push({ ...entry, reason: 'the file holds no test' })
    else passed.push(entry)
  }
  yield JSON.stringify({ passed: passed.length, failed, skipped })
}
