import type { Plot } from './plots.ts'

/** What a report is made of; both its forms, Markdown and web page, come from the same blocks. */
export type Block =
  | { kind: 'heading'; level: 1 | 2 | 3; text: string }
  | { kind: 'paragraph'; text: string }
  | { kind: 'list'; items: readonly string[] }
  | { kind: 'table'; head: readonly string[]; rows: readonly (readonly string[])[] }
  | { kind: 'plot'; plot: Plot }
