/** `pingora-ts/configuration`: YAML with positions, units, and messages that say what would be right. */
export { ConfigDocument } from './config-document.js'
export { describeValue, throwProblems } from './config-problem.js'
export type { ConfigProblem } from './config-problem.js'
export {
  booleanField,
  choiceField,
  durationField,
  field,
  fixedField,
  integerField,
  notYetField,
  secondsField,
  sizeField,
  textField,
} from './field-schemas.js'
export { zod } from './lazy-packages.js'
export { FileWatch } from './file-watch.js'
export { readBinary, readCertificates, readPrivateKey, validityProblem } from './pem-file.js'
export { nearestName } from './nearest-name.js'
export { parseDurationMs, parseSizeBytes } from './units.js'
export { listOrOtherField, validateDocument, validateValue } from './validate-document.js'
