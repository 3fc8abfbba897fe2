import { html, NOTHING, type Content, type Html } from './html.ts'

export interface Table {
  /** Names the table to whoever does not see what stands around it, and keeps its place when the page changes. */
  caption: string
  /** Of columns; one that begins with # is of numbers. The first column names the row. */
  columns: readonly string[]
  rows: readonly (readonly Content[])[]
  /** Instead of a table without rows. */
  none: string
  /** Whether each row stands by itself, one cell below the other, where the page is as narrow as a telephone. */
  stacks?: boolean
}

/** What stands where there is nothing to say. */
export const NOT_KNOWN = '-'

/** Texts that are no longer stay on one line. */
const SHORT_MAX = 28

/**
 * A table that scrolls by itself where it is too wide. Its roles are written out: some browsers take rows that stack
 * for no table.
 */
export function table({ caption, columns, rows, none, stacks = false }: Table): Html {
  if (rows.length === 0) return html`<p class="none">${none}</p>`
  const titles = columns.map((title) => title.replace(/^#/, ''))
  const classOf = (column: number, content: Content): Html => {
    const isNumber = columns[column]?.startsWith('#') === true
    const isShort = typeof content === 'string' && content.length <= SHORT_MAX
    const classes = [isNumber ? 'number' : isShort ? 'short' : '', content === NOT_KNOWN ? 'void' : '']
      .filter((name) => name !== '')
    return classes.length === 0 ? NOTHING : html` class="${classes.join(' ')}"`
  }
  const head = titles.map((title, column) =>
    html`<th scope="col" role="columnheader"${classOf(column, title)}>${title}</th>`)
  const body = rows.map(([name = '', ...cells]) => html`<tr role="row"><th scope="row" role="rowheader"${
    classOf(0, name)}>${name}</th>${cells.map((cell, index) => html`<td role="cell"${
    classOf(index + 1, cell)} data-title="${titles[index + 1] ?? ''}">${cell}</td>`)}</tr>
`)
  return html`<div class="table" data-key="${caption}" tabindex="0" role="group" aria-label="${caption}">
<table role="table"${stacks ? html` class="stacks"` : NOTHING}>
<caption class="unseen">${caption}</caption>
<thead role="rowgroup"><tr role="row">${head}</tr></thead>
<tbody role="rowgroup">
${body}</tbody>
</table></div>`
}
