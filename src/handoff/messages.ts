/**
 * Encodings of a handoff's messages. Incoming ones are checked field by field: anything invalid is a PagemeshError.
 *
 *   outgoing -> incoming   offer: may this guest come to you? What must agree, and a ticket for the conversation's lane
 *   incoming -> outgoing   accepted, or refused with a code, a sentence and advice
 *   both, over that lane   the conversation's messages as frames: bytes as they are, or JSON of a few fields
 *   incoming -> outgoing   question, after a lost connection: my copy of handoff ID is ...; what is yours?
 *   outgoing -> incoming   verdict
 */
import type { CopyNews, IncomingMessage, OutgoingMessage, RunState, Verdict } from '../conversation/index.ts'
import {
  areBesideChannels, isMachineDescription, type BesideChannels, type GuestState, type MachineDescription,
  type MigrationMode,
} from '../guest/index.ts'
import type { LaneTicket } from '../mesh/index.ts'
import { badFrame, type FrameTable } from '../passage/index.ts'
import {
  bad, encodeObject, isId, isText, objectIn, parseObject, readChannel, readOfferedPages, readSummary, readTicket,
  spokenVersion, type Language, type OfferedPages,
} from '../transfer/index.ts'

export const HANDOFF_PROTOCOL = '/pagemesh/handoff/2'
export const OUTCOME_PROTOCOL = '/pagemesh/outcome/2'
export const HANDOFF_VERSION = 3

export interface HandoffOffer {
  version: number
  /** Names the handoff on both hosts: 16 random bytes as hex. A rejoin has that of the handoff that was cut. */
  id: string
  guest: string
  mode: MigrationMode
  /** `dryRun`: only ask; `rejoin`: resume a cut post-copy. */
  plan: 'move' | 'dryRun' | 'rejoin'
  /** The source's machine, which the destination compares with its own. */
  machine: MachineDescription
  /** The migration's channels besides main. */
  beside: BesideChannels
  /** Whose the guest's pages are; absent from agents of versions without tenants. */
  pages?: OfferedPages
  ticket: LaneTicket
}

export function encodeOffer(offer: HandoffOffer): Uint8Array {
  return encodeObject(offer)
}

/** Throws PagemeshError `bad-offer` unless it is a complete offer of a version that we support. */
export function decodeOffer(bytes: Uint8Array): HandoffOffer {
  const { version, id, guest, mode, plan, machine, beside, pages, ticket } = parseObject(bytes, 'bad-offer')
  if (version !== HANDOFF_VERSION) {
    const spoken = spokenVersion(version)
    throw bad('bad-offer', `it speaks version ${spoken} of the handoff protocol, this host ${HANDOFF_VERSION}`)
  }
  if (!isId(id)) throw bad('bad-offer', 'the handoff has no id')
  if (!isText(guest, 255) || (mode !== 'precopy' && mode !== 'postcopy')) throw bad('bad-offer', 'guest or mode is bad')
  if (plan !== 'move' && plan !== 'dryRun' && plan !== 'rejoin') throw bad('bad-offer', 'its plan is unknown')
  if (!isMachineDescription(machine)) throw bad('bad-offer', 'the machine is not described')
  if (!areBesideChannels(beside)) throw bad('bad-offer', 'its channels cannot be carried')
  const read = readTicket(ticket)
  if (read === undefined) throw bad('bad-offer', 'the ticket cannot be read')
  const offered = readOfferedPages(pages)
  return {
    version, id, guest, mode, plan, machine, beside, ticket: read, ...(offered === undefined ? {} : { pages: offered }),
  }
}

export interface OutcomeQuestion {
  id: string
  copy: CopyNews
}

export function encodeQuestion({ id, copy }: OutcomeQuestion): Uint8Array {
  return encodeObject({ id, kind: copy.kind, copy: Buffer.from(encodeMessage(copy)).toString('utf8') })
}

/** Throws PagemeshError `bad-question` or `bad-frame`. */
export function decodeQuestion(bytes: Uint8Array): OutcomeQuestion {
  const { id, kind, copy } = parseObject(bytes, 'bad-question')
  if (!isText(id, 64) || !isText(kind, 16) || !isText(copy, INCOMING_FRAMES.arrived.bytesMax)) {
    throw bad('bad-question', 'it names no handoff or no copy')
  }
  if (kind === 'partial' || kind === 'unsaid') return { id, copy: { kind } }
  if (kind !== 'whole' && kind !== 'arrived' && kind !== 'unfit' && kind !== 'broken' && kind !== 'fell') {
    throw bad('bad-question', `a copy cannot be ${kind}`)
  }
  return { id, copy: decodeIncoming(kind, Buffer.from(copy)) as CopyNews }
}

export function encodeVerdict(verdict: Verdict): Uint8Array {
  return encodeObject(verdict)
}

/** Throws PagemeshError `bad-answer`. */
export function decodeVerdict(bytes: Uint8Array): Verdict {
  const { verdict, runState, isTorn } = parseObject(bytes, 'bad-answer')
  if (verdict === 'given-up' && isRunState(runState)) {
    return { verdict, runState: runState satisfies RunState, ...(isTorn === true ? { isTorn } : {}) }
  }
  if (verdict === 'kept' || verdict === 'pending' || verdict === 'unknown') return { verdict }
  throw bad('bad-answer', 'it is not a verdict')
}

const TEXT_BYTES_MAX = 4096

/** Frames of the outgoing end's messages. */
export const OUTGOING_FRAMES: FrameTable<OutgoingMessage['kind']> = {
  hello: { kind: 1, bytesMin: 2, bytesMax: TEXT_BYTES_MAX },
  census: { kind: 2, bytesMin: 0, bytesMax: 64 * 2 ** 20 },
  order: { kind: 3, bytesMin: 0, bytesMax: 32 * 2 ** 20 },
  channel: { kind: 4, bytesMin: 2, bytesMax: TEXT_BYTES_MAX },
  switchover: { kind: 5, bytesMin: 2, bytesMax: TEXT_BYTES_MAX },
  givenUp: { kind: 6, bytesMin: 2, bytesMax: TEXT_BYTES_MAX },
  kept: { kind: 7, bytesMin: 2, bytesMax: TEXT_BYTES_MAX },
}

/** Frames of the incoming end's messages. */
export const INCOMING_FRAMES: FrameTable<IncomingMessage['kind']> = {
  bitmap: { kind: 32, bytesMin: 0, bytesMax: 4 * 2 ** 20 },
  fetched: { kind: 33, bytesMin: 0, bytesMax: 64 * 1024 },
  trouble: { kind: 34, bytesMin: 2, bytesMax: TEXT_BYTES_MAX },
  whole: { kind: 35, bytesMin: 2, bytesMax: TEXT_BYTES_MAX },
  arrived: { kind: 36, bytesMin: 2, bytesMax: TEXT_BYTES_MAX },
  unfit: { kind: 37, bytesMin: 2, bytesMax: TEXT_BYTES_MAX },
  broken: { kind: 38, bytesMin: 2, bytesMax: TEXT_BYTES_MAX },
  fell: { kind: 39, bytesMin: 2, bytesMax: TEXT_BYTES_MAX },
}

/** Sentences are cut before sending, because frames are bounded: characters, of up to three bytes each. */
const SENTENCE_LENGTH_MAX = 1000

export function encodeMessage(message: OutgoingMessage | IncomingMessage | CopyNews): Uint8Array {
  if ('body' in message) return message.body
  // On the wire a summary is called a report.
  if (message.kind === 'arrived') return encodeObject({ state: message.state, report: message.summary })
  const { kind: _kind, ...fields } = message
  const reason = 'reason' in fields ? { reason: fields.reason.slice(0, SENTENCE_LENGTH_MAX) } : {}
  return Buffer.from(JSON.stringify({ ...fields, ...reason }))
}

export function decodeOutgoing(kind: OutgoingMessage['kind'], body: Buffer): OutgoingMessage {
  switch (kind) {
    case 'census': case 'order':
      return { kind, body }
    case 'hello':
      return { kind, id: textIn(kind, body, 'id') }
    case 'channel':
      return { kind, ...readChannel(body) }
    case 'switchover':
      return { kind, runState: runStateIn(kind, body) }
    case 'givenUp':
      return {
        kind, runState: runStateIn(kind, body), ...(objectIn(kind, body).isWhole === true ? { isWhole: true } : {}),
      }
    case 'kept':
      return { kind, reason: textIn(kind, body, 'reason') }
  }
}

export function decodeIncoming(kind: IncomingMessage['kind'], body: Buffer): IncomingMessage {
  switch (kind) {
    case 'bitmap': case 'fetched':
      return { kind, body }
    case 'whole':
      objectIn(kind, body)
      return { kind }
    case 'arrived': {
      const { state, report } = objectIn(kind, body)
      if (!isRunState(state) || state === 'unknown') throw badFrame('a guest arrived in an unknown state')
      return { kind, state, summary: report === undefined ? undefined : readSummary(report) }
    }
    case 'trouble': case 'unfit': case 'broken': case 'fell':
      return { kind, reason: textIn(kind, body, 'reason') }
  }
}

const RUN_STATES: ReadonlySet<string> = new Set<RunState>([
  'running', 'paused', 'inmigrate', 'postmigrate', 'finish-migrate', 'prelaunch', 'shutdown', 'suspended',
  'internal-error', 'io-error', 'guest-panicked', 'watchdog', 'debug', 'save-vm', 'restore-vm', 'colo', 'unknown',
])

/** Whether QEMU has a run state of this name; `unknown` is ours. */
function isRunState(value: unknown): value is RunState {
  return typeof value === 'string' && RUN_STATES.has(value)
}

/** The run state that a stream tells; undefined for one that only a later QEMU knows. */
export function knownRunState(word: string): GuestState | undefined {
  return isRunState(word) && word !== 'unknown' ? word : undefined
}

function runStateIn(kind: string, body: Buffer): RunState {
  const { runState } = objectIn(kind, body)
  if (!isRunState(runState)) throw badFrame(`its ${kind} names no run state`)
  return runState
}

function textIn(kind: string, body: Buffer, name: string): string {
  const value = objectIn(kind, body)[name]
  if (!isText(value, TEXT_BYTES_MAX)) throw badFrame(`its ${kind} lacks its ${name}`)
  return value
}

/** Frames and codecs of each end: those that it sends and those that it receives. */
export const OUTGOING_LANGUAGE: Language<OutgoingMessage, IncomingMessage> = {
  said: OUTGOING_FRAMES, heard: INCOMING_FRAMES, encode: encodeMessage, decode: decodeIncoming,
}
export const INCOMING_LANGUAGE: Language<IncomingMessage, OutgoingMessage> = {
  said: INCOMING_FRAMES, heard: OUTGOING_FRAMES, encode: encodeMessage, decode: decodeOutgoing,
}
