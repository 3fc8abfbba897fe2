import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

import type { Measured } from '../sample.ts'
import { contentOf, TITLE } from './content.ts'
import { renderHtml } from './html.ts'
import { renderMarkdown } from './markdown.ts'
import { drawPlot } from './plots.ts'

/** Writes `report.md` with its plots beside it, `report.html` with them inside, and `results.json`. */
export async function writeReport(directory: string, measured: Measured): Promise<void> {
  const blocks = contentOf(measured)
  await mkdir(directory, { recursive: true })
  const plots = blocks.flatMap((block) => (block.kind === 'plot' ? [block.plot] : []))
  for (const plot of plots) await writeFile(join(directory, `${plot.name}.svg`), drawPlot(plot))
  await writeFile(join(directory, 'report.md'), renderMarkdown(blocks))
  await writeFile(join(directory, 'report.html'), renderHtml(blocks, TITLE))
  await writeResults(join(directory, 'results.json'), measured)
}

/** The raw results: every sample as it was measured. */
export async function writeResults(path: string, measured: Measured): Promise<void> {
  await writeFile(path, `${JSON.stringify(measured, null, 2)}\n`)
}
