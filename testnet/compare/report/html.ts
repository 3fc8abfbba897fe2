import type { Block } from './blocks.ts'
import { drawPlot } from './plots.ts'

const STYLE = `
body { font: 15px/1.5 system-ui, sans-serif; color: #222; max-width: 1040px; margin: 2em auto; padding: 0 1em }
table { border-collapse: collapse; font-size: 13px; display: block; overflow-x: auto; margin: 1em 0 }
th, td { padding: .25em .6em; border-bottom: 1px solid #ddd; text-align: right; white-space: nowrap }
th:first-child, td:first-child { text-align: left }
th { border-bottom: 2px solid #888 }
h2 { margin-top: 2em; border-bottom: 1px solid #ccc }
svg { max-width: 100%; height: auto }
figure { margin: 1.5em 0 }`

/** The report as one self-contained web page, plots included. Pure. */
export function renderHtml(blocks: readonly Block[], title: string): string {
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>${escape(title)}</title>
<style>${STYLE}
</style>
</head>
<body>
${blocks.map(render).join('\n')}
</body>
</html>
`
}

function render(block: Block): string {
  switch (block.kind) {
    case 'heading':
      return `<h${block.level}>${escape(block.text)}</h${block.level}>`
    case 'paragraph':
      return `<p>${escape(block.text)}</p>`
    case 'list':
      return `<ul>${block.items.map((item) => `<li>${escape(item)}</li>`).join('')}</ul>`
    case 'table': {
      const row = (tag: string, cells: readonly string[]): string =>
        `<tr>${cells.map((cell) => `<${tag}>${escape(cell)}</${tag}>`).join('')}</tr>`
      return `<table><thead>${row('th', block.head)}</thead>` +
        `<tbody>${block.rows.map((cells) => row('td', cells)).join('')}</tbody></table>`
    }
    case 'plot':
      return `<figure role="img" aria-label="${escape(block.plot.title)}">${drawPlot(block.plot)}</figure>`
  }
}

function escape(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;')
}
