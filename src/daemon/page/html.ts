import { escapeControls } from '../../text/printable.ts'

/** Text that a browser may read as HTML: made by `html` alone, which escapes whatever is put into it. */
export class Html {
  readonly text: string

  constructor(text: string) {
    this.text = text
  }
}

export type Content = string | number | Html | readonly Content[]

/** HTML with values put in, in text and in attributes between quotes: escaped, unless they are HTML themselves. */
export function html(parts: TemplateStringsArray, ...values: readonly Content[]): Html {
  return new Html(parts.reduce((text, part, index) => text + textOf(values[index - 1]!) + part))
}

function textOf(content: Content): string {
  if (content instanceof Html) return content.text
  if (typeof content === 'object') return content.map(textOf).join('')
  return escapeControls(String(content)).replace(/[&<>"'`]/g, (character) => `&#${character.charCodeAt(0)};`)
}

export const NOTHING = html``
