/** Files that may be gone when they are looked at, or may not be seen: those of other processes. */
import { lstatSync, readdirSync, readFileSync, readlinkSync, statSync, type Stats } from 'node:fs'

export function statOrNothing(path: string): Stats | undefined {
  return orNothing(() => statSync(path))
}

/** What is at the path itself, be it a link. */
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
    // Whoever looks at what is another's says what it means that nothing is there.
    return undefined
  }
}
