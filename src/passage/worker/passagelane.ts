import type { Lane, UnsecuredLane } from '../../mesh/index.ts'
import type { Endpoint } from '../../net/endpoint.ts'
import type { PageHasher } from '../../page/index.ts'
import type { StreamKnowledgeData } from '../../qemu/index.ts'
import type { Clock } from '../../runtime/clock.ts'
import { IncomingPassage, type IncomingPassageComponents, type IncomingPassageInit } from '../incoming.ts'
import { OutgoingPassage, type OutgoingPassageInit } from '../outgoing.ts'
import { PassagePort } from './passageport.ts'
import type { PassageThreads } from './threads.ts'

/** An outgoing passage in any thread. */
export interface OutgoingRun
  extends Pick<OutgoingPassage, 'addKnown' | 'setPublic' | 'addKnowledge' | 'counts' | 'stop'> {
  /** In another thread: as of its last event; undefined before the first. */
  knowledge(): StreamKnowledgeData | undefined
}
/** An incoming passage in any thread. */
export type IncomingRun = Pick<IncomingPassage, 'counts' | 'stop'>

/** A lane that one passage will run over. */
export interface PassageLane {
  startOutgoing(components: { hasher: PageHasher; qemu: Endpoint }, init: OutgoingPassageInit): OutgoingRun
  startIncoming(components: IncomingPassageComponents, init: Omit<IncomingPassageInit, 'onCounts'>): IncomingRun
  /** Closes it, if no passage was started. */
  destroy(): void
}

/**
 * Negotiates TLS over a lane in the thread where its passage will run: a worker thread if one is free and the lane can
 * be handed over, otherwise this one. Throws as the lane's `secure`, and PagemeshError `passage-thread-ended`; the lane
 * is then closed.
 */
export async function openPassageLane(
  components: { clock: Clock; threads: PassageThreads }, lane: UnsecuredLane, signal: AbortSignal,
): Promise<PassageLane> {
  const { clock } = components
  const passage = signal.aborted ? undefined : PassagePort.take(components)
  const handed = passage === undefined ? undefined : lane.handOver(passage.taker('lane'))
  if (passage !== undefined && handed !== undefined) {
    passage.begin(handed)
    await untilSecured(passage, signal)
    return laneElsewhere(passage)
  }
  passage?.free()
  return laneHere(clock, await lane.secure(signal))
}

async function untilSecured(passage: PassagePort, signal: AbortSignal): Promise<void> {
  const { promise: aborted, reject } = Promise.withResolvers<never>()
  const abort = (): void => {
    passage.stop()
    reject(signal.reason)
  }
  signal.addEventListener('abort', abort, { once: true })
  try {
    await Promise.race([passage.secured, aborted])
  } finally {
    signal.removeEventListener('abort', abort)
  }
}

function laneHere(clock: Clock, lane: Lane): PassageLane {
  return {
    startOutgoing: (components, init) => new OutgoingPassage({ ...components, clock, lane }, init),
    startIncoming: (components, init) => new IncomingPassage({ ...components, clock, lane }, init),
    destroy: () => lane.destroy(),
  }
}

function laneElsewhere(passage: PassagePort): PassageLane {
  const stop = (): void => passage.stop()
  return {
    startOutgoing({ hasher, qemu }, { listener, ...order }) {
      passage.startOutgoing({ hasher, qemu }, order, listener)
      return {
        addKnown: (pages) => passage.addKnown(pages),
        setPublic: (known) => passage.setPublic(known),
        addKnowledge: (knowledge) => passage.addKnowledge(knowledge),
        counts: () => passage.counts.outgoing(),
        knowledge: () => passage.knowledge,
        stop,
      }
    },
    startIncoming(components, { listener, ...order }) {
      passage.startIncoming(components, order, listener)
      return { counts: () => passage.counts.incoming(), stop }
    },
    destroy: stop,
  }
}
