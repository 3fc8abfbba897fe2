import { escapeControls } from './printable.ts'

/** One line of JSON without such characters, which parses to exactly the same value. */
export function printableJson(value: unknown): string {
  // Outside of strings JSON has no such character, and inside them JSON escapes in the same way.
  return escapeControls(JSON.stringify(value))
}

/** The value of a JSON text; undefined if it is none. */
export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    // No JSON text means undefined, so that the caller can tell.
    return undefined
  }
}
