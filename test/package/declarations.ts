/** What a package's declaration files say: which types its face takes and gives, and which of them it exports. */
import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'

/** Where something is declared, or what another file exports by that name. */
interface Place {
  file: string
  name: string
}

interface Declarations {
  /** The text of each declaration, by its name. */
  texts: Map<string, string>
  /** What is exported, declared here or elsewhere. */
  exported: Map<string, Place>
  /** What is imported from other files of the package. */
  imported: Map<string, Place>
}

const STATEMENT = /^(?=(?:export|import|declare|interface|type|class|function) )/m
const DECLARED =
  /^(?<exports>export )?(?:declare )?(?:abstract )?(?<kind>interface|type|class|function|const) (?<name>\w+)/
const NAMES = /^(?<kind>import|export)(?: type)? \{(?<names>[^}]*)\} from '(?<from>\.[^']*)'/

/** Types that an exported declaration names, and that nobody can import: `Mesh names MessageStream`. */
export function unexportedTypes(folder: string): string[] {
  const files = new Map(readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((path) => path.endsWith('.d.ts'))
    .map((path) => [path, declarationsOf(path, readFileSync(join(folder, path), 'utf8'))]))
  const face = [...files.get('index.d.ts')!.exported.values()].flatMap((place) => declaredAt(files, place) ?? [])
  const isExported = ({ file, name }: Place): boolean =>
    face.some((place) => place.file === file && place.name === name)
  return face.flatMap(({ file, name }) => {
    const { texts, imported, exported } = files.get(file)!
    // A member of a type, as in `State['at']`, is read through whatever has it.
    const words = texts.get(name)!.replace(/\w+\['\w+'\]/g, '').match(/\b[A-Z]\w*\b/g) ?? []
    return [...new Set(words)].filter((word) => {
      const place = imported.get(word) ?? exported.get(word)
      const declared = place === undefined ? undefined : declaredAt(files, place)
      return declared !== undefined && !isExported(declared) && isType(files.get(declared.file)!, declared.name)
    }).map((word) => `${name} names ${word}`)
  })
}

function isType({ texts }: Declarations, name: string): boolean {
  return ['interface', 'type', 'class'].includes(DECLARED.exec(texts.get(name)!)!.groups!['kind']!)
}

/** Follows what files export of each other to where it is declared; undefined outside of the package. */
function declaredAt(files: ReadonlyMap<string, Declarations>, { file, name }: Place): Place | undefined {
  const declarations = files.get(file)
  if (declarations?.texts.has(name)) return { file, name }
  const next = declarations?.exported.get(name)
  return next === undefined ? undefined : declaredAt(files, next)
}

function declarationsOf(file: string, text: string): Declarations {
  const found: Declarations = { texts: new Map(), exported: new Map(), imported: new Map() }
  const plain = text.replace(/\/\*[\s\S]*?\*\/|\/\/.*$/gm, '')
  for (const statement of plain.split(STATEMENT)) {
    const { name, exports } = DECLARED.exec(statement)?.groups ?? {}
    if (name !== undefined) {
      found.texts.set(name, (found.texts.get(name) ?? '') + statement)
      if (exports !== undefined) found.exported.set(name, { file, name })
      continue
    }
    const { kind, names = '', from = '' } = NAMES.exec(statement)?.groups ?? {}
    const target = join(dirname(file), from).replace(/\.[jt]s$/, '.d.ts')
    for (const [, original = '', renamed = original] of names.matchAll(/(?:type )?(\w+)(?: as (\w+))?,?\s*/g)) {
      found[kind === 'import' ? 'imported' : 'exported'].set(renamed, { file: target, name: original })
    }
  }
  return found
}
