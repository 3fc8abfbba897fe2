/**
 * The protocol between commands and agent over the control socket.
 *
 * Goals: readable with a terminal and by any script; progress while a handoff runs; an exact result at its end; a
 * handoff outlives the command that asked for it. Non-goals: other machines and other users (the socket's mode is the
 * access control), several requests at once on one connection, bulk data.
 *
 *   line    = JSON object LF                             utf-8, bounded by CONTROL_LIMITS
 *   request = {command, arguments?}                      ping | status | cluster | peers | pages | history | audit
 *                                                        | held | migrate | evacuate | recover | cancel | settle
 *                                                        | acceptPeer | tunnel | examine | metrics | invite
 *   answer  = *progress (result | error)                 one answer a request, in order
 *   progress = {progress: HandoffProgress | EvacuationNews | TunnelProgress}
 *   result  = {result}
 *   error   = {error: {code, message, advice?, fault}}
 *
 *   command                          agent
 *      | {command: 'migrate', ...}     |
 *      |------------------------------>|
 *      |   {progress} several times/s  |
 *      |<------------------------------|
 *      | {command: 'cancel'}           |   without a guest: cancels the migrate, evacuate, recover or tunnel that waits
 *      |- - - - - - - - - - - - - - - >|   on this connection. It has no answer of its own: that request's tells.
 *      |   {result}                    |
 *      |<------------------------------|
 *
 *            request                        another request: error `busy`
 *   idle ---------------> working ------------------------------------------> closed
 *    ^                       |  |  overlong or malformed line (also in idle)
 *    +--- result or error ---+  +--- the client hangs up: a handoff goes on, a tunnel ends
 */
import type {
  AuditRecord, CancelOutcome, EvacuateRequest, EvacuationNews, HandoffProgress, HandoffRecord, HandoffResult,
  InviteRequest, MigrateRequest, PeerName, PopularPage, SettleDecision, TunnelNews, TunnelRequest,
} from '../../index.ts'
import { PagemeshError, type Fault } from '../../runtime/errors.ts'
import { parseJson } from '../../text/json.ts'

export const CONTROL_LIMITS = {
  /** A request holds a few names and numbers. */
  requestBytesMax: 64 * 1024,
  /** The longest answer is a full list of pages, each with three holders with names of the greatest length. */
  answerBytesMax: 32 * 1024 * 1024,
  /** Most popular pages in one answer. */
  pagesMax: 100_000,
  /** Most past handoffs in one answer; an agent remembers no more. */
  recordsMax: 200,
  /** Most records of the audit log in one answer; a record takes about 200 bytes. */
  auditMax: 20_000,
  /** Most connections at once; beyond it the longest idle one is closed. */
  connectionsMax: 64,
  /** While more than this is unread by the client, progress is dropped, not queued. */
  unreadBytesMax: 64 * 1024,
  nameCharactersMax: 255,
  /** Most channels of a handoff: the agent's limit, repeated here because commands do not load the agent. */
  channelsMax: 16,
  /** Hosts that are named in one request, and guests that leave at once. */
  hostsMax: 1000,
  parallelMax: 99,
  /** The agent has its own limits as well. */
  invitation: { ttlMsMax: 7 * 24 * 3_600_000, usesMax: 100 },
} as const

export interface MigrateArguments extends Omit<MigrateRequest, 'signal'> {
  /** Only asks the destination which pages it has. */
  dryRun?: boolean
}

export interface EvacuateArguments extends Omit<EvacuateRequest, 'signal' | 'onNews'> {}

/** A tunnel is open until its request is cancelled or its client hangs up. */
export type TunnelArguments = Omit<TunnelRequest, 'onNews'>

export type ControlRequest =
  | { command: 'ping' | 'status' | 'cluster' | 'peers' | 'metrics' }
  | { command: 'pages' | 'history' | 'audit'; arguments: { countMax: number } }
  /** Of all members, or of the one named. */
  | { command: 'examine'; arguments: { to?: string } }
  | { command: 'acceptPeer'; arguments: { name: string; peerId?: string } }
  | { command: 'invite'; arguments: InviteRequest }
  | { command: 'held' | 'recover'; arguments: { guest: string } }
  | { command: 'migrate'; arguments: MigrateArguments }
  | { command: 'evacuate'; arguments: EvacuateArguments }
  | { command: 'tunnel'; arguments: TunnelArguments }
  | { command: 'settle'; arguments: { guest: string; decision: SettleDecision } }
  /** Without a guest: cancels the request that waits on this connection. */
  | { command: 'cancel'; arguments: { guest?: string } }

/** The most popular pages, most popular first. */
export interface PagesResult {
  pages: PopularPage[]
}

/** Handoffs that have ended, newest first. */
export interface HistoryResult {
  handoffs: HandoffRecord[]
}

/** The audit log, newest first. */
export interface AuditResult {
  records: AuditRecord[]
}

/** The host names of the mesh, and which identity each belongs to. */
export interface PeersResult {
  peers: PeerName[]
}

/** What Prometheus would be told. */
export interface MetricsResult {
  text: string
}

/** The outcome of a guest's `cancel`. */
export interface CancelResult {
  guest: string
  status: CancelOutcome['status']
  reason?: string
  /** The result of the handoff. */
  result: HandoffResult
}

export interface ErrorAnswer {
  code: string
  message: string
  advice?: string
  fault: Fault
}

/** Messages before the answer: the progress of a handoff or an evacuation, or a tunnel's opening and events. */
export type Progress = HandoffProgress | EvacuationNews | TunnelProgress

export type TunnelProgress = TunnelNews | { event: 'listening' }

export type ControlAnswer = { progress: Progress } | { result: unknown } | { error: ErrorAnswer }

/** Most records of one answer. */
const MOST = {
  pages: CONTROL_LIMITS.pagesMax, history: CONTROL_LIMITS.recordsMax, audit: CONTROL_LIMITS.auditMax,
}

const FAULTS: readonly string[] = ['usage', 'guest', 'peer', 'network', 'host', 'cancelled'] satisfies Fault[]

export function encodeRequest(request: ControlRequest): string {
  return `${JSON.stringify(request)}\n`
}

export function encodeAnswer(answer: ControlAnswer): string {
  return `${JSON.stringify(answer)}\n`
}

export function errorAnswer({ code, message, advice, fault }: PagemeshError): ControlAnswer {
  return { error: { code, message, fault, ...(advice === undefined ? {} : { advice }) } }
}

/** Parses one line of a client. Throws PagemeshError `bad-request`. */
export function decodeRequest(line: string): ControlRequest {
  const request = recordOf(parseJson(line))
  if (request === undefined) throw badRequest('A request is one JSON object on one line.')
  const { command, arguments: given = {}, ...others } = request
  refuseOthers(others)
  const fields = recordOf(given)
  if (fields === undefined) throw badRequest('`arguments` is an object.')
  switch (command) {
    case 'ping':
    case 'status':
    case 'cluster':
    case 'peers':
    case 'metrics':
      refuseOthers(fields)
      return { command }
    case 'cancel': {
      const { guest, ...rest } = fields
      refuseOthers(rest)
      return { command, arguments: guest === undefined ? {} : { guest: nameOf('guest', guest) } }
    }
    case 'examine': {
      const { to, ...rest } = fields
      refuseOthers(rest)
      return { command, arguments: to === undefined ? {} : { to: nameOf('to', to) } }
    }
    case 'pages':
    case 'history':
    case 'audit': {
      const { countMax, ...rest } = fields
      refuseOthers(rest)
      return { command, arguments: { countMax: countOf('countMax', countMax, MOST[command]) } }
    }
    case 'acceptPeer': {
      const { name, peerId, ...rest } = fields
      refuseOthers(rest)
      return {
        command,
        arguments: { name: nameOf('name', name), ...(peerId === undefined ? {} : { peerId: peerIdOf(peerId) }) },
      }
    }
    case 'invite': {
      const { ttlMs, uses, ...rest } = fields
      refuseOthers(rest)
      const { ttlMsMax, usesMax } = CONTROL_LIMITS.invitation
      const asked = { ttlMs: countOf('ttlMs', ttlMs, ttlMsMax), uses: countOf('uses', uses, usesMax) }
      return { command, arguments: asked }
    }
    case 'held':
    case 'recover': {
      const { guest, ...rest } = fields
      refuseOthers(rest)
      return { command, arguments: { guest: nameOf('guest', guest) } }
    }
    case 'settle': {
      const { guest, decision, ...rest } = fields
      refuseOthers(rest)
      if (decision !== 'run' && decision !== 'end') throw badRequest('`decision` is run or end.')
      return { command, arguments: { guest: nameOf('guest', guest), decision } }
    }
    case 'tunnel':
      return { command, arguments: decodeTunnel(fields) }
    case 'evacuate':
      return { command, arguments: decodeEvacuate(fields) }
    case 'migrate':
      return { command, arguments: decodeMigrate(fields) }
    default:
      throw badRequest(`There is no command ${JSON.stringify(command)}.`)
  }
}

/** Parses one line of an agent. Throws PagemeshError `bad-answer`. */
export function decodeAnswer(line: string): ControlAnswer {
  const answer = recordOf(parseJson(line))
  if (answer !== undefined && 'result' in answer) return { result: answer.result }
  const progress = recordOf(answer?.progress)
  if (progress !== undefined) return { progress: progress as unknown as Progress }
  const error = recordOf(answer?.error)
  if (typeof error?.code === 'string' && typeof error.message === 'string' && FAULTS.includes(String(error.fault))) {
    return { error: error as unknown as ErrorAnswer }
  }
  throw badAnswer()
}

export function badAnswer(): PagemeshError {
  return new PagemeshError('bad-answer', 'No Pagemesh agent of this version answers at the control socket.', {
    fault: 'host', advice: 'Check --control, and that agent and command are of the same version.',
  })
}

function decodeMigrate(fields: Record<string, unknown>): MigrateArguments {
  const {
    guest, to, mode, maxBandwidth, maxDowntimeMs, channels, timeoutMs, onTimeout, wait, dryRun, ...others
  } = fields
  refuseOthers(others)
  return {
    guest: nameOf('guest', guest),
    to: nameOf('to', to),
    ...modeOf(mode),
    ...positive('maxBandwidth', maxBandwidth),
    ...positive('maxDowntimeMs', maxDowntimeMs),
    ...channelsOf(channels),
    ...positive('timeoutMs', timeoutMs),
    ...onTimeoutOf(onTimeout),
    ...trueOrFalse('wait', wait),
    ...trueOrFalse('dryRun', dryRun),
  }
}

function decodeEvacuate(fields: Record<string, unknown>): EvacuateArguments {
  const { to, mode, parallel, maxBandwidth, maxDowntimeMs, timeoutMs, dryRun, ...others } = fields
  refuseOthers(others)
  if (to !== undefined && (!Array.isArray(to) || to.length > CONTROL_LIMITS.hostsMax)) {
    throw badRequest('`to` is a list of hosts.')
  }
  return {
    ...(to === undefined ? {} : { to: to.map((name) => nameOf('to', name)) }),
    ...modeOf(mode),
    ...(parallel === undefined ? {} : { parallel: countOf('parallel', parallel, CONTROL_LIMITS.parallelMax) }),
    ...positive('maxBandwidth', maxBandwidth),
    ...positive('maxDowntimeMs', maxDowntimeMs),
    ...positive('timeoutMs', timeoutMs),
    ...trueOrFalse('dryRun', dryRun),
  }
}

function onTimeoutOf(onTimeout: unknown): Pick<MigrateArguments, 'onTimeout'> {
  if (onTimeout === undefined) return {}
  if (onTimeout === 'cancel' || onTimeout === 'postcopy' || onTimeout === 'pause') return { onTimeout }
  throw badRequest('`onTimeout` is cancel, postcopy or pause.')
}

function modeOf(mode: unknown): Pick<MigrateArguments, 'mode'> {
  if (mode === undefined) return {}
  if (mode === 'precopy' || mode === 'postcopy') return { mode }
  throw badRequest('`mode` is precopy or postcopy.')
}

function decodeTunnel(fields: Record<string, unknown>): TunnelArguments {
  const { to, path, remotePath, mode, gid, ...others } = fields
  refuseOthers(others)
  return {
    to: nameOf('to', to),
    path: nameOf('path', path),
    ...(remotePath === undefined ? {} : { remotePath: nameOf('remotePath', remotePath) }),
    ...(mode === undefined ? {} : { mode: numberUpTo('mode', mode, 0o777) }),
    ...(gid === undefined ? {} : { gid: numberUpTo('gid', gid, 2 ** 32 - 2) }),
  }
}

function numberUpTo(key: string, value: unknown, most: number): number {
  if (typeof value === 'number' && Number.isInteger(value) && value >= 0 && value <= most) return value
  throw badRequest(`\`${key}\` is a whole number from 0 to ${most}.`)
}

function channelsOf(value: unknown): { channels?: number } {
  if (value === undefined) return {}
  if (typeof value !== 'number' || !Number.isInteger(value) || value < 1 || value > CONTROL_LIMITS.channelsMax) {
    throw badRequest(`\`channels\` is 1 to ${CONTROL_LIMITS.channelsMax}.`)
  }
  return { channels: value }
}

function positive<Key extends string>(key: Key, value: unknown): { [name in Key]?: number } {
  if (value === undefined) return {}
  if (typeof value !== 'number' || !Number.isFinite(value) || value <= 0) {
    throw badRequest(`\`${key}\` is a number above 0.`)
  }
  return { [key]: value } as { [name in Key]?: number }
}

function trueOrFalse<Key extends string>(key: Key, value: unknown): { [name in Key]?: boolean } {
  if (value === undefined) return {}
  if (typeof value !== 'boolean') throw badRequest(`\`${key}\` is true or false.`)
  return { [key]: value } as { [name in Key]?: boolean }
}

function countOf(key: string, value: unknown, most: number): number {
  if (typeof value === 'number' && Number.isInteger(value) && value >= 1 && value <= most) return value
  throw badRequest(`\`${key}\` is a whole number from 1 to ${most}.`)
}

function nameOf(key: string, value: unknown): string {
  if (typeof value === 'string' && value !== '' && value.length <= CONTROL_LIMITS.nameCharactersMax) return value
  throw badRequest(`\`${key}\` is a name of 1 to ${CONTROL_LIMITS.nameCharactersMax} characters.`)
}

function peerIdOf(value: unknown): string {
  if (typeof value === 'string' && /^[A-Za-z0-9]{1,96}$/.test(value)) return value
  throw badRequest('`peerId` is the identity of a host, letters and digits.')
}

function refuseOthers(others: Record<string, unknown>): void {
  const [key] = Object.keys(others)
  if (key !== undefined) throw badRequest(`The field ${JSON.stringify(key)} is unknown here.`)
}

function recordOf(value: unknown): Record<string, unknown> | undefined {
  const isRecord = typeof value === 'object' && value !== null && !Array.isArray(value)
  return isRecord ? value as Record<string, unknown> : undefined
}

export function badRequest(message: string): PagemeshError {
  return new PagemeshError('bad-request', message, {
    fault: 'usage', advice: 'The pagemesh commands speak to the agent for you.',
  })
}
