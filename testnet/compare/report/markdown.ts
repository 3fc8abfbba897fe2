import type { Block } from './blocks.ts'

/** The report as Markdown; plots are files beside it. Pure. */
export function renderMarkdown(blocks: readonly Block[]): string {
  return `${blocks.map(render).join('\n\n')}\n`
}

function render(block: Block): string {
  switch (block.kind) {
    case 'heading':
      return `${'#'.repeat(block.level)} ${block.text}`
    case 'paragraph':
      return block.text
    case 'list':
      return block.items.map((item) => `- ${item}`).join('\n')
    case 'table':
      return [block.head, alignments(block.head.length), ...block.rows].map(line).join('\n')
    case 'plot':
      return `![${block.plot.title}](${block.plot.name}.svg)`
  }
}

/** Names to the left, figures to the right. */
function alignments(columns: number): string[] {
  return Array.from({ length: columns }, (_, index) => (index === 0 ? '---' : '---:'))
}

function line(cells: readonly string[]): string {
  return `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`
}
