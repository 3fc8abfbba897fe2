/** The ways to other hosts and back. Pure. */
import type { Examination, HandoffRecord, PeerReach } from '../../index.ts'
import type { Attempt } from '../../net/tcpprobe.ts'
import { formatDuration, formatRate } from '../../text/units.ts'
import type { Facts } from './facts.ts'
import { check, type Finding } from './finding.ts'

/** Logs that differ by more are hard to read side by side. */
const CLOCK_DIFFERENCE_MS_MAX = 5_000
/** A shorter handoff was over before its link was full. */
const MEASURED_MS_MIN = 1_000

export function judgePeers(facts: Facts): Finding[] {
  const { agent: { examination, history }, to } = facts
  if (examination === null) return []
  const { peers, status: { host, version } } = examination
  if (peers.length === 0) return [judgeAbsence(facts)]
  const { advice } = examination.status.keys
  return [
    ...(advice === null ? [] : [check('cluster key').warning('Not all hosts have the same keys.', advice)]),
    ...(to === null ? [check('peers').ok(`This host sees ${peers.map((peer) => peer.host).join(', ')}.`)] : []),
    ...peers.flatMap((peer) => [
      ...judgeThere(peer), ...judgeAnswer(peer, { host, version }), ...judgeLink(peer.host, history),
    ]),
  ]
}

function judgeAbsence({ to, configuration, agent }: Facts): Finding {
  const advice = 'See that its agent runs, that both have the same cluster key, and that TCP passes both ways.'
  if (to !== null) {
    const names = agent.examination?.status.peers.map((peer) => peer.host).join(', ') ?? ''
    const found = `${to} is not in the mesh; this host sees ${names === '' ? 'nobody' : names}.`
    return check('peers', to).broken(found, advice)
  }
  const { advice: aboutKeys, strangers } = agent.examination!.status.keys
  if (aboutKeys !== null && strangers.length > 0) {
    return check('cluster key').broken('This host sees no other: those that it reaches hold another key.', aboutKeys)
  }
  const { bootstrap = [] } = configuration.config?.agentOptions ?? {}
  if (bootstrap.length > 0) {
    const found = `This host sees no other, though \`bootstrap\` names ${bootstrap.join(', ')}.`
    const why = agent.examination === null ? undefined : whyTurnedAway(agent.examination.status)
    if (why === undefined) return check('peers').broken(found, advice)
    return check('peers').broken(`${found} ${why[0]}`, why[1])
  }
  return check('peers').warning('This host sees no other, and `bootstrap` names none.',
    'Name a host of the mesh in `bootstrap` here, or this host in theirs.')
}

/** What keeps hosts out that did reach this one, and what to do. */
function whyTurnedAway({ strangers, refused }: Examination['status']): [string, string] | undefined {
  if (refused.names > 0) {
    return [`It refused ${refused.names} times a host whose name belongs to another identity.`,
      'See `pagemesh peers`: give that host another name, or accept its new identity there.']
  }
  if (strangers === 0) return undefined
  return [`It turned away ${strangers} that could not prove the cluster key.`,
    'Copy the same cluster key to every host, or see `pagemesh join`. If those are no hosts of yours, see that the ' +
      'other agent runs, and that TCP passes both ways.']
}

/** Who takes a guest dials the lane of who gives it: a way that is closed stops the handoffs of one direction. */
function judgeThere({ host, there: { mesh, lane } }: PeerReach): Finding[] {
  return [
    ...judgeMesh(check('mesh to', host), `this host to ${host}`, mesh),
    ...(lane === undefined ? [] : [lane.why === null
      ? check('lane to', host).ok(`Its lane at ${lane.address} was dialed.`)
      : check('lane to', host).broken(`Guests cannot come from ${host}: ${lane.why}`,
        `Let TCP from this host pass to ${lane.address} there.`)]),
  ]
}

function judgeMesh(about: ReturnType<typeof check>, way: string, tried: readonly Attempt[]): Finding[] {
  const reached = tried.filter(({ why }) => why === null)
  if (tried.length === 0) return []
  if (reached.length > 0) return [about.ok(`A connection from ${way} is possible, at ${addresses(reached)}.`)]
  const whys = tried.map(({ address, why }) => `${address}: ${why}`).join(', ')
  const found = `No connection from ${way} is possible (${whys}): they are connected from the other side alone.`
  return [about.warning(found,
    'Let TCP pass both ways, or have the host announce an address that the other reaches.')]
}

function judgeAnswer({ host, answer, why }: PeerReach, self: { host: string; version: string }): Finding[] {
  if (answer === null) {
    return [check('way back', host).warning(
      `Not known whether ${host} reaches this host, nor its clock and version: ${why}`,
      'Say `pagemesh doctor` there: its agent may be of a version that does not tell, or too busy.',
    )]
  }
  const { version, clockDifferenceMs, back: { lane, mesh } } = answer
  return [
    ...judgeMesh(check('mesh from', host), `${host} to this host`, mesh),
    lane.why === null
      ? check('lane from', host).ok(`It dialed this host's lane at ${lane.address}.`)
      : check('lane from', host).broken(`Guests cannot go to ${host}: ${lane.why}`,
        `Let TCP from ${host} pass to ${lane.address} here.`),
    judgeClock(host, clockDifferenceMs),
    version === self.version ? check('version of', host).ok(`Pagemesh ${version}.`)
      : check('version of', host).warning(`It runs Pagemesh ${version}, this host ${self.version}.`,
        'Install the same version on both.'),
  ]
}

function judgeClock(host: string, differenceMs: number): Finding {
  const about = check('clock of', host)
  const size = Math.abs(differenceMs)
  if (size <= CLOCK_DIFFERENCE_MS_MAX) return about.ok(`It differs by ${Math.round(size)} ms.`)
  return about.warning(`It is ${formatDuration(size)} ${differenceMs > 0 ? 'ahead of' : 'behind'} this host's.`,
    'Have both hosts follow a time server: logs and histories cannot be compared.')
}

function judgeLink(host: string, history: readonly HandoffRecord[]): Finding[] {
  const last = history.find(({ direction, status, to, totalMs }) =>
    direction === 'outgoing' && status === 'completed' && to === host && totalMs >= MEASURED_MS_MIN)
  if (last === undefined) return [check('link to', host).ok('Not measured: no handoff there took a second or more.')]
  const rate = formatRate(last.wireBytes / last.totalMs * 1000)
  return [check('link to', host).ok(`The handoff of ${last.guest} took ${rate} on average, at ${last.endedAt}.`)]
}

function addresses(attempts: readonly Attempt[]): string {
  return attempts.map(({ address }) => address).join(', ')
}
