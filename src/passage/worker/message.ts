/**
 * Messages between the agent's thread and a worker thread, one passage at a time.
 *
 *   agent's thread                 worker
 *     lane             ------>       opens it, negotiates TLS
 *                      <------     secured | unsecured
 *     outgoing | incoming  -->       opens QEMU's connection: the passage runs
 *                      <------     said n: the passage's events, in order
 *                      <------     fill n: refs of a batch, and shared memory for their pages
 *     filled n         ------>
 *     addKnown, setPublic, addKnowledge ->
 *     destroy | stop   ------>       at any time: closes one connection, or both without further events
 *                      <------     over: both connections are closed, the worker is free
 *
 * Messages that arrive after the passage is over are ignored.
 */
import type { HandedLane } from '../../mesh/index.ts'
import type { HandedConnection } from '../../net/handover.ts'
import type { PageSourceKind, Prefixes } from '../../page/index.ts'
import type { StreamKnowledgeData, StreamMark } from '../../qemu/index.ts'
import type { IncomingPassageInit } from '../incoming.ts'
import type { OutgoingPassageInit } from '../outgoing.ts'
import type { KnownPublic } from '../publicrefs.ts'
import type { ErrorData } from './errordata.ts'

/** The two connections of a passage: their index in `opened`. */
export const CONNECTIONS = { lane: 0, qemu: 1 } as const
export type ConnectionName = keyof typeof CONNECTIONS

export type OutgoingOrder = Omit<OutgoingPassageInit, 'listener' | 'onCounts'>
export type IncomingOrder = Omit<IncomingPassageInit, 'listener' | 'onCounts'>

export type ToThread =
  | {
    kind: 'lane'
    lane: HandedLane
    /** Written by the worker: the passage's counts, and a 1 for each connection that it opened. */
    counts: SharedArrayBuffer
    opened: SharedArrayBuffer
  }
  | { kind: 'outgoing'; qemu: HandedConnection; pageKey: Uint8Array; init: OutgoingOrder }
  | {
    kind: 'incoming'; qemu: HandedConnection; pageKey: Uint8Array; publicKey: Uint8Array | undefined
    sources: PageSourceKind[]; init: IncomingOrder
  }
  | { kind: 'addKnown'; pages: Prefixes }
  | { kind: 'setPublic'; known: KnownPublic }
  | { kind: 'addKnowledge'; knowledge: StreamKnowledgeData }
  /** `marks` undefined: the source failed. */
  | { kind: 'filled'; request: number; marks: Uint8Array | undefined }
  | { kind: 'destroy'; connection: ConnectionName }
  | { kind: 'stop' }
  /** Instead of a passage; answered by `over`. */
  | { kind: 'warmUp' }

export type Said =
  | { what: 'mark'; mark: StreamMark }
  | { what: 'runState'; state: string }
  | { what: 'lost'; reason: string }
  | { what: 'streamEnded' }
  | { what: 'returnEnded'; shut: number | undefined }
  | { what: 'ended' }
  | { what: 'failed'; error: ErrorData }

export type FromThread =
  | { kind: 'secured' }
  | { kind: 'unsecured'; error: ErrorData }
  /** `knowledge`: of an outgoing passage, at this time. */
  | { kind: 'said'; said: Said; knowledge: StreamKnowledgeData | undefined }
  | { kind: 'fill'; request: number; sourceIndex: number; ids: Uint8Array; room: ArrayBufferLike; marks: Uint8Array }
  | { kind: 'over' }
