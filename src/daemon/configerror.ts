import { closest, distance } from 'fastest-levenshtein'

import { PagemeshError } from '../runtime/errors.ts'

/** A flaw in a configuration file, and where it is. */
export interface ConfigFlaw {
  file: string
  line?: number | undefined
  key?: string | undefined
  message: string
  advice?: string
  cause?: unknown
}

/** PagemeshError `bad-config` that names the file and, if known, line and key. */
export function badConfig({ file, line, key, message, advice, cause }: ConfigFlaw): PagemeshError {
  const where = line === undefined ? file : `${file}, line ${line}`
  return new PagemeshError('bad-config', `${where}: ${message}`, {
    fault: 'usage',
    phase: 'configuration',
    data: { file, ...(line === undefined ? {} : { line }), ...(key === undefined ? {} : { key }) },
    ...(advice === undefined ? {} : { advice }),
    ...(cause === undefined ? {} : { cause }),
  })
}

/** The key of `known` that was probably meant: the most similar, or the same last word in another section. Pure. */
export function nearestKey(written: string, known: readonly string[]): string {
  const nearest = closest(written, known)
  const sibling = known.find((key) => lastWord(key) === lastWord(written))
  return sibling !== undefined && distance(written, nearest) > 2 ? sibling : nearest
}

function lastWord(key: string): string {
  return key.slice(key.lastIndexOf('.') + 1)
}
