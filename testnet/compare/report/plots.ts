/** Bar charts as SVG text: bars are medians, points the measurements. Pure. */
import { spreadOf } from '../results.ts'
import { drawChart, FONT, INK } from './charts.ts'

export interface Bar {
  label: string
  colour: string
  /** All measurements; the bar's length is their median. */
  points: readonly number[]
}

export interface Panel {
  title: string
  bars: readonly Bar[]
}

export interface Plot {
  /** Name of the file, without its ending. */
  name: string
  title: string
  /** What the bars' length means, with its unit. */
  axis: string
  panels: readonly Panel[]
  format: (value: number) => string
  /** For values of very different sizes. */
  isLogarithmic?: boolean
}

const WIDTH = 1000
const COLUMNS = 2
/** Room for titles, labels and axes, pixels. */
const SIZES = { title: 44, panelTitle: 26, bar: 24, axis: 54, labels: 205, values: 92 }
/** A logarithmic axis has no zero: shorter bars are drawn with this value. */
const LOG_LEAST = 1

export function drawPlot(plot: Plot): string {
  const places = placesOf(plot.panels)
  const height = Math.max(...places.map(({ top, height }) => top + height)) + SIZES.axis
  return drawChart(WIDTH, height, {
    title: [
      { text: plot.title, left: 'center', top: 8, textStyle: { fontSize: 17, fontFamily: FONT, color: INK } },
      ...plot.panels.map((panel, index) => panelTitle(panel, places[index]!)),
    ],
    grid: places.map(({ left, top, width, height }) => ({ left, top, width, height, containLabel: false })),
    xAxis: plot.panels.map((_, gridIndex) => valueAxis(plot, gridIndex)),
    yAxis: plot.panels.map((panel, gridIndex) => labelAxis(panel, gridIndex)),
    series: plot.panels.flatMap((panel, index) => [
      bars(plot, panel, index), points(plot, panel, index), labels(plot, panel, index),
    ]),
  })
}

interface Place {
  left: number
  top: number
  width: number
  height: number
}

/** Two panels a row, with heights by their number of bars. */
function placesOf(panels: readonly Panel[]): Place[] {
  const columns = Math.min(COLUMNS, panels.length)
  const column = WIDTH / columns
  const places: Place[] = []
  let top = SIZES.title + SIZES.panelTitle
  for (let first = 0; first < panels.length; first += columns) {
    const row = panels.slice(first, first + columns)
    row.forEach(({ bars }, index) => places.push({
      left: index * column + SIZES.labels, top, width: column - SIZES.labels - SIZES.values,
      height: bars.length * SIZES.bar,
    }))
    top += Math.max(...row.map(({ bars }) => bars.length)) * SIZES.bar + SIZES.axis + SIZES.panelTitle
  }
  return places
}

function panelTitle({ title }: Panel, { left, top }: Place): Record<string, unknown> {
  return {
    text: title, left: left - SIZES.labels + 12, top: top - SIZES.panelTitle,
    textStyle: { fontSize: 14, fontFamily: FONT, color: INK },
  }
}

function valueAxis({ axis, format, isLogarithmic }: Plot, gridIndex: number): Record<string, unknown> {
  return {
    gridIndex, name: axis, nameLocation: 'middle', nameGap: 26,
    nameTextStyle: { color: INK, fontSize: 11 },
    ...(isLogarithmic === true ? { type: 'log', min: LOG_LEAST } : { type: 'value', min: 0 }),
    splitNumber: 3,
    axisLabel: { color: INK, fontSize: 11, hideOverlap: true, formatter: format },
    splitLine: { lineStyle: { color: '#ddd' } },
  }
}

function labelAxis({ bars }: Panel, gridIndex: number): Record<string, unknown> {
  return {
    gridIndex, type: 'category', inverse: true, data: bars.map(({ label }) => label),
    axisTick: { show: false }, axisLine: { lineStyle: { color: '#888' } },
    axisLabel: { color: INK, fontSize: 11, interval: 0, width: SIZES.labels - 20, overflow: 'truncate' },
  }
}

function bars(plot: Plot, panel: Panel, index: number): Record<string, unknown> {
  return {
    type: 'bar', xAxisIndex: index, yAxisIndex: index, barWidth: '62%', silent: true,
    data: panel.bars.map(({ points, colour }) => ({
      value: drawn(plot, spreadOf(points).median), itemStyle: { color: colour },
    })),
  }
}

/** A single measurement is the end of its bar; several show their spread. */
function points(plot: Plot, panel: Panel, index: number): Record<string, unknown> {
  return {
    type: 'scatter', xAxisIndex: index, yAxisIndex: index, symbolSize: 5, silent: true, z: 3,
    itemStyle: { color: '#fff', borderColor: INK, borderWidth: 1 },
    data: panel.bars.flatMap(({ points }, row) =>
      (points.length > 1 ? points.map((value) => [drawn(plot, value), row]) : [])),
  }
}

/** The bar's value, right of its last point. */
function labels(plot: Plot, panel: Panel, index: number): Record<string, unknown> {
  return {
    type: 'scatter', xAxisIndex: index, yAxisIndex: index, symbolSize: 0, silent: true,
    data: panel.bars.map(({ points }, row) => ({
      value: [drawn(plot, spreadOf(points).highest), row],
      label: {
        show: true, position: 'right', distance: 8, color: INK, fontSize: 11,
        formatter: () => plot.format(spreadOf(points).median),
      },
    })),
  }
}

function drawn({ isLogarithmic }: Plot, value: number): number {
  return isLogarithmic === true ? Math.max(LOG_LEAST, value) : value
}
