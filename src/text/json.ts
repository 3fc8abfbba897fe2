import { escapeControls } from './printable.ts'

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
