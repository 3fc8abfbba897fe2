/** The corpus: inputs worth keeping, a file for each target, one of them in each line as base64. */
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const FOLDER = fileURLToPath(new URL('./corpus/', import.meta.url))
/** Longer finds are not kept: a run makes them again. */
const KEPT_BYTES_MAX = 600
const KEPT_MAX = 24

export function readCorpus(name: string): Buffer[] {
  const file = `${FOLDER}${name}.txt`
  if (!existsSync(file)) return []
  return readFileSync(file, 'utf8').split('\n').filter((line) => line !== '').map((line) => Buffer.from(line, 'base64'))
}

/** The targets that have files. */
export function corpusNames(): string[] {
  return readdirSync(FOLDER).map((name) => name.replace(/\.txt$/, '')).sort()
}

/** Adds inputs that are short, as far as there is room. */
export function extendCorpus(name: string, found: readonly Buffer[]): void {
  const kept = readCorpus(name)
  const known = new Set(kept.map((bytes) => bytes.toString('base64')))
  const more = found.filter((bytes) => bytes.length > 0 && bytes.length <= KEPT_BYTES_MAX)
    .toSorted((one, other) => one.length - other.length).map((bytes) => bytes.toString('base64'))
    .filter((line) => !known.has(line)).slice(0, Math.max(0, KEPT_MAX - kept.length))
  if (more.length === 0) return
  writeFileSync(`${FOLDER}${name}.txt`, [...known, ...more].map((line) => `${line}\n`).join(''))
}
