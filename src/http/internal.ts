/** What parsers share with the header map. */
export { COMMON_FIELD_NAMES } from './common-field-names.js'
