import { drawChart, FONT, INK } from '../../testnet/compare/report/charts.ts'
import type { FigureName } from './figures.ts'
import type { Days } from './verdict.ts'

const PANELS: readonly { figure: FigureName; title: string; unit: number }[] = [
  { figure: 'heapBytes', title: 'heap after collection, MiB', unit: 2 ** 20 },
  { figure: 'rssBytes', title: 'resident, MiB', unit: 2 ** 20 },
  { figure: 'descriptors', title: 'descriptors', unit: 1 },
  { figure: 'sockets', title: 'sockets', unit: 1 },
  { figure: 'timers', title: 'timers', unit: 1 },
  { figure: 'threads', title: 'threads', unit: 1 },
  { figure: 'lagP99Ms', title: 'event-loop lag, 99th percentile of the day, ms', unit: 1 },
]
const COLOURS = ['#1b6ca8', '#c0392b', '#2e8b57']
const WIDTH = 1000
const COLUMNS = 2
const PANEL = { left: 60, top: 70, height: 150, gap: 60 }

/** The figures over the days, a panel each and a line an agent, as SVG. Pure. */
export function drawMonth(days: Days, title: string): string {
  const column = WIDTH / COLUMNS
  const numbers = Object.values(days)[0]!.map((_, day) => day + 1)
  const places = PANELS.map((_, index) => ({
    left: PANEL.left + index % COLUMNS * column, width: column - PANEL.left - 20, height: PANEL.height,
    top: PANEL.top + Math.floor(index / COLUMNS) * (PANEL.height + PANEL.gap),
  }))
  const heading = (text: string, left: number | string, top: number, fontSize: number): Record<string, unknown> =>
    ({ text, left, top, textStyle: { fontSize, fontFamily: FONT, color: INK } })
  return drawChart(WIDTH, Math.max(...places.map(({ top }) => top)) + PANEL.height + PANEL.gap, {
    title: [
      heading(title, 'center', 8, 17),
      ...PANELS.map((panel, index) => heading(panel.title, places[index]!.left, places[index]!.top - 28, 13)),
    ],
    grid: places,
    xAxis: PANELS.map((_, gridIndex) => ({ gridIndex, type: 'category', data: numbers })),
    yAxis: PANELS.map((_, gridIndex) => ({ gridIndex, type: 'value', min: 0, splitNumber: 3 })),
    series: PANELS.flatMap(({ figure, unit }, index) => Object.entries(days).map(([host, figures], line) => ({
      type: 'line', name: host, xAxisIndex: index, yAxisIndex: index, showSymbol: false,
      lineStyle: { color: COLOURS[line % COLOURS.length] }, data: figures.map((each) => each[figure] / unit),
    }))),
  })
}
