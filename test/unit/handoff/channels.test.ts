import assert from 'node:assert/strict'

import { Ends } from '../../support/bothends.ts'
import { MultifdBuilder } from '../../support/multifdstream.ts'
import { until } from '../../support/passagerelay.ts'
import { syntheticPages } from '../../support/streambuilder.ts'

const MULTIFD = [0, 1].map((id) => Buffer.from(new MultifdBuilder(id).packet({ pages: syntheticPages(3, id + 1) })
  .packet({ pages: syntheticPages(3, id + 1), zeros: 2 }).build().bytes))

/** Both ends of a handoff over main and two multifd channels, all of them met. */
async function severalChannels(): Promise<{ ends: Ends; result: ReturnType<Ends['outgoing']['run']> }> {
  const ends = new Ends()
  ends.source.beside = { multifd: 2, preempt: false }
  const { result } = await ends.move()
  await until(() => ends.destination.besideQemu.length === 2)
  return { ends, result }
}

describe('a handoff over several channels', () => {
  it('carries each on its own, as QEMU opened them, and counts them all', async () => {
    const { ends, result } = await severalChannels()
    const { source, destination } = ends
    assert.deepEqual(ends.offers[0]!.beside, { multifd: 2, preempt: false })
    for (const [at, bytes] of MULTIFD.entries()) source.besideQemu[at]!.write(bytes)
    await ends.wait(50)
    for (const [at, bytes] of MULTIFD.entries()) {
      await until(() => destination.besideQemu[at]!.received.length === bytes.length)
      assert.ok(destination.besideQemu[at]!.received.equals(bytes))
    }
    destination.become('completed')
    await until(() => ends.incoming.state.at === 'loaded')
    source.become('completed')
    const { status, channels, pages } = await result
    assert.deepEqual([status, channels], ['completed', 3])
    assert.deepEqual([pages.zero, pages.literal, pages.ref], [4, 6, 6])
    await ends.wait()
  })

  it('keeps the guest where one of them breaks', async () => {
    const { ends, result } = await severalChannels()
    ends.destination.besideQemu[1]!.endpoint.destroy()
    ends.source.besideQemu[1]!.write(MULTIFD[1]!)
    await ends.wait(50)
    await until(() => ends.source.told.includes('cancel'))
    await ends.wait(50)
    assert.equal((await result).status, 'failed')
    assert.deepEqual([ends.outgoing.state.at, ends.source.besideQemu[0]!.hasHeardEnd], ['over', true])
    await ends.wait()
  })
})
