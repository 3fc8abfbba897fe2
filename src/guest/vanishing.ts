/** Access to files of other processes, which may vanish at any time or be inaccessible. */
import { lstatSync, readdirSync, readFileSync, readlinkSync, statSync, type Stats } from 'node:fs'

export function statOrNothing(path: string): Stats | undefined {
  return orNothing(() => statSync(path))
}

/** Status of the path itself; links are not followed. */
export function linkStatOrNothing(path: string): Stats | undefined {
  return orNothing(() => lstatSync(path))
}

export function readOrNothing(path: string): string | undefined {
  return orNothing(() => readFileSync(path, 'utf8'))
}

export function readLinkOrNothing(path: string): string | undefined {
  return orNothing(() => readlinkSync(path))
}

export function listOrNothing(path: string): string[] {
  return orNothing(() => readdirSync(path)) ?? []
}

function orNothing<T>(look: () => T): T | undefined {
  try {
    return look()
  } catch {
    // Callers decide what a missing file means.
    return undefined
  }
}
