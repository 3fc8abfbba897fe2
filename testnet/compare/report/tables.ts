/** Tables and plots over rows of results. Pure. */
import type { HandoffResult } from '../../../src/index.ts'
import { WAY_TITLES } from '../cells.ts'
import { isOurs, valueOf, type MeasureName, type Row, type Verdict } from '../results.ts'
import type { Sample } from '../sample.ts'
import type { Block } from './blocks.ts'
import type { Bar, Panel, Plot } from './plots.ts'
import { formatVerdictRatio } from './verdict.ts'
import {
  CONTEST_TITLES, describeCell, describeRow, formatMeasure, formatRatio, formatSpread,
} from './words.ts'

export interface Journey {
  title: string
  isBusy: boolean
  rows: readonly Row[]
}

const COLOURS = { qemu: '#8a93a0', similar: '#0b7285', placement: '#2f9e44', nothing: '#e8590c' }

type Column = readonly [title: string, cell: (row: Row) => string]

const COLUMNS: readonly Column[] = [
  figure('on the wire', 'wireBytes'),
  ['of plain', ({ ratios }) => ratio(ratios?.wireBytes.median)],
  figure('by the source', 'sourceBytes'),
  figure('beside', 'besideBytes'),
  figure('total time', 'totalMs'),
  ['of plain', ({ ratios }) => ratio(ratios?.totalMs.median)],
  figure('downtime', 'downtimeMs'),
  figure('silent', 'silenceMs'),
  figure('silent before', 'usualSilenceMs'),
  figure('peak', 'peakBytesPerSecond'),
  figure('CPU agents', 'agentSeconds'),
  figure('a GB', 'agentSecondsPerGb'),
  figure('CPU QEMU', 'qemuSeconds'),
]

const WORK_COLUMNS: readonly Column[] = [
  figure('requests/s before', 'workBefore'), figure('during', 'workDuring'), figure('after', 'workAfter'),
]

function figure(title: string, measure: MeasureName): Column {
  return [title, ({ figures }) => formatSpread(figures[measure], (value) => formatMeasure(measure, value))]
}

/** All measurements of one guest over one link, one row per way. */
export function journeyTable({ rows, isBusy }: Journey): Block {
  const columns = isBusy ? [...COLUMNS, ...WORK_COLUMNS] : COLUMNS
  return {
    kind: 'table',
    head: ['way', ...columns.map(([title]) => title), 'times'],
    rows: rows.map((row) => [describeRow(row), ...columns.map(([, cell]) => cell(row)), `${row.samples.length}`]),
  }
}

export function verdictTable(verdicts: readonly Verdict[]): Block {
  return {
    kind: 'table',
    head: ['cell', 'figure', 'Pagemesh', 'way', 'best of QEMU', 'way', 'ratio', ''],
    rows: verdicts.map((verdict) => {
      const { cell, contest, ours, theirs, isLost } = verdict
      return [
        describeCell(cell), CONTEST_TITLES[contest], formatMeasure(contest, ours.value), WAY_TITLES[ours.way],
        formatMeasure(contest, theirs.value), WAY_TITLES[theirs.way], formatVerdictRatio(verdict),
        isLost ? 'loses' : 'holds',
      ]
    }),
  }
}

/** The effect of each part: each row beside the first, in which nothing is left out. */
export function partsTable(rows: readonly (Row & { title: string })[]): Block {
  const whole = rows[0]!.figures
  const ofWhole = (measure: 'wireBytes' | 'totalMs'): Column =>
    ['of all parts', ({ figures }) => formatRatio(figures[measure].median / whole[measure].median)]
  const columns = [
    figure('on the wire', 'wireBytes'), ofWhole('wireBytes'), figure('by the source', 'sourceBytes'),
    figure('total time', 'totalMs'), ofWhole('totalMs'), figure('CPU agents', 'agentSeconds'),
  ]
  return {
    kind: 'table',
    head: [
      '', ...columns.map(([title]) => title), 'pages whole', 'sent before', 'resident', 'store', 'peers', 'asked back',
      'times',
    ],
    rows: rows.map((row) => [
      row.title, ...columns.map(([, cell]) => cell(row)), ...pagesOf(row.samples), `${row.samples.length}`,
    ]),
  }
}

/** Where the pages of the last sample came from. */
function pagesOf(samples: readonly Sample[]): string[] {
  const handoff: HandoffResult | undefined = samples.at(-1)?.handoffs[0]
  if (handoff === undefined) return ['', '', '', '', '', '']
  const { sentBefore, resident, store, peer, source } = handoff.refsFilledBy
  return [handoff.pages.literal, sentBefore, resident, store, peer, source].map((count) => count.toLocaleString('en'))
}

/** One figure of all journeys, one panel each. */
export function journeysPlot(
  journeys: readonly Journey[], measure: MeasureName, init: { title: string; axis: string; isLogarithmic?: boolean },
): Plot {
  return {
    name: measure, ...init, format: (value) => formatMeasure(measure, value),
    panels: journeys.map(({ title, rows }): Panel => ({
      title, bars: rows.map((row) => barOf(row, describeRow(row), measure)),
    })),
  }
}

export function partsPlot(rows: readonly (Row & { title: string })[]): Plot {
  return {
    name: 'parts', title: 'What each part is worth', axis: 'sent by all hosts',
    format: (value) => formatMeasure('wireBytes', value),
    panels: [{
      title: '1 Gbit/s, idle guest, Pagemesh pre-copy to a host that keeps what is common',
      bars: rows.map((row) => barOf(row, row.title, 'wireBytes')),
    }],
  }
}

function barOf(row: Row, label: string, measure: MeasureName): Bar {
  return { label, colour: colourOf(row), points: row.samples.map((sample) => valueOf(sample, measure)) }
}

function colourOf({ way, cell }: Row): string {
  return isOurs(way) ? COLOURS[cell.destination] : COLOURS.qemu
}

function ratio(value: number | undefined): string {
  return value === undefined ? '' : formatRatio(value)
}
