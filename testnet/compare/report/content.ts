/** The report's content: results in, blocks out. Pure. */
import { formatBytes } from '../../../src/index.ts'
import type { Destination, LeftOut } from '../cells.ts'
import {
  isOurs, isSameJourney, rankOf, rowsOf, sharesOf, verdictsOf, type MeasureName, type Row, type Shares,
} from '../results.ts'
import type { Circumstances, Measured } from '../sample.ts'
import type { Block } from './blocks.ts'
import { journeysPlot, journeyTable, partsPlot, partsTable, verdictTable, type Journey } from './tables.ts'
import { lossesParagraph, winsParagraph } from './verdict.ts'
import { describeCell, describeJourney, describeRow, formatRatio } from './words.ts'

export const TITLE = 'Pagemesh beside QEMU\'s own ways'

const DESTINATIONS: readonly Destination[] = ['similar', 'placement', 'nothing']
const PLOTS: readonly [MeasureName, { title: string; axis: string; isLogarithmic?: boolean }][] = [
  ['wireBytes', { title: 'Bytes on the wire', axis: 'sent by all hosts, everything included' }],
  ['totalMs', { title: 'Total time', axis: 'until the guest is complete at the destination' }],
  ['downtimeMs', { title: 'Downtime as reported', axis: 'by QEMU and the agents, logarithmic', isLogarithmic: true }],
  ['silenceMs', {
    title: 'Downtime as seen from outside', axis: 'longest silence of a heartbeat of 10 ms, logarithmic',
    isLogarithmic: true,
  }],
  ['peakBytesPerSecond', { title: 'Peak rate', axis: 'most that the source sent in 100 ms' }],
  ['processorSeconds', { title: 'Processor time', axis: 'of all agents and both QEMUs, the guest in them' }],
]
/** The parts in the order of the report, and the reader's name for Pagemesh without each. */
const PARTS: readonly [LeftOut, string][] = [
  ['none', 'all parts'], ['peers', 'no peers'], ['store', 'no store'], ['references', 'no references'],
  ['compression', 'no compression'],
]

export function contentOf(measured: Measured): Block[] {
  const { samples, circumstances } = measured
  const rows = rowsOf(samples)
  const verdicts = verdictsOf(rows)
  const journeys = journeysOf(rows)
  return [
    { kind: 'heading', level: 1, text: TITLE },
    { kind: 'paragraph', text: lossesParagraph(verdicts) },
    { kind: 'paragraph', text: winsParagraph(verdicts) },
    ...distribution(measured, rows),
    ...trouble(measured),
    { kind: 'heading', level: 2, text: 'How it was measured' },
    ...method(circumstances, measured),
    { kind: 'heading', level: 2, text: 'At a glance' },
    ...PLOTS.map(([measure, init]): Block => ({ kind: 'plot', plot: journeysPlot(journeys, measure, init) })),
    ...work(journeys.filter(({ isBusy }) => isBusy)),
    ...parts(rows),
    { kind: 'heading', level: 2, text: 'Against the best of QEMU, cell by cell' },
    verdictTable(verdicts),
    { kind: 'heading', level: 2, text: 'All figures' },
    { kind: 'paragraph', text: LEGEND },
    ...journeys.flatMap((journey): Block[] => [
      { kind: 'heading', level: 3, text: journey.title }, journeyTable(journey),
    ]),
  ]
}

const LEGEND = 'Medians, with lowest and highest in brackets. On the wire: bytes that the interfaces of all hosts ' +
  'sent while the guest moved, everything included. By the source: the part of them that the source\'s host sent; ' +
  'the rest are answers, and pages from other hosts. Beside: the part of them that agents spent on reports, gossip, ' +
  'and pages fetched to be kept. Of plain: relative to QEMU\'s pre-copy of the same round. Downtime: as QEMU ' +
  'reports it, plus the agents\' share. Silent: the longest time without a heartbeat of 10 ms, taken from the ' +
  'guest\'s second serial port until a second after the end; silent before: the same while it ran undisturbed. ' +
  'Peak: the most that the source\'s interface sent in 100 ms. CPU: seconds of all agents, and of the QEMUs at both ' +
  'ends, guest included, until the pages that the guest left behind are kept; a GB: of the agents, per GB that the ' +
  'source QEMU wrote.'

/** A guest over a link: QEMU's ways first, then Pagemesh's by destination. */
function journeysOf(rows: readonly Row[]): Journey[] {
  const whole = rows.filter(({ cell }) => cell.leftOut === 'none')
  const firsts = whole.filter((row, index) =>
    whole.findIndex((other) => isSameJourney(other.cell, row.cell)) === index)
  return firsts.map(({ cell }) => ({
    title: describeJourney(cell), isBusy: cell.guest === 'busy',
    rows: whole.filter((row) => isSameJourney(row.cell, cell)).sort((left, right) => orderOf(left) - orderOf(right)),
  }))
}

function orderOf({ way, cell }: Row): number {
  return (isOurs(way) ? DESTINATIONS.indexOf(cell.destination) * 10 : -100) + rankOf(way)
}

/** The effect on the guest's own work. */
function work(journeys: readonly Journey[]): Block[] {
  if (journeys.length === 0) return []
  const title = 'Requests a second that the guest answers while it moves'
  return [{ kind: 'plot', plot: journeysPlot(journeys, 'workDuring', { title, axis: 'from the start to the end' }) }]
}

/** The paper's claim, tested with our figures. */
function distribution({ beforehand }: Measured, rows: readonly Row[]): Block[] {
  const shares = sharesOf(rows, '1 Gbit/s', 'idle')
  if (shares === undefined) return []
  const { report, gossip, swap } = beforehand.accounts
  const spent = report + gossip + swap
  return [
    { kind: 'heading', level: 2, text: 'What distribution beforehand is worth' },
    {
      kind: 'paragraph',
      text: 'The method (Qazi, Li and Sohn, HPCC 2014) says that migrations become cheap on the network because ' +
        'important pages are distributed beforehand. In our figures, for an idle guest at 1 Gbit/s: ' +
        `${sharesSentence(shares)} Spent beforehand were ${formatBytes(spent)} (reports ${formatBytes(report)}, ` +
        `gossip ${formatBytes(gossip)}, pages fetched to keep ${formatBytes(swap)}), for ${beforehand.storePages} ` +
        `pages kept of ${beforehand.popularPages} known to be popular: ${breakEven(shares, spent)}`,
    },
  ]
}

function sharesSentence({ plain, nothing, placement, similar }: Shares): string {
  const share = (bytes: number): string => `${Math.round(100 * bytes)} %`
  const text = `plain pre-copy takes ${formatBytes(Math.round(plain))}. Pagemesh takes ` +
    `${formatBytes(Math.round(nothing))} to a host that has nothing and asks nobody, which is compression and pages ` +
    `that repeat, and ${formatBytes(Math.round(placement))} to one that keeps what is common: of the ` +
    `bytes saved there, ${share((nothing - placement) / (plain - placement))} come from distribution beforehand.`
  if (similar === undefined) return text
  return `${text} Where guests of the same system run already it takes ${formatBytes(Math.round(similar))}, and ` +
    `${share((nothing - similar) / (plain - similar))} of the saving come from what they hold.`
}

function breakEven({ nothing, placement }: Shares, spent: number): string {
  if (nothing <= placement) return 'it saved nothing here, so it was not worth it.'
  const moves = Math.max(1, Math.ceil(spent / (nothing - placement)))
  return `as much as it saves in ${moves} such ${moves === 1 ? 'migration' : 'migrations'}.`
}

/** Lost guests, failed moves, and measurements for which there was no time. */
function trouble({ samples, omitted }: Measured): Block[] {
  const items = samples.flatMap(({ cell, way, round, loss, failure }) => {
    const what = failure !== undefined ? `did not move: ${failure}`
      : loss !== undefined ? `moved, its figures count, and there was no living guest: ${loss}` : undefined
    return what === undefined ? [] : [`${describeCell(cell)}, ${describeRow({ way, cell })}, round ${round}: ${what}`]
  })
  if (omitted > 0) {
    items.push(`Of the first round ${omitted} measurements were not made: the time was up, or too much went wrong.`)
  }
  return items.length === 0 ? [] : [
    { kind: 'heading', level: 2, text: 'What went wrong' }, { kind: 'list', items },
  ]
}

function method(circumstances: Circumstances, { samples }: Measured): Block[] {
  const { command, startedAt, seconds, cpu, cpus, memoryBytes, load, node, qemu, accelerator, guestMemoryMiB } =
    circumstances
  return [
    {
      kind: 'paragraph',
      text: `${command}, ${startedAt}, ${samples.length} measurements in ${Math.round(seconds / 60)} minutes. ` +
        `${cpu}, ${cpus} CPUs, ${formatBytes(memoryBytes)}, load ${load.toFixed(1)} before; Node ${node}; ${qemu}; ` +
        `guests under ${accelerator}. Guests, agents and QEMUs share the machine: where its processors are the ` +
        'limit, so they are for all ways, and only figures of one run can be compared.',
    },
    {
      kind: 'list',
      items: [
        `Guests: Debian with ${guestMemoryMiB} MiB. Idle: web server and key-value store with nothing to do. Busy: ` +
          'a web server that a local client asks for 50 files a second.',
        'Destinations: similar runs two other guests of the same Debian, a database and a compiler; placement runs ' +
          'no guest and keeps what is common; nothing runs no guest, keeps nothing and asks no other host.',
        'Each guest goes the same way each time. What arrives shows that it lives and is thrown away; the guest goes ' +
          'on where it was, and is counted anew before it moves again. Ways take turns.',
        'QEMU sends the same wherever a guest goes: its ways are measured with similar alone. 100 Mbit/s is measured ' +
          'in the first round alone. Parts are left out, and guests leave together, at 1 Gbit/s and idle.',
        ...(command.includes('--quick') ? ['The quick form measures each cell once, and leaves most out.'] : []),
        'Post-copy begins at once, in QEMU as in Pagemesh. QEMU\'s own bandwidth limit is lifted for all ways.',
      ],
    },
  ]
}

/** The effect of each part, where it was measured. */
function parts(rows: readonly Row[]): Block[] {
  const at = rows.filter(({ cell, way }) => cell.link === '1 Gbit/s' && cell.guest === 'idle' && cell.count === 1 &&
    way === 'pagemesh-precopy')
  const titled = PARTS.flatMap(([leftOut, title]) => at
    .filter(({ cell }) => cell.destination === 'placement' && cell.leftOut === leftOut)
    .map((row) => ({ ...row, title })))
  const nothing = at.filter(({ cell }) => cell.destination === 'nothing')
    .map((row) => ({ ...row, title: 'no store, no peers' }))
  if (titled[0]?.cell.leftOut !== 'none' || titled.length + nothing.length < 2) return []
  const all = [...titled, ...nothing]
  return [
    { kind: 'heading', level: 2, text: 'What each part is worth' },
    {
      kind: 'paragraph',
      text: 'One part is left out at a time. To a host without guests that keeps what is common; the last row keeps ' +
        `nothing and asks nobody.${besidePlain(rows, all[0]!)}`,
    },
    { kind: 'plot', plot: partsPlot(all) },
    partsTable(all),
  ]
}

function besidePlain(rows: readonly Row[], whole: Row): string {
  const plain = rows.find(({ way, cell }) => way === 'qemu-precopy' && isSameJourney(cell, whole.cell))
  if (plain === undefined) return ''
  const times = formatRatio(plain.figures.wireBytes.median / whole.figures.wireBytes.median)
  return ` QEMU's plain pre-copy takes ${times} times what all parts together take.`
}
