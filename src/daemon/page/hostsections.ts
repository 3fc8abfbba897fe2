import type { AgentStatus, Traffic } from '../../index.ts'
import { formatBytes, formatDuration, formatRate } from '../../text/units.ts'
import type { Section } from './sections.ts'
import { table } from './table.ts'

const HANDOFF_COLUMNS = ['Guest', 'Direction', 'Other host', 'Driver', 'Phase', '#Progress', '#Wire']
const GUEST_COLUMNS = ['Name', 'Process', 'State', 'Driver', '#Memory', '#Resident pages', '#Distinct']

/** One agent's status. Pure. */
export function hostSectionsOf(status: AgentStatus): Section[] {
  const { peers, guests, handoffs, held, unusable } = status
  return [
    section('held', 'Held', ['Guest', 'From', 'For', 'Why', 'Other copy', 'What to do'], held.map(heldRow)),
    section('handoffs', 'Handoffs', HANDOFF_COLUMNS, handoffs.map(handoffRow)),
    section('guests', 'Guests', GUEST_COLUMNS, guests.map(guestRow)),
    section('refused', 'Refused', ['Where', 'Why'], unusable.map(({ path, reason }) => [path, reason])),
    section('peers', 'Peers', ['Host', 'Address', 'Peer id'], peers.map((peer) => [
      peer.host, peer.address, peer.peerId])),
    section('pages', 'Pages', ['Part', '#Pages', '#Bytes'], pageRows(status)),
    section('traffic', 'Traffic', ['Account', '#Sent', '#Received'], Object.entries(status.traffic).map(trafficRow)),
    section('ledger', 'Ledger', ['Account', '#Bytes'], ledgerRows(status)),
  ]
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

function section(id: string, title: string, columns: readonly string[], rows: readonly string[][]): Section {
  return { id, title, body: table({ caption: title, columns, rows, none: 'None.', stacks: columns.length > 3 }) }
}
