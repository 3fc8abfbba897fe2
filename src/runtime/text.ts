/**
 * Characters that change how a terminal or a page shows what stands around them, or are not seen: controls of both
 * kinds, line separators, marks of direction and other formats, and halves of characters.
 */
const UNPRINTABLE = /[\p{Cc}\p{Cf}\p{Cs}\u2028\u2029]/gu

/** The text with every character that could change a terminal written as `\u001b`, for names and reasons of others. */
export function escapeControls(text: string): string {
  // Unit by unit, as JSON escapes a character that is two of them.
  return text.replace(UNPRINTABLE, (character) => character.split('')
    .map((unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`).join(''))
}

/** The same value with `escapeControls` applied to every text in it, keys included. */
export function printable<T>(value: T): T {
  if (typeof value === 'string') return escapeControls(value) as T
  if (Array.isArray(value)) return value.map(printable) as T
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [escapeControls(key), printable(item)])) as T
}

/** One line of JSON that changes no terminal, and that says exactly the same to whoever parses it. */
export function printableJson(value: unknown): string {
  // Outside of texts JSON has no such character, and inside of them this is how JSON escapes.
  return escapeControls(JSON.stringify(value))
}

/** What the text is in JSON; undefined if it is none. */
export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    // No JSON text means undefined, so whoever expects a value sees that there is none.
    return undefined
  }
}

/** A moment, ms since the Unix epoch, as ISO 8601 in UTC. */
export function isoTime(wallTimeMs: number): string {
  return new Date(wallTimeMs).toISOString()
}
