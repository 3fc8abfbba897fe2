/**
 * A rule for the linter: imports stand where anybody would look for them. Node's modules come first, then packages,
 * then files by their path, the farthest first; names follow the alphabet, types after values.
 */
interface Node {
  type: string
  range: [start: number, end: number]
}

interface Specifier extends Node {
  importKind?: string
  imported?: { name?: string; value?: string }
}

interface Declaration extends Node {
  source: { value: string }
  specifiers: Specifier[]
}

interface Fixer {
  replaceTextRange(range: [number, number], text: string): unknown
}

interface Context {
  sourceCode: { text: string }
  report(found: { node: Node; message: string; fix?: (fixer: Fixer) => unknown }): void
}

type Key = readonly (string | number)[]

function compare(one: Key, other: Key): number {
  const index = one.findIndex((part, at) => part !== other[at])
  if (index === -1) return 0
  return one[index]! < other[index]! ? -1 : 1
}

function keyOfDeclaration({ source: { value: path } }: Declaration): Key {
  if (path.startsWith('node:')) return [0, path]
  if (!path.startsWith('.')) return [1, path]
  return [2, -path.split('../').length, path]
}

function keyOfSpecifier({ importKind, imported }: Specifier): Key {
  const name = imported?.name ?? imported?.value ?? ''
  return [importKind === 'type' ? 1 : 0, name.toLowerCase(), name]
}

/** Reports the first of `items` that is out of order. The fix moves none across a comment: whose it is, is unknown. */
function requireOrder<Item extends Node>(context: Context, items: readonly Item[], keyOf: (item: Item) => Key): void {
  const { sourceCode: { text } } = context
  const wanted = items.toSorted((one, other) => compare(keyOf(one), keyOf(other)))
  const wrong = items.findIndex((item, index) => item !== wanted[index])
  if (wrong === -1) return
  const gaps = items.map(({ range: [, end] }, index) => text.slice(end, items[index + 1]?.range[0] ?? end))
  const mended = wanted.map(({ range }, index) => text.slice(...range) + gaps[index]!).join('')
  const range: [number, number] = [items[0]!.range[0], items.at(-1)!.range[1]]
  context.report({
    node: items[wrong]!,
    message: `Imports are out of order: \`${text.slice(...wanted[wrong]!.range)}\` comes first.`,
    ...gaps.some((gap) => /\/[/*]/.test(gap)) ? {} : { fix: (fixer) => fixer.replaceTextRange(range, mended) },
  })
}

export default {
  meta: { name: 'imports' },
  rules: {
    order: {
      meta: { type: 'layout', fixable: 'code' },
      create: (context: Context) => ({
        Program: ({ body }: { body: Node[] }) => {
          const declarations = body.filter(({ type }) => type === 'ImportDeclaration') as Declaration[]
          requireOrder(context, declarations, keyOfDeclaration)
          for (const { specifiers } of declarations) {
            requireOrder(context, specifiers.filter(({ type }) => type === 'ImportSpecifier'), keyOfSpecifier)
          }
        },
      }),
    },
  },
}
