import type { AgentStatus } from '../index.ts'
import { formatBytes, formatDuration, formatRate } from '../text/units.ts'
import { alignColumns } from './table.ts'

/** The agent's status as text. Pure. */
export function renderStatus(status: AgentStatus): string {
  const { host, version, peerId, settled, peers, guests, handoffs, held, unsettled } = status
  const { strangers, refused, unusable, ledger } = status
  const { invitations } = status
  const hasTenants = guests.some(({ tenant }) => tenant !== 'shared')
  return [
    `${host}  Pagemesh ${version}  ${settled ? 'settled' : 'not settled yet'}`,
    `peer ${peerId}`,
    '',
    ...doubledLines(status),
    ...(unsettled.length > 0 ? [`Not known to have arrived, keep this agent: ${unsettled.join(', ')}`, ''] : []),
    ...(held.length > 0 ? ['Held: these guests wait here, paused, for you', ...held.map(describeHeld)] : []),
    ...(status.keys.advice === null ? [] : [`Cluster key: ${status.keys.advice}`, '']),
    section('Handoffs', handoffs.map(handoffRow)),
    section('Guests', guests.map((guest) => [
      guest.name, guest.state, guest.manager ?? guest.driver ?? 'embedded',
      ...(hasTenants ? [guest.tenant] : []),
      guest.pid === null ? '-' : `pid ${guest.pid}`,
      formatBytes(guest.ramBytes), `${guest.residentPages} pages resident`, `${guest.distinctPages} distinct`,
    ])),
    ...(unusable.length > 0
      ? ['Refused: the guests behind these sockets and processes', ...unusable.map(describeUnusable), ''] : []),
    section('Peers', peers.map((peer) => [peer.host, peer.address, peer.peerId])),
    ...(strangers > 0 ? [`  ${strangers} turned away: they could not prove the cluster key`] : []),
    ...(refused.names > 0
      ? [`  ${refused.names} times refused: a host whose name belongs to another identity (pagemesh peers)`] : []),
    ...(invitations.open + invitations.joined + invitations.refused > 0 ? [
      `  invitations: ${invitations.open} open, ${invitations.joined} hosts joined, ${invitations.refused} refused`,
    ] : []),
    ...interceptLines(status.intercept),
    section('Pages', pageRows(status)),
    section('Traffic', Object.entries(status.traffic).map(([account, { sentBytes, receivedBytes }]) => [
      account, `${formatBytes(sentBytes)} sent`, `${formatBytes(receivedBytes)} received`,
    ])),
    section('Ledger', [[
      `${formatBytes(ledger.savedBytes)} saved`,
      ...(Object.entries(ledger.spentBytes) as [string, number][])
      .map(([account, bytes]) => `${account} ${formatBytes(bytes)}`),
      `net ${formatBytes(ledger.netBytes)}`,
    ]]),
  ].join('\n')
}

function doubledLines({ peerId: own, doubled }: AgentStatus): string[] {
  if (doubled.length === 0) return []
  return [
    ...doubled.map(({ host, peerId }) => peerId === own
      ? `Another host runs with this host's identity: others let neither in (pagemesh doctor)`
      : `Several hosts run with the identity of ${host}: none of them is let in (pagemesh doctor)`),
    '',
  ]
}

/** Why a guest is held, what is known of its other copy, and what to do. */
function describeHeld({ guest, from, sinceMs, why, otherCopy, isOpen }: AgentStatus['held'][number]): string {
  return [
    `  ${guest}  from ${from}  for ${formatDuration(sinceMs)}`,
    `    ${why}`,
    `    ${otherCopy}`,
    ...isOpen ? [`    Look at the copy on ${from}, then decide: \`pagemesh settle ${guest} --run\` or \`--end\`.`] : [],
  ].join('\n')
}

function describeUnusable({ path, reason }: AgentStatus['unusable'][number]): string {
  return `  ${path}\n    ${reason}`
}

function handoffRow(handoff: AgentStatus['handoffs'][number]): string[] {
  if (handoff.direction === 'incoming') {
    const by = handoff.driver === 'relay' ? [relayedBy(handoff)] : []
    return [handoff.guest, `from ${handoff.from}`, handoff.phase, ...by, formatBytes(handoff.streamBytes)]
  }
  if (handoff.driver === 'relay') {
    const sent = `${formatBytes(handoff.wireBytes)} sent`
    return [handoff.guest, `to ${handoff.to}`, handoff.phase, relayedBy(handoff), sent]
  }
  if (handoff.phase === 'queued') return [handoff.guest, `to ${handoff.to}`, 'queued', handoff.why ?? '']
  return [
    handoff.guest, `to ${handoff.to}`, handoff.phase, `${Math.floor(handoff.percent)} %`,
    `${formatBytes(handoff.wireBytes)} sent`, formatRate(handoff.wireBytesPerSecond),
  ]
}

/** Which manager drives a relayed migration. */
function relayedBy({ manager }: { manager: string | null }): string {
  return manager === null ? 'relayed' : `relayed for ${manager}`
}

/** Empty if interception is off. */
function interceptLines({ active, why, members, carried, direct, refused }: AgentStatus['intercept']): string[] {
  if (!active && why === null) return []
  return [section('Interception', [
    active ? ['on', members.length === 0 ? 'no members' : `to ${members.join(', ')}`] : ['not possible', why ?? ''],
    ['connections', `${carried} carried`, `${direct} direct`, `${refused} refused`],
  ])]
}

function pageRows({ census, popularity, placement, store }: AgentStatus): string[][] {
  return [
    [
      'census', `${census.distinctPages} distinct`, `${census.scans} scans`, formatBytes(census.bytes),
      ...(census.omittedPages > 0 ? [`full: ${census.omittedPages} left out`] : []),
    ],
    ['popularity', `${popularity.pages} pages`, formatBytes(popularity.bytes), ...refusedCell(popularity.refused)],
    ['placement', `${placement.held} of ${placement.wanted} held`, `${placement.pending} pending`],
    ['store', `${store.pages} pages`, `${formatBytes(store.bytes)} of ${formatBytes(store.maxBytes)}`],
  ]
}

function refusedCell(refused: number): string[] {
  return refused === 0 ? [] : [`${refused} messages refused`]
}

function section(title: string, rows: readonly string[][]): string {
  return rows.length === 0 ? `${title}: none` : `${title}\n${alignColumns(rows, '  ')}`
}
