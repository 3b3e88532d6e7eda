/** What parsers share with the header map. */
export { COMMON_FIELD_NAMES, INDEXED_FIELDS } from './common-field-names.js'
