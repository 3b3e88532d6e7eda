/** What parsers share with the header map. */
export { INDEXED_FIELDS } from './common-field-names.js'
