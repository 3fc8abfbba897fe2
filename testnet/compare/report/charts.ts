/** Charts as SVG text, by echarts. */
import { createRequire } from 'node:module'

/** The few parts of echarts that are used. Its own types do not compile under exactOptionalPropertyTypes. */
interface Charts {
  init(element: null, theme: null, options: { renderer: 'svg'; ssr: true; width: number; height: number }): {
    setOption(option: Record<string, unknown>): void
    renderToSVGString(): string
    dispose(): void
  }
}

const charts = createRequire(import.meta.url)('echarts') as Charts

export const FONT = 'DejaVu Sans, Verdana, sans-serif'
export const INK = '#222'

/** @param option echarts' own, beside what all charts have in common */
export function drawChart(width: number, height: number, option: Record<string, unknown>): string {
  const chart = charts.init(null, null, { renderer: 'svg', ssr: true, width, height })
  try {
    chart.setOption({
      animation: false, backgroundColor: '#fff', textStyle: { fontFamily: FONT, color: INK }, ...option,
    })
    return chart.renderToSVGString()
  } finally {
    chart.dispose()
  }
}
