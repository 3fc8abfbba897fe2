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
