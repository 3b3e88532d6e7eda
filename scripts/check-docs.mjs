/**
 * Checks the documentation against the code: every public export and member has a doc comment, and
 * every TypeScript block of README and docs/ that imports the package compiles.
 */
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join, relative } from 'node:path'
import ts from 'typescript'
import { CACHE, ROOT, listFiles, runNode, toolPath } from './house.mjs'
import { publicParts } from './public-api.mjs'

const undocumented = findUndocumented()
for (const line of undocumented) console.error(`no doc comment: ${line}`)
const { blockCount, code } = await compileBlocks()
console.log(
  `docs: ${undocumented.length} exports without a comment, ${blockCount} programs compiled`,
)
process.exitCode = undocumented.length > 0 || code !== 0 ? 1 : 0

/** Public symbols without a comment; a member takes over the comment of what it implements. */
function findUndocumented() {
  const faces = publicParts().map((part) => join(ROOT, 'src', part, 'index.ts'))
  const { config } = ts.readConfigFile(join(ROOT, 'tsconfig.json'), ts.sys.readFile)
  const { options } = ts.convertCompilerOptionsFromJson(config.compilerOptions, ROOT)
  const program = ts.createProgram(faces, { ...options, noEmit: true })
  const checker = program.getTypeChecker()
  const missing = new Set()
  const require = (symbol, label) => {
    const declaration = symbol.declarations?.[0]
    if (declaration === undefined || symbol.getDocumentationComment(checker).length > 0) return
    const file = declaration.getSourceFile()
    const { line } = file.getLineAndCharacterOfPosition(declaration.getStart())
    missing.add(`${relative(ROOT, file.fileName)}:${line + 1} ${label}`)
  }
  for (const face of faces) {
    const module = checker.getSymbolAtLocation(program.getSourceFile(face))
    for (const exported of module === undefined ? [] : checker.getExportsOfModule(module)) {
      const isAlias = (exported.flags & ts.SymbolFlags.Alias) !== 0
      const symbol = isAlias ? checker.getAliasedSymbol(exported) : exported
      require(symbol, symbol.name)
      for (const member of publicMembers(symbol)) require(member, `${symbol.name}.${member.name}`)
    }
  }
  return [...missing].sort()
}

/** Methods, properties and accessors of an exported class or interface that users can reach. */
function publicMembers(symbol) {
  const isType = (symbol.flags & (ts.SymbolFlags.Class | ts.SymbolFlags.Interface)) !== 0
  if (!isType) return []
  const kinds = ts.SymbolFlags.Method | ts.SymbolFlags.Property | ts.SymbolFlags.Accessor
  return [...(symbol.members?.values() ?? []), ...(symbol.exports?.values() ?? [])].filter(
    (member) =>
      (member.flags & kinds) !== 0 &&
      !member.name.startsWith('__@') && // Well-known symbols say it by their name.
      member.valueDeclaration !== undefined &&
      isReachable(member.valueDeclaration),
  )
}

/** Whether users see the member here first: not private, and not an override of something known. */
function isReachable(declaration) {
  const hidden = ts.ModifierFlags.Private | ts.ModifierFlags.Override
  const isHashName = declaration.name !== undefined && ts.isPrivateIdentifier(declaration.name)
  return !isHashName && !(ts.getCombinedModifierFlags(declaration) & hidden)
}

/** Compiles the blocks that are whole programs: those that import the package. Others are sketches. */
async function compileBlocks() {
  const folder = join(CACHE, 'docs')
  rmSync(folder, { recursive: true, force: true })
  mkdirSync(folder, { recursive: true })
  const pages = listFiles('.', (path) => path.endsWith('.md'))
  let blockCount = 0
  for (const page of pages) {
    const text = readFileSync(join(ROOT, page), 'utf8')
    for (const match of text.matchAll(/^```ts\b.*\n([\s\S]*?)^```/gm)) {
      if (!/from 'pingora-ts['/]/.test(match[1])) continue
      const line = text.slice(0, match.index).split('\n').length
      const name = `${page.replace(/[^A-Za-z0-9]+/g, '-')}-line-${line}.mts`
      writeFileSync(join(folder, name), match[1])
      blockCount += 1
    }
  }
  if (blockCount === 0) return { blockCount, code: 0 }
  const compilerOptions = { noEmit: true, noUnusedLocals: false, rootDir: ROOT }
  const project = {
    extends: join(ROOT, 'tsconfig.json'),
    compilerOptions,
    include: ['*.mts'],
    exclude: [],
  }
  writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify(project))
  const { code } = await runNode(toolPath('tsc'), ['-p', folder])
  return { blockCount, code }
}
