import { strict as assert } from 'node:assert'

import { IS_WHOLE, JOURNEYS } from './extent.ts'
import { openLab, type LibvirtLab, type Move } from './lab.ts'
import { KINDS, WAYS, type KindName, type WayName } from './ways.ts'

/** The most bytes on the wire with Pagemesh, relative to a migration without. Compression alone gives 0.31. */
const WIRE_SHARE_MAX = 0.2
/** Each way and each kind once. */
const IN_PART: readonly string[] = [
  'by a loopback address, directly', 'by a loopback address, in post-copy', 'by a socket, peer to peer',
  'by interception, directly', 'by interception, over parallel connections',
]

describe('libvirt', function () {
  this.timeout(300_000)
  let lab: LibvirtLab
  let shares: number[]

  before(async function () {
    lab = await openLab.call(this)
    shares = []
  })

  after(() => {
    if (shares.length > 0) console.log(`      on the wire, of what libvirt alone sends: ${shares.join(' ')}`)
  })

  /** What must hold of every migration; the guest runs on afterwards. */
  async function isGood({ to, sentBytes, record }: Move, kind: KindName): Promise<void> {
    await lab.host(to).guest('web').moreBeats(1)
    assert.deepEqual([record.driver, record.direction, record.status], ['relay', 'outgoing', 'completed'])
    assert.equal(record.mode, kind === 'in post-copy' ? 'postcopy' : 'precopy')
    assert.equal(record.channels, kind === 'over parallel connections' ? 4 : 1)
    assert.ok(record.refsFilledBy.resident > 0, 'the guest that stays gave pages')
    const share = sentBytes / lab.plainBytes
    shares.push(Number(share.toFixed(3)))
    assert.ok(share <= WIRE_SHARE_MAX, `${sentBytes} of ${lab.plainBytes} bytes`)
  }

  for (const way of Object.keys(WAYS) as WayName[]) {
    for (const kind of Object.keys(KINDS) as KindName[]) {
      if (!IS_WHOLE && !IN_PART.includes(`${way}, ${kind}`)) continue
      if (kind === 'in post-copy') {
        // Libvirt does not switch a paused guest to post-copy: its memory cannot be compared.
        it(`moves a running guest ${way}, ${kind}`, async () => { await isGood(await lab.move(way, kind), kind) })
        continue
      }
      it(`moves a paused guest ${way}, ${kind}: its memory is the same`, async () => {
        const source = lab.host(await lab.whereIsWeb())
        await source.virsh('suspend', 'web')
        const hash = await source.memoryHash('web')
        const move = await lab.move(way, kind)
        const destination = lab.host(move.to)
        assert.match(await destination.virsh('domstate', 'web'), /paused/)
        assert.equal(await destination.memoryHash('web'), hash)
        await destination.virsh('resume', 'web')
        await isGood(move, kind)
      })
    }
  }

  it(`moves a running guest there and back, ${JOURNEYS} times`, async function () {
    this.timeout(JOURNEYS * 120_000)
    for (let count = 0; count < 2 * JOURNEYS; count++) {
      await isGood(await lab.move('by a loopback address', 'directly'), 'directly')
    }
  })
})
