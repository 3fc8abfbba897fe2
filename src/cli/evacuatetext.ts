import type { EvacuatedGuest, EvacuationNews, EvacuationResult, HandoffProgress } from '../index.ts'
import type { Clock } from '../runtime/clock.ts'
import { printable } from '../text/printable.ts'
import { formatBytes, formatRate } from '../text/units.ts'
import { renderEstimate, seconds } from './handofftext.ts'
import { alignColumns } from './table.ts'
import { TerminalLine, type ProgressOutput } from './terminalline.ts'

/** Where all guests are, in place on a terminal; what became of each is a line that stays. */
export class EvacuationLine {
  readonly #line: TerminalLine
  readonly #moving = new Map<string, HandoffProgress>()
  readonly #isDryRun: boolean
  #done = 0

  constructor(components: { output: ProgressOutput; clock: Clock }, { isDryRun }: { isDryRun: boolean }) {
    this.#line = new TerminalLine(components)
    this.#isDryRun = isDryRun
  }

  show(news: EvacuationNews): void {
    if ('event' in news) {
      this.#moving.delete(news.guest)
      this.#done = news.done
      // A dry run says at its end what would become of each.
      if (this.#isDryRun) this.#line.show(`${news.done} of ${news.total} guests looked at`)
      else this.say(`${news.done} of ${news.total}  ${describe(printable(news))}`)
      return
    }
    this.#moving.set(news.guest, news)
    this.#line.show(this.#describeAll())
  }

  /** Says something that stays. */
  say(text: string): void {
    this.#line.replace(text)
  }

  end(): void {
    this.#line.end()
  }

  #describeAll(): string {
    const all = [...this.#moving.values()]
    const moving = all.filter(({ phase }) => phase !== 'queued')
    const rate = moving.reduce((sum, { wireBytesPerSecond }) => sum + wireBytesPerSecond, 0)
    const each = moving.map((one) => `${printable(one).guest} -> ${one.to} ${Math.floor(one.percent)} %`)
    const queued = all.length > moving.length ? [`${all.length - moving.length} queued`] : []
    return [`${this.#done} done`, ...each, ...queued, formatRate(rate)].join('  ')
  }
}

/** What became of all guests, for people. Pure. */
export function renderEvacuation(result: EvacuationResult): string {
  const { from, dryRun, guests, totalMs, wireBytes } = printable(result)
  if (guests.length === 0) return `There is no guest on ${from}.`
  if (dryRun) return [...guests.map(describePlan), ...describeSum(guests)].join('\n')
  const left = guests.filter(({ status }) => status === 'completed').length
  const stayed = guests.filter(({ status }) => status !== 'completed')
  return [
    `${left} of ${guests.length} guests left ${from} in ${seconds(totalMs)}, ${formatBytes(wireBytes)} on the wire.`,
    ...stayed.map((guest) => `  ${describe(guest)}`),
  ].join('\n')
}

/** What each guest came to, as rows. */
function describe({ guest, to, why, status, reason, result }: EvacuatedGuest): string {
  if (status === 'completed' && result !== undefined) {
    return alignColumns([[
      guest, `went to ${to}`, `in ${seconds(result.totalMs)}`, `${formatBytes(result.wireBytes)} on the wire`,
      ...(why === undefined ? [] : [why]),
    ]])
  }
  return `${guest} has stayed${to === null ? '' : ` (${to})`}: ${reason ?? status}`
}

function describePlan({ guest, to, why, estimate, reason }: EvacuatedGuest): string {
  if (to === null) return `${guest} would stay: ${reason}`
  const there = `${guest} would go to ${to}.${why === undefined ? '' : ` ${why}`}`
  return estimate === undefined ? there : `${there}\n${renderEstimate(estimate)}`
}

/** What all of them would come to, one after the other; nothing where that is not known of one of them. */
function describeSum(guests: readonly EvacuatedGuest[]): string[] {
  const expected = guests.map(({ estimate }) => estimate?.expected).filter((one) => one !== undefined)
  if (expected.length < 2) return []
  const wireBytes = expected.reduce((sum, one) => sum + one.wireBytes, 0)
  const times = expected.map(({ totalMs }) => totalMs)
  const total = times.every((ms) => ms !== null)
    ? `, ${seconds(times.reduce((sum, ms) => sum + ms, 0))} one after the other` : ''
  return [`All together: about ${formatBytes(wireBytes)} on the wire${total}.`]
}
