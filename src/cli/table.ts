/** Rows of cells as aligned lines, two spaces between columns; the last column is not padded. Pure. */
export function alignColumns(rows: readonly (readonly string[])[], indent = ''): string {
  const widths: number[] = []
  for (const row of rows) row.forEach((cell, column) => { widths[column] = Math.max(widths[column] ?? 0, cell.length) })
  return rows.map((row) => {
    const cells = row.map((cell, column) => (column === row.length - 1 ? cell : cell.padEnd(widths[column] ?? 0)))
    return `${indent}${cells.join('  ')}`.trimEnd()
  }).join('\n')
}
