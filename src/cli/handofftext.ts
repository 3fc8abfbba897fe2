import type { Expected, HandoffEstimate, HandoffResult } from '../index.ts'
import { formatBytes } from '../text/units.ts'
import { savedPercent } from './progressline.ts'
import { alignColumns } from './table.ts'

/** A completed handoff as text. Pure. */
export function renderResult(result: HandoffResult): string {
  const { guest, from, to, mode, totalMs, downtimeMs, qemuBytes, wireBytes, pages, ledger } = result
  const spent = ledger.savedBytes - ledger.netBytes
  const { sentBefore, resident, store, peer, source } = result.refsFilledBy
  const saved = savedPercent(result)
  const savedText = saved < 0 ? `${(-saved).toFixed(1)} % more` : `${saved.toFixed(1)} % saved`
  const downtime = downtimeMs === null ? '' : `, down for ${Math.round(downtimeMs)} ms`
  return [
    `${guest} moved from ${from} to ${to} (${mode}) in ${seconds(totalMs)}${downtime}.${describeArrival(result)}`,
    alignColumns([
      ['wire', `${formatBytes(wireBytes)} for QEMU's ${formatBytes(qemuBytes)}: ${savedText}`],
      ['pages', `${pages.total}: ${pages.zero} zero, ${pages.ref} as references, ${pages.literal} sent whole`],
      ...(result.channels > 1 ? [['channels', `${result.channels} connections of QEMU`]] : []),
      ['references', `filled by pages sent before ${sentBefore}, resident ${resident}, store ${store}, ` +
        `peers ${peer}, source ${source}`],
      ...(result.apart === undefined ? [] : [['', `none to what ${to} had: ${result.apart}`]]),
      ['literals', `${formatBytes(result.literalBytes)} as ${formatBytes(result.literalWireBytes)} on the wire`],
      ...(peer > 0 ? [['peers', `${formatBytes(result.peerBytes)} fetched from other hosts`]] : []),
      ['ledger', `${formatBytes(ledger.savedBytes)} saved; ${formatBytes(spent)} spent by both hosts beforehand`],
      ['verified', result.digestMatched ? 'the destination wrote what the source read' : 'NOT: the digests differ'],
    ], '  '),
  ].join('\n')
}

/** How a guest arrived that does not run at its destination: a sentence after a space, or nothing. Pure. */
export function describeArrival({ arrivedState }: HandoffResult): string {
  if (arrivedState === null || arrivedState === 'running') return ''
  return ` It arrived ${arrivedState}, as it was at the source.`
}

/** The result of a dry run as text. Pure. */
export function renderEstimate(estimate: HandoffEstimate): string {
  const { guest, from, to, mode, distinctPages, pagesAtDestination, expected, obstacles = [] } = estimate
  const share = distinctPages === 0 ? 0 : (pagesAtDestination / distinctPages) * 100
  return [
    `${guest} could move from ${from} to ${to} (${mode}); nothing was moved.`,
    `  ${to} has ${pagesAtDestination} of its ${distinctPages} distinct pages (${share.toFixed(1)} %).`,
    ...(estimate.apart === undefined ? [] : [`  It would move without references: ${estimate.apart}.`]),
    ...(expected === undefined ? [] : [alignColumns(expectedRows(expected), '  ')]),
    ...obstacles.map(({ reason }) => `  In the way: ${reason}`),
  ].join('\n')
}

function expectedRows({ qemuBytes, wireBytes, totalMs, downtimeMs, pages, literalRatio }: Expected): string[][] {
  const down = downtimeMs === null ? '' : `, down for about ${Math.round(downtimeMs)} ms`
  return [
    ['wire', `about ${formatBytes(wireBytes)} for QEMU's ${formatBytes(qemuBytes)}`],
    ['pages', `${pages.total}: ${pages.zero} zero, ${pages.ref} as references, ${pages.literal} sent whole ` +
      `at ${(literalRatio * 100).toFixed(0)} % of their size`],
    ['time', totalMs === null
      ? `not known before a guest has moved there${down}` : `about ${seconds(totalMs)}${down}`],
  ]
}

export function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(ms < 10_000 ? 2 : 1)} s`
}
