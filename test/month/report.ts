import type { MonthReport } from './run.ts'

/** For people. */
export function summaryOf(report: MonthReport, plot?: string): string {
  const { seed, guests, handoffs, joins, strangers, compared, handoffMs, joinMsMax, lag, idleLag } = report
  const came = Object.values(strangers).reduce((sum, count) => sum + count, 0)
  const ms = (value: number): string => `${value.toFixed(0)} ms`
  return [
    `seed ${seed}: ${handoffs} handoffs of a ${guests} guest (${ms(handoffMs.median)}, at most ` +
      `${ms(handoffMs.highest)}), memory equal ${compared} times, ${joins} joins (at most ${ms(joinMsMax)}), ` +
      `${came} strangers`,
    `event-loop lag, 99th percentile of a day: median ${ms(lag.medianMs)}, highest ${ms(lag.highestMs)}; ` +
      `of an idle process beside them ${ms(idleLag.medianMs)}, ${ms(idleLag.highestMs)}`,
    ...report.slopes.map(({ host, figure, rise, riseMax }) =>
      `${host} ${figure}: ${rise.toFixed(2)} more, at most ${riseMax.toFixed(2)}`),
    ...plot === undefined ? [] : [plot],
    ...report.failures,
  ].join('\n')
}
