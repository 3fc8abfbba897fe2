/** The project's files as text, and their imports, for the tidy tests. */
import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, normalize } from 'node:path'
import { fileURLToPath } from 'node:url'

export const ROOT = normalize(fileURLToPath(new URL('../../', import.meta.url)))

/** Names in .gitignore: generated files, which are not tidied. */
const MADE = /^(\.git|\.cache|\.build-.*|dist|node_modules|.*\.(deb|log|node))$/

/** Files of the project, relative to the root, sorted. */
export function listFiles(folder = ''): string[] {
  return readdirSync(join(ROOT, folder), { withFileTypes: true }).filter(({ name }) => !MADE.test(name))
    .flatMap((entry) => (entry.isDirectory() ? listFiles(join(folder, entry.name)) : [join(folder, entry.name)]))
    .sort()
}

const texts = new Map<string, string | undefined>()

/** The text of a file, or undefined if it does not exist. */
export function read(path: string): string | undefined {
  if (!texts.has(path)) {
    try {
      texts.set(path, readFileSync(join(ROOT, path), 'utf8'))
    } catch {
      texts.set(path, undefined)
    }
  }
  return texts.get(path)
}

/** The text without its comments; string parts that look like comments go too, which no rule minds. */
export function code(path: string): string {
  return (read(path) ?? '')
    .replace(/\/\*[\s\S]*?\*\//g, (comment) => comment.replace(/[^\n]/g, ''))
    .replace(/(^|\s)\/\/.*$/gm, '$1')
}

export interface Import {
  /** The importing file. */
  from: string
  /** The imported file: a path from the root for our own files, else the package's name. */
  target: string
  isOwn: boolean
}

const SPECIFIERS = [
  /\bfrom\s+'([^']+)'/g,
  /\bimport\s+'([^']+)'/g,
  /\bimport\(\s*'([^']+)'/g,
  // Workers are named by URL.
  /(?<!from |import |import\()'(\.{1,2}\/[^']*\.ts)'/g,
]

export function importsOf(path: string): Import[] {
  const text = code(path)
  const specifiers = SPECIFIERS.flatMap((pattern) => [...text.matchAll(pattern)].map((match) => match[1]!))
  return specifiers.map((specifier) => {
    const isOwn = specifier.startsWith('.')
    return { from: path, target: isOwn ? join(dirname(path), specifier) : specifier, isOwn }
  })
}

const LOADED = /^(?:import|export)\s(?!type\b)(?:[^'";]*?\sfrom\s+)?'([^']+)'/gm

/** The imports that are loaded with the file itself: without types and dynamic imports. */
export function loadsOf(path: string): Import[] {
  const loaded = new Set([...code(path).matchAll(LOADED)].map((match) => match[1]!))
  return importsOf(path).filter(({ target, isOwn }) => {
    return loaded.has(target) || isOwn && [...loaded].some((name) => join(dirname(path), name) === target)
  })
}

/** All files reachable from `entries` by imports, the entries included. */
export function reachableFrom(entries: readonly string[], targetsOf = importsOf): Set<string> {
  const reached = new Set<string>()
  const queue = [...entries]
  for (let path = queue.pop(); path !== undefined; path = queue.pop()) {
    if (reached.has(path) || read(path) === undefined) continue
    reached.add(path)
    queue.push(...targetsOf(path).filter(({ isOwn }) => isOwn).map(({ target }) => target))
  }
  return reached
}
