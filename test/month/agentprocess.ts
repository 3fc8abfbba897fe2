/**
 * An agent in a process of its own, whose guests are played: they write and take streams over real sockets, and are no
 * QEMU. `agentprocess.ts OPTIONS`, as JSON. Each message of the parent is an order, and has one answer.
 */
import { createAgent, createLog, type AgentOptions, type HandoffResult } from '../../src/index.ts'
import { destinationGuest, sourceGuest, type FakeDestination } from '../support/fakeguest.ts'
import { precopyStream, syntheticPages } from '../support/streambuilder.ts'

export type Order =
  | { do: 'start' }
  /** The guest of this number lives here, or waits here, or is gone from here. */
  | { do: 'live' | 'wait' | 'forget'; number: number }
  | { do: 'migrate'; number: number; to: string }
  /** Whether the guest that waited here has all its bytes, in order. */
  | { do: 'compare'; number: number }
  | { do: 'rest' }

export type Answer =
  | { error: string } | { result: HandoffResult } | { isEqual: boolean }
  | { peers: number; handoffs: number }

/** Of one guest: some in common with every other, some its own. */
const PAGES = { common: 96, own: 32 }
const agent = await createAgent(JSON.parse(process.argv[2]!) as AgentOptions, { log: createLog('warn') })
const arrived = new Map<number, FakeDestination>()

process.on('message', (order: Order) => {
  // An error is the answer.
  void obey(order).catch((error: unknown): Answer => ({ error: String(error) })).then((answer) => process.send!(answer))
})
// Never rejects, and the process ends by itself then.
process.on('disconnect', () => void agent.stop().then(() => process.exit()))
process.send!({})

async function obey(order: Order): Promise<Answer> {
  switch (order.do) {
    case 'start':
      await agent.start()
      break
    case 'live': {
      const { pages, stream } = materialOf(order.number)
      agent.addGuest(sourceGuest(nameOf(order.number), pages, stream).guest)
      break
    }
    case 'wait': {
      const { guest, control } = destinationGuest(nameOf(order.number), materialOf(order.number).stream.length)
      arrived.set(order.number, control)
      agent.addGuest(guest)
      break
    }
    case 'forget':
      agent.removeGuest(nameOf(order.number))
      arrived.delete(order.number)
      break
    case 'migrate': return { result: await agent.migrate({ guest: nameOf(order.number), to: order.to }) }
    case 'compare':
      return { isEqual: arrived.get(order.number)!.received.equals(materialOf(order.number).stream) }
    case 'rest':
  }
  const { peers, handoffs } = agent.status()
  return { peers: peers.length, handoffs: handoffs.length }
}

function nameOf(number: number): string {
  return `played-${number}`
}

function materialOf(number: number): { pages: Uint8Array[]; stream: Buffer } {
  const pages = [...syntheticPages(PAGES.common, 0), ...syntheticPages(PAGES.own, number + 1)]
  return { pages, stream: Buffer.from(precopyStream([{ name: 'pc.ram', pages }]).bytes) }
}
