/** The lint rules of the house: strict and type-aware, each relaxation and each ban with its reason. */
import js from '@eslint/js'
import { defineConfig, globalIgnores } from 'eslint/config'
import tseslint from 'typescript-eslint'

const TESTS = ['**/*.test.ts', 'test/**/*.ts']
const PROGRAMS = ['examples/**/*.ts', 'bench/**/*.ts']
const SCRIPTS = ['scripts/**/*.mjs', 'bench/**/*.mjs', 'eslint.config.js']

const CLOCK_REASON = 'only src/time touches clocks and timers: take a Clock from the environment'
const PROCESS_REASON =
  'only src/cli and src/server touch the process: get what you need as an argument'

const CLOCK_GLOBALS = [
  'setTimeout',
  'setInterval',
  'setImmediate',
  'clearTimeout',
  'clearInterval',
  'clearImmediate',
  'performance',
]

const banClock = {
  globals: CLOCK_GLOBALS.map((name) => ({ name, message: CLOCK_REASON })),
  properties: [
    { object: 'Date', property: 'now', message: CLOCK_REASON },
    ...CLOCK_GLOBALS.map((property) => ({ object: 'globalThis', property, message: CLOCK_REASON })),
  ],
  syntax: [
    { selector: "NewExpression[callee.name='Date'][arguments.length=0]", message: CLOCK_REASON },
    { selector: "CallExpression[callee.name='Date']", message: CLOCK_REASON },
  ],
  imports: ['timers', 'timers/promises', 'perf_hooks'].flatMap((name) => [
    { name, message: CLOCK_REASON },
    { name: `node:${name}`, message: CLOCK_REASON },
  ]),
}

const banProcess = {
  globals: [{ name: 'process', message: PROCESS_REASON }],
  properties: [{ object: 'globalThis', property: 'process', message: PROCESS_REASON }],
  imports: ['process', 'node:process'].map((name) => ({ name, message: PROCESS_REASON })),
}

/** The bans as rules: ESLint replaces a rule's options whole, so each group of files lists its own. */
function bans({ clock, process }) {
  const active = [...(clock ? [banClock] : []), ...(process ? [banProcess] : [])]
  const all = (kind) => active.flatMap((ban) => ban[kind] ?? [])
  // An empty list must say `off`: with a severity alone ESLint keeps the options set before.
  const rule = (list) => (list.length > 0 ? ['error', ...list] : 'off')
  return {
    'no-restricted-globals': rule(all('globals')),
    'no-restricted-properties': rule(all('properties')),
    'no-restricted-syntax': rule(all('syntax')),
    'no-restricted-imports': ['error', { paths: all('imports') }],
  }
}

export default defineConfig(
  globalIgnores(['build/', 'dist/', 'node_modules/', 'bench/results/']),
  { linterOptions: { reportUnusedDisableDirectives: 'error' } },
  js.configs.recommended,
  {
    rules: {
      eqeqeq: 'error',
      'no-else-return': 'error',
      'no-var': 'error',
      'object-shorthand': 'error',
      'prefer-const': 'error',
      'no-control-regex': 'off', // Bytes below 0x20 are what a proxy looks for.
    },
  },
  {
    files: ['**/*.ts'],
    extends: [tseslint.configs.strictTypeChecked, tseslint.configs.stylisticTypeChecked],
    languageOptions: {
      parserOptions: { project: './tsconfig.json', tsconfigRootDir: import.meta.dirname },
    },
    rules: {
      // A promise nobody waits for loses its error: the most expensive mistake in a proxy.
      '@typescript-eslint/no-floating-promises': [
        'error',
        {
          allowForKnownSafeCalls: [
            // The runner itself waits for what these return.
            { from: 'package', package: 'node:test', name: ['test', 'it', 'describe', 'suite'] },
          ],
        },
      ],
      '@typescript-eslint/no-misused-promises': 'error',
      '@typescript-eslint/switch-exhaustiveness-check': [
        'error',
        { considerDefaultExhaustiveForUnions: true },
      ],
      '@typescript-eslint/consistent-type-exports': 'error',
      'no-restricted-exports': [
        'error',
        {
          restrictDefaultExports: {
            direct: true,
            named: true,
            defaultFrom: true,
            namedFrom: true,
            namespaceFrom: true,
          },
        },
      ],
      'max-lines': ['error', { max: 500, skipBlankLines: true, skipComments: true }],
      'max-lines-per-function': ['error', { max: 70, skipBlankLines: true, skipComments: true }],

      // Typed-array reads inside checked bounds: `!` says so at no cost.
      '@typescript-eslint/no-non-null-assertion': 'off',
      // Index loops over bytes are on purpose, also where an iterator would do.
      '@typescript-eslint/prefer-for-of': 'off',
      '@typescript-eslint/restrict-template-expressions': [
        'error',
        { allowNumber: true, allowBoolean: true },
      ],
      // A hook returns `void | Promise<void>`, a context may be `void`.
      '@typescript-eslint/no-invalid-void-type': 'off',
      '@typescript-eslint/no-confusing-void-expression': ['error', { ignoreArrowShorthand: true }],
      // An empty hook or error listener says: nothing to do here, and that is right.
      '@typescript-eslint/no-empty-function': 'off',
      '@typescript-eslint/no-unnecessary-condition': [
        'error',
        { allowConstantLoopConditions: 'only-allowed-literals' },
      ],
      // For strings `||` means "not empty", which `??` cannot say.
      '@typescript-eslint/prefer-nullish-coalescing': [
        'error',
        { ignorePrimitives: { string: true } },
      ],
      '@typescript-eslint/no-unused-vars': [
        'error',
        { argsIgnorePattern: '^_', varsIgnorePattern: '^_', caughtErrorsIgnorePattern: '^_' },
      ],
      // `ProxyHttp<void>` says that there is no context, also where that is the default.
      '@typescript-eslint/no-unnecessary-type-arguments': 'off',
      '@typescript-eslint/class-literal-property-style': 'off',
      // `isolatedDeclarations` asks for the types that this rule calls superfluous.
      '@typescript-eslint/no-inferrable-types': 'off',
      // `env['PATH']` shows that the key is data; both spellings may stand.
      '@typescript-eslint/dot-notation': ['error', { allowIndexSignaturePropertyAccess: true }],
      '@typescript-eslint/no-extraneous-class': ['error', { allowWithDecorator: true }],
      '@typescript-eslint/unified-signatures': [
        'error',
        { ignoreDifferentlyNamedParameters: true },
      ],
    },
  },
  {
    files: ['src/**/*.ts'],
    rules: { 'no-console': 'error', ...bans({ clock: true, process: true }) },
  },
  { files: ['src/time/**/*.ts'], rules: bans({ clock: false, process: true }) },
  {
    files: ['src/cli/**/*.ts', 'src/server/**/*.ts'],
    rules: bans({ clock: true, process: false }),
  },
  // A failed simulation is repeated by running the same command with one environment variable.
  { files: ['src/testing/simulate.ts'], rules: bans({ clock: true, process: false }) },
  { files: ['src/cli/**/*.ts'], rules: { 'no-console': 'off' } },
  {
    files: TESTS,
    rules: {
      ...bans({ clock: false, process: false }),
      'max-lines': ['error', { max: 600, skipBlankLines: true, skipComments: true }],
      'max-lines-per-function': 'off',
      'no-console': 'off',
      // Stubs stand in for asynchronous code, and read untyped answers of foreign programs.
      '@typescript-eslint/require-await': 'off',
      '@typescript-eslint/unbound-method': 'off',
      '@typescript-eslint/no-misused-spread': 'off', // `[...'abc']` splits ASCII, and reads well.
      '@typescript-eslint/no-unsafe-argument': 'off',
      '@typescript-eslint/no-unsafe-assignment': 'off',
      '@typescript-eslint/no-unsafe-call': 'off',
      '@typescript-eslint/no-unsafe-member-access': 'off',
      '@typescript-eslint/no-unsafe-return': 'off',
      '@typescript-eslint/no-misused-promises': [
        'error',
        { checksVoidReturn: { arguments: false } },
      ],
    },
  },
  {
    files: PROGRAMS,
    rules: {
      'no-console': 'off',
      // Packages in CommonJS are taken apart with `const { createServer } = package`.
      '@typescript-eslint/unbound-method': 'off',
    },
  },
  {
    files: SCRIPTS,
    languageOptions: {
      globals: Object.fromEntries(
        ['Buffer', 'URL', 'console', 'fetch', 'process', ...CLOCK_GLOBALS].map((name) => [
          name,
          'readonly',
        ]),
      ),
    },
    rules: {
      'no-unused-vars': ['error', { argsIgnorePattern: '^_', varsIgnorePattern: '^_' }],
    },
  },
)
