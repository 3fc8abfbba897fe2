import assert from 'node:assert/strict'

import { createPageHasher, ID_BYTES, PAGE_BYTES } from '../../../src/page/index.ts'
import { PublicRefs } from '../../../src/passage/publicrefs.ts'
import { bodyOf, decode, encode, hasher, idOf, NOTHING, page, prefixesOf, sourceWith } from '../../support/madepages.ts'
import { relay, until } from '../../support/passagerelay.ts'
import { knownPublic, publicHasher, publicIdOf, publicSourceWith } from '../../support/publicpages.ts'
import { precopyStream } from '../../support/streambuilder.ts'

const OWN = [1, 2, 3].map(page)
const PUBLIC = [11, 12, 13, 14].map(page)
const SECRET = [21, 22].map(page)
const ALL = [
  OWN[0]!, PUBLIC[0]!, SECRET[0]!, OWN[1]!, PUBLIC[1]!, PUBLIC[2]!, SECRET[1]!, SECRET[0]!, OWN[2]!, PUBLIC[3]!,
]

function streamOf(pages: readonly Buffer[]): Buffer {
  return Buffer.from(precopyStream([{ name: 'pc.ram', pages: [...pages] }]).bytes)
}

function idsIn(refIds: Buffer): string[] {
  return Array.from({ length: refIds.length / ID_BYTES }, (_, ref) =>
    refIds.toString('hex', ref * ID_BYTES, (ref + 1) * ID_BYTES))
}

describe('refs to public pages', () => {
  it('are made of pages that would be literals, under public ids; own ones stay as they are', async () => {
    const batches = encode(streamOf(ALL), prefixesOf(OWN), [100_000], [false], await knownPublic(PUBLIC))
    const ids = batches.flatMap(({ refIds }) => idsIn(refIds))
    const expected = ALL.flatMap((bytes) => {
      if (OWN.includes(bytes)) return [idOf(bytes)]
      return PUBLIC.includes(bytes) ? [publicIdOf(bytes)] : []
    }).map((id) => id.toString('hex'))
    assert.deepEqual(ids, expected)
    const literals = Buffer.concat(batches.map((batch) => batch.literals))
    assert.ok(literals.equals(Buffer.concat(SECRET)), 'whole pages are those that nobody has')
    const said = Buffer.concat(batches.map(bodyOf)).toString('hex')
    for (const bytes of SECRET) assert.ok(!said.includes(publicIdOf(bytes).toString('hex')), 'no other id is said')
  })

  it('come out as the bytes that went in', async () => {
    const stream = streamOf(ALL)
    for (const flushes of [[false], [true, false], [true]]) {
      const bodies = encode(stream, prefixesOf(OWN), [9000, 300], flushes, await knownPublic(PUBLIC)).map(bodyOf)
      const sources = [sourceWith(OWN), publicSourceWith(PUBLIC)]
      assert.ok((await decode(bodies, sources, publicHasher)).equals(stream))
    }
  })

  it('get the id of a page only where the destination has that page', async () => {
    const refs = new PublicRefs(await knownPublic(PUBLIC), 4)
    refs.note(1, 0)
    refs.note(3, PAGE_BYTES)
    const ids = Buffer.alloc(4 * ID_BYTES)
    const marks = new Uint8Array(4)
    refs.mark(Buffer.concat([PUBLIC[0]!, SECRET[0]!]), ids, marks)
    assert.deepEqual([...marks], [0, 1, 0, 0])
    assert.ok(ids.subarray(ID_BYTES, 2 * ID_BYTES).equals(publicIdOf(PUBLIC[0]!)))
    assert.ok(ids.subarray(2 * ID_BYTES).every((byte) => byte === 0), 'the id of another page is not given away')
    // The notes are used up.
    marks.fill(0)
    refs.mark(Buffer.concat([PUBLIC[0]!, SECRET[0]!]), ids, marks)
    assert.deepEqual([...marks], [0, 0, 0, 0])
  })

  it('are looked for in one batch of eight where there are hardly any, and in each again where there are', async () => {
    const refs = new PublicRefs(await knownPublic(PUBLIC), 256)
    const [none, all] = [SECRET[0]!, PUBLIC[0]!]
    const ids = Buffer.alloc(256 * ID_BYTES)
    const marks = new Uint8Array(256)
    /** How many of so many batches of pages like this were looked at. */
    const dueOf = (batches: number, bytes: Buffer): number => {
      let due = 0
      for (let batch = 0; batch < batches; batch++) {
        if (!refs.isDue()) continue
        due += 1
        for (let place = 0; place < 256; place++) refs.note(place, 0)
        refs.mark(bytes, ids, marks)
      }
      return due
    }
    assert.equal(dueOf(64, none), 64)
    assert.equal(dueOf(64, none), 8)
    // 64 batches must be looked at before it is judged again; 8 were, and of the others the last one is looked at.
    assert.equal(dueOf(55 * 8 + 1, all), 56)
    assert.equal(dueOf(64, all), 64)
  })

  it('are lacking where only another tenant\'s guest has the page, and are asked back', async () => {
    const stream = streamOf(ALL)
    const bodies = encode(stream, NOTHING, [100_000], [false], await knownPublic(PUBLIC)).map(bodyOf)
    // The destination has the page, under an id of its own.
    const other = publicSourceWith(PUBLIC, createPageHasher(new Uint8Array(32).fill(9)))
    await assert.rejects(decode(bodies, [other], publicHasher), /nobody has 4 pages/)
    // A source that gives what it should not is of no use: the page is verified under both keys.
    const wrong = sourceWith(PUBLIC, 'resident', () => SECRET[0]!, publicIdOf)
    await assert.rejects(decode(bodies, [wrong], publicHasher), /nobody has 4 pages/)
    // Nor is any public page taken where public pages were not agreed on.
    await assert.rejects(decode(bodies, [publicSourceWith(PUBLIC)]), /nobody has 4 pages/)
  })

  it('pass between two ends of a passage, from memory and asked back', async () => {
    const stream = streamOf(ALL)
    const has = [publicSourceWith(PUBLIC.slice(0, 2)), sourceWith(OWN.slice(0, 1))]
    const { outgoing, incoming } = relay({ init: { known: prefixesOf(OWN) }, sources: has, publicHasher })
    outgoing.passage.setPublic(await knownPublic(PUBLIC))
    outgoing.qemu.write(stream)
    await until(() => incoming.qemu.received.length === stream.length)
    assert.ok(incoming.qemu.received.equals(stream))
    const { refsFilledBy } = incoming.passage.counts()
    assert.deepEqual([refsFilledBy.resident, refsFilledBy.source], [3, 4])
    const { ref, literal, sentBefore } = outgoing.passage.counts()
    assert.deepEqual([ref, literal, sentBefore], [7, 2, 1])
    outgoing.passage.stop()
    incoming.passage.stop()
  })

  it('are not made of a page that went whole before they were known', async () => {
    const { outgoing, incoming } = relay({ sources: [publicSourceWith(PUBLIC)], publicHasher })
    const { bytes } = precopyStream([{ name: 'pc.ram', pages: [PUBLIC[0], PUBLIC[1], PUBLIC[0], PUBLIC[1]] }])
    const stream = Buffer.from(bytes)
    const half = stream.length - 2 * PAGE_BYTES - 100
    outgoing.qemu.write(stream.subarray(0, half))
    await until(() => incoming.qemu.received.length > PAGE_BYTES * 2)
    outgoing.passage.setPublic(await knownPublic(PUBLIC))
    outgoing.qemu.write(stream.subarray(half))
    await until(() => incoming.qemu.received.length === stream.length)
    assert.ok(incoming.qemu.received.equals(stream))
    assert.deepEqual([outgoing.passage.counts().ref, outgoing.passage.counts().sentBefore], [0, 2])
    assert.notDeepEqual(hasher.pageKey, publicHasher.pageKey)
    outgoing.passage.stop()
    incoming.passage.stop()
  })
})
