import type { ClusterView, HostSummary, PopularPage } from '../../index.ts'
import { formatBytes, formatDuration, formatRate } from '../../text/units.ts'
import { concernsOf, ledgerOverTime, movesOf, pastOf, totalsOf, type Concern, type Move, type Past } from
  '../cluster/index.ts'
import { ledgerChart } from './chart.ts'
import { html, NOTHING, type Content, type Html } from './html.ts'
import { NOT_KNOWN, table } from './table.ts'

/** Past handoffs, and times of the chart, that are shown. */
const PAST_MAX = 30
const POINTS = 61
/** With more guests than this, each host's stand behind its name until they are asked for. */
const GUESTS_OPEN_MAX = 40
/** Moves that are read out. */
const READ_OUT_MAX = 5

/** A part of the page that is drawn anew when it changes. */
export interface Section {
  id: string
  /** Absent for what stands without a heading. */
  title?: string
  body: Html
}

/** The whole page of a cluster but for its frame. Pure. */
export function sectionsOf({ view, pages }: { view: ClusterView; pages: readonly PopularPage[] }): Section[] {
  const moves = movesOf(view)
  return [
    { id: 'totals', body: totals(view) },
    { id: 'spoken', body: html`${spoken(moves)}` },
    { id: 'concerns', title: 'Needs attention', body: concerns(concernsOf(view)) },
    { id: 'moves', title: 'Moves', body: movesTable(moves) },
    { id: 'hosts', title: 'Hosts', body: hostsTable(view) },
    { id: 'guests', title: 'Guests by host', body: guestTables(view) },
    { id: 'ledger', title: 'Saved against spent', body: ledger(view) },
    { id: 'popular', title: 'Most popular pages', body: popular(pages) },
    { id: 'history', title: 'History', body: history(pastOf(view, PAST_MAX)) },
  ]
}

function totals(view: ClusterView): Html {
  const { hosts, settledHosts, silentHosts, guests, moving, queued, savedBytes, spentBytes } = totalsOf(view)
  const tile = (name: string, value: Content, more: string): Html =>
    html`<div><dt>${name}</dt><dd><b>${value}</b> <span>${more}</span></dd></div>`
  return html`<dl class="totals">${[
    tile('Hosts', hosts, silentHosts > 0 ? `${silentHosts} silent` : `${settledHosts} settled`),
    tile('Guests', guests, ''),
    tile('On their way', moving, queued > 0 ? `${queued} wait` : ''),
    tile('Saved', formatBytes(Math.round(savedBytes)), 'by handoffs'),
    tile('Spent', formatBytes(Math.round(spentBytes)), 'beforehand'),
  ]}</dl>`
}

/** What a screen reader says when a move begins, changes its phase or ends. */
function spoken(moves: readonly Move[]): string {
  if (moves.length === 0) return 'No guest is on its way.'
  const said = moves.slice(0, READ_OUT_MAX)
    .map(({ guest, from, to, phase }) => `${guest} from ${from} to ${to}: ${phase}`)
  const more = moves.length - said.length
  return `${said.join('. ')}${more > 0 ? `. And ${more} more` : ''}.`
}

function concerns(all: readonly Concern[]): Html {
  if (all.length === 0) return html`<p class="well">Nothing. All hosts answer, and no guest is held.</p>`
  return html`<ul class="concerns">${all.map(({ level, about, what, advice }) => html`<li class="${level}">
<p><strong><span class="level">${level}</span> ${about}:</strong> ${what}</p><p class="advice">${advice}</p></li>
`)}</ul>`
}

function movesTable(moves: readonly Move[]): Html {
  return table({
    caption: 'Guests on their way', columns: ['Guest', 'From', 'To', 'Phase', 'Progress', '#Sent', '#Rate'],
    none: 'No guest is on its way.', stacks: true,
    rows: moves.map(({ guest, from, to, phase, why, percent, driver, wireBytes, wireBytesPerSecond }) => [
      guest, from, to,
      html`${phase}${driver === 'relay' ? ', relayed' : ''}${why === null ? NOTHING : html` <small>${why}</small>`}`,
      phase === 'queued' || percent === null ? NOT_KNOWN : progress(guest, percent),
      phase === 'queued' ? NOT_KNOWN : formatBytes(wireBytes),
      phase === 'queued' || wireBytesPerSecond === null ? NOT_KNOWN : formatRate(wireBytesPerSecond),
    ]),
  })
}

function progress(guest: string, percent: number): Html {
  const whole = Math.floor(percent)
  return html`<progress max="100" value="${whole}" aria-label="Progress of ${guest}"></progress> ${whole} %`
}

function hostsTable({ hosts, silent }: ClusterView): Html {
  return table({
    caption: 'Hosts', none: 'There is no host.', stacks: true,
    columns: ['Host', 'Version', 'State', '#Guests', 'Memory used', 'Store', '#Popular pages', '#Net saved'],
    rows: [
      ...hosts.map((host) => [
        host.host, host.version, stateOf(host), host.guestCount,
        fill(`Memory used on ${host.host}`, host.memory.totalBytes - host.memory.availableBytes,
          host.memory.totalBytes),
        host.store.maxBytes === 0 ? 'none'
          : fill(`Store of ${host.host}`, host.store.bytes, host.store.maxBytes),
        host.popularity.pages, formatBytes(host.ledger.netBytes),
      ]),
      ...silent.map(({ host }) => [host, NOT_KNOWN, html`<span class="bad">does not answer</span>`,
        ...Array<string>(5).fill(NOT_KNOWN)]),
    ],
  })
}

function stateOf({ settled, unsettledMs }: HostSummary): string {
  return settled ? 'settled' : `not settled for ${formatDuration(unsettledMs)}`
}

/** How full something is, drawn and in figures. */
function fill(name: string, bytes: number, maxBytes: number): Html {
  const share = maxBytes > 0 ? Math.min(100, Math.round(100 * bytes / maxBytes)) : 0
  return html`<meter min="0" max="100" value="${share}" aria-label="${name}"></meter> ${
    formatBytes(bytes)} of ${formatBytes(maxBytes)}`
}

function guestTables({ hosts }: ClusterView): Html {
  const isOpen = hosts.reduce((sum, { guestCount }) => sum + guestCount, 0) <= GUESTS_OPEN_MAX
  return html`${hosts.map(({ host, guests, guestCount, held }) => {
    const heldHere = new Set(held.map(({ guest }) => guest))
    const bytes = guests.reduce((sum, { ramBytes }) => sum + ramBytes, 0)
    const shown = guests.length < guestCount ? `, the first ${guests.length} are shown` : ''
    return html`<details data-key="guests ${host}"${isOpen ? html` open` : NOTHING}>
<summary><b>${host}</b> ${guestCount} ${guestCount === 1 ? 'guest' : 'guests'}, ${formatBytes(bytes)}${shown}</summary>
${table({
  caption: `Guests on ${host}`, columns: ['Guest', 'State', '#Memory', 'Manager'], none: 'No guest.',
  rows: guests.map(({ name, state, manager, ramBytes }) => [
    name, heldHere.has(name) ? html`<span class="bad">held</span>` : state, formatBytes(ramBytes),
    manager ?? NOT_KNOWN,
  ]),
})}</details>
`
  })}`
}

function ledger(view: ClusterView): Html {
  return html`<p>What handoffs sent less than QEMU alone would have, and what was spent on knowing and keeping popular
pages, since the agents started. A byte counts at both ends, so that the sums of all hosts are halved.</p>
${ledgerChart(ledgerOverTime(view, POINTS))}`
}

function popular(pages: readonly PopularPage[]): Html {
  return table({
    caption: 'Most popular pages', columns: ['Page', '#Hosts', '#Guests', 'A guest here has it', 'Holders'],
    none: 'No page is known to be popular yet: pages count from the second scan of a guest on.',
    rows: pages.map(({ prefix, hosts, guests, held, holders }) => [
      html`<code>${prefix}</code>`, hosts, guests, held ? 'yes' : 'no', holders.join(', ') || 'not known by name',
    ]),
  })
}

function history(past: readonly Past[]): Html {
  return table({
    caption: 'Handoffs that have ended',
    columns: ['Guest', 'From', 'To', 'Ended (UTC)', 'Outcome', '#Took', '#Downtime', '#QEMU wrote', '#Sent'],
    none: 'No handoff has ended yet.',
    rows: past.map(({ guest, from, to, endedAt, mode, status, reason, totalMs, downtimeMs, qemuBytes, wireBytes }) => [
      guest, from, to, endedAt.replace('T', ' ').replace(/(\.\d+)?Z$/, ''),
      html`<span class="${status === 'failed' ? 'bad' : 'plain'}">${status}</span>, ${mode}${
        reason === null ? NOTHING : html` <small>${reason}</small>`}`,
      totalMs === 0 ? NOT_KNOWN : `${(totalMs / 1000).toFixed(1)} s`,
      downtimeMs === null ? NOT_KNOWN : `${Math.round(downtimeMs)} ms`,
      ...[qemuBytes, wireBytes].map((bytes) => bytes === 0 ? NOT_KNOWN : formatBytes(bytes)),
    ]),
  })
}
