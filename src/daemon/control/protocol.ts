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
 *                                                        | acceptPeer | tunnel | examine | metrics | invite | keys
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
  InviteRequest, MigrateRequest, PeerName, PopularPage, RotationRequest, SettleDecision, TunnelNews, TunnelRequest,
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

/** As RotationRequest, with the key as base64url. */
export type KeysArguments =
  | Exclude<RotationRequest, { action: 'install' }>
  | (Omit<Extract<RotationRequest, { action: 'install' }>, 'key'> & { key: string })

/** Each command, with its arguments. */
export interface CommandArguments {
  ping: undefined
  status: undefined
  cluster: undefined
  peers: undefined
  metrics: undefined
  pages: { countMax: number }
  history: { countMax: number }
  audit: { countMax: number }
  /** Of all members, or of the one named. */
  examine: { to?: string }
  acceptPeer: { name: string; peerId?: string }
  invite: InviteRequest
  keys: KeysArguments
  held: { guest: string }
  recover: { guest: string }
  migrate: MigrateArguments
  evacuate: EvacuateArguments
  tunnel: TunnelArguments
  settle: { guest: string; decision: SettleDecision }
  /** Without a guest: cancels the request that waits on this connection. */
  cancel: { guest?: string }
}

export type Command = keyof CommandArguments

export type ControlRequest = {
  [Name in Command]: CommandArguments[Name] extends undefined
    ? { command: Name }
    : { command: Name; arguments: CommandArguments[Name] }
}[Command]

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

/** Parses one line of an agent. Throws PagemeshError `bad-answer`. */
export function decodeAnswer(line: string): ControlAnswer {
  const answer = recordOf(parseJson(line))
  if (answer !== undefined && 'result' in answer) return { result: answer.result }
  const progress = recordOf(answer?.progress)
  if (progress !== undefined) return { progress: progress as unknown as Progress }
  const error = recordOf(answer?.error)
  const isFault = typeof error?.fault === 'string' && FAULTS.includes(error.fault)
  if (isFault && typeof error?.code === 'string' && typeof error.message === 'string') {
    return { error: error as unknown as ErrorAnswer }
  }
  throw badAnswer()
}

export function badAnswer(): PagemeshError {
  return new PagemeshError('bad-answer', 'No Pagemesh agent of this version answers at the control socket.', {
    fault: 'host', advice: 'Check --control, and that agent and command are of the same version.',
  })
}

export function recordOf(value: unknown): Record<string, unknown> | undefined {
  const isRecord = typeof value === 'object' && value !== null && !Array.isArray(value)
  return isRecord ? value as Record<string, unknown> : undefined
}

export function badRequest(message: string): PagemeshError {
  return new PagemeshError('bad-request', message, {
    fault: 'usage', advice: 'The pagemesh commands speak to the agent for you.',
  })
}
