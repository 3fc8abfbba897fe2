/**
 * Characters that change how a terminal or a page shows the text around them, or that are invisible: C0 and C1
 * controls, line separators, marks of direction and other formats, and lone surrogates.
 */
const UNPRINTABLE = /[\p{Cc}\p{Cf}\p{Cs}\u2028\u2029]/gu

/** The text with all such characters written as `\u001b`, for names and reasons from elsewhere. */
export function escapeControls(text: string): string {
  // Unit by unit, like JSON, which escapes a surrogate pair as two.
  return text.replace(UNPRINTABLE, (character) => character.split('')
    .map((unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`).join(''))
}

/** The same value with `escapeControls` applied to every string in it, keys included. */
export function printable<T>(value: T): T {
  if (typeof value === 'string') return escapeControls(value) as T
  if (Array.isArray(value)) return value.map(printable) as T
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [escapeControls(key), printable(item)])) as T
}
