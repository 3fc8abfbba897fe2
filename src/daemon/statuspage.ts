import type { AgentStatus, Traffic } from '../index.ts'
import { escapeControls } from '../text/printable.ts'
import { formatBytes, formatDuration, formatRate } from '../text/units.ts'

/** Refresh interval of the page. */
const REFRESH_SECONDS = 5

const STYLE = `
body { font: 15px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem }
body { color: #222; background: #fff }
h1 { font-size: 1.4rem; margin-bottom: 0 } h2 { font-size: 1rem; margin: 2rem 0 .3rem } p { margin: 0; color: #666 }
table { border-collapse: collapse; width: 100% } th { text-align: left; font-weight: 600; color: #666 }
th, td { padding: .25rem 1rem .25rem 0; border-bottom: 1px solid #ddd; overflow-wrap: anywhere }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap }
@media (prefers-color-scheme: dark) { body { color: #ddd; background: #181818 } th, td { border-color: #333 } }
`

const HANDOFF_COLUMNS = ['Guest', 'Direction', 'Other host', 'Driver', 'Phase', '#Progress', '#Wire']
const GUEST_COLUMNS = ['Name', 'Process', 'State', 'Driver', '#Memory', '#Resident pages', '#Distinct']

/** The agent's status as an HTML page without external resources. Pure. */
export function renderStatusPage(status: AgentStatus): string {
  const { host, version, peerId, settled, peers, guests, handoffs, held, unusable } = status
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="refresh" content="${REFRESH_SECONDS}">
<meta name="viewport" content="width=device-width">
<title>${escape(host)} - Pagemesh</title>
<style>${STYLE}</style>
</head>
<body>
<h1>${escape(host)}</h1>
<p>Pagemesh ${escape(version)}, peer ${escape(peerId)}, ${settled ? 'settled' : 'not settled yet'}</p>
${section('Held', ['Guest', 'From', 'For', 'Why', 'Other copy', 'What to do'], held.map(heldRow))}
${section('Handoffs', HANDOFF_COLUMNS, handoffs.map(handoffRow))}
${section('Guests', GUEST_COLUMNS, guests.map(guestRow))}
${section('Refused', ['Where', 'Why'], unusable.map(({ path, reason }) => [path, reason]))}
${section('Peers', ['Host', 'Address', 'Peer id'], peers.map((peer) => [peer.host, peer.address, peer.peerId]))}
${section('Pages', ['', '#Pages', '#Bytes'], pageRows(status))}
${section('Traffic', ['', '#Sent', '#Received'], Object.entries(status.traffic).map(trafficRow))}
${section('Ledger', ['', '#Bytes'], ledgerRows(status))}
</body>
</html>
`
}

function handoffRow(handoff: AgentStatus['handoffs'][number]): string[] {
  const driver = handoff.driver === 'relay' ? handoff.manager ?? 'a manager' : 'this agent'
  if (handoff.direction === 'incoming') {
    return [handoff.guest, 'from', handoff.from, driver, handoff.phase, formatBytes(handoff.streamBytes), '-']
  }
  if (handoff.driver === 'relay') {
    return [handoff.guest, 'to', handoff.to, driver, handoff.phase, '-', formatBytes(handoff.wireBytes)]
  }
  return [
    handoff.guest, 'to', handoff.to, driver, handoff.phase, `${Math.floor(handoff.percent)} %`,
    `${formatBytes(handoff.wireBytes)} at ${formatRate(handoff.wireBytesPerSecond)}`,
  ]
}

function heldRow({ guest, from, sinceMs, why, otherCopy, isOpen }: AgentStatus['held'][number]): string[] {
  const advice = isOpen ? `Look at the copy on ${from}, then decide here: pagemesh settle ${guest} --run or --end` : ''
  return [guest, from, formatDuration(sinceMs), why, otherCopy, advice]
}

function guestRow(guest: AgentStatus['guests'][number]): string[] {
  return [
    guest.name, guest.pid === null ? '-' : String(guest.pid), guest.state, guest.manager ?? guest.driver ?? 'embedded',
    formatBytes(guest.ramBytes), String(guest.residentPages), String(guest.distinctPages),
  ]
}

function trafficRow([account, { sentBytes, receivedBytes }]: [string, Traffic]): string[] {
  return [account, formatBytes(sentBytes), formatBytes(receivedBytes)]
}

function ledgerRows({ ledger }: AgentStatus): string[][] {
  return [
    ['saved by handoffs', formatBytes(ledger.savedBytes)],
    ...(Object.entries(ledger.spentBytes) as [string, number][])
      .map(([account, bytes]) => [`spent: ${account}`, formatBytes(bytes)]),
    ['net', formatBytes(ledger.netBytes)],
  ]
}

function pageRows({ census, popularity, placement, store }: AgentStatus): string[][] {
  return [
    ['census', String(census.distinctPages), formatBytes(census.bytes)],
    ['popularity', String(popularity.pages), formatBytes(popularity.bytes)],
    ['placement, held of wanted', `${placement.held} of ${placement.wanted}`, '-'],
    ['store', String(store.pages), `${formatBytes(store.bytes)} of ${formatBytes(store.maxBytes)}`],
  ]
}

/** A heading and a table; a column whose title begins with # holds numbers. */
function section(title: string, columns: readonly string[], rows: readonly string[][]): string {
  if (rows.length === 0) return `<h2>${title}</h2>\n<p>None.</p>`
  const cell = (tag: string, text: string, column: number): string => {
    const isNumber = columns[column]?.startsWith('#') === true
    return `<${tag}${isNumber ? ' class="number"' : ''}>${escape(text)}</${tag}>`
  }
  const head = columns.map((text, column) => cell('th', text.replace(/^#/, ''), column)).join('')
  const body = rows.map((row) => `<tr>${row.map((text, column) => cell('td', text, column)).join('')}</tr>`).join('\n')
  return `<h2>${title}</h2>\n<table>\n<tr>${head}</tr>\n${body}\n</table>`
}

function escape(text: string): string {
  return escapeControls(text).replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`)
}
