import Table from 'cli-table3'

import { formatBytes } from '../../src/index.ts'
import type { Move } from './move.ts'

const NO_LINES_BETWEEN = { mid: '', 'left-mid': '', 'mid-mid': '', 'right-mid': '' }

/** All moves side by side, a column each; ratios are to QEMU's move of the same mode. Pure. */
export function renderMoves(moves: readonly Move[]): string {
  // No colours: the table also goes into files and READMEs.
  const style = { head: [], border: [] }
  const table = new Table({ head: ['', ...moves.map(titleOf)], style, chars: NO_LINES_BETWEEN })
  const row = (name: string, cell: (move: Move) => string): void => { table.push([name, ...moves.map(cell)]) }
  row('bytes on the wire', ({ wireBytes }) => formatBytes(wireBytes))
  row('  of QEMU alone', (move) => ratio(move, moves, ({ wireBytes }) => wireBytes))
  row('total time', ({ totalMs }) => `${(totalMs / 1000).toFixed(2)} s`)
  row('  of QEMU alone', (move) => ratio(move, moves, ({ totalMs }) => totalMs))
  row('downtime', ({ downtimeMs }) => downtimeMs === null ? '' : `${Math.round(downtimeMs)} ms`)
  row('pages: zero', ({ result }) => count(result?.pages.zero))
  row('  references', ({ result }) => count(result?.pages.ref))
  row('  sent whole', ({ result }) => count(result?.pages.literal))
  row('references filled by', () => '')
  row('  pages sent before', ({ result }) => count(result?.refsFilledBy.sentBefore))
  row('  resident there', ({ result }) => count(result?.refsFilledBy.resident))
  row('  store', ({ result }) => count(result?.refsFilledBy.store))
  row('  peers', ({ result }) => count(result?.refsFilledBy.peer))
  row('  asked back', ({ result }) => count(result?.refsFilledBy.source))
  row('memory found equal', ({ equalBytes }) => equalBytes === undefined ? '' : formatBytes(equalBytes))
  return table.toString()
}

function titleOf({ mode, by, from, to }: Move): string {
  return `${by}\n${mode === 'precopy' ? 'pre-copy' : 'post-copy'} ${from}->${to}`
}

function count(pages: number | undefined): string {
  return pages === undefined ? '' : pages.toLocaleString('en')
}

function ratio(move: Move, moves: readonly Move[], value: (move: Move) => number): string {
  const plain = moves.find(({ mode, by }) => mode === move.mode && by === 'QEMU alone')
  return plain === undefined || plain === move ? '' : (value(move) / value(plain)).toFixed(2)
}
