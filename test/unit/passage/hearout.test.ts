import assert from 'node:assert/strict'

import type { OutgoingPassageInit } from '../../../src/passage/index.ts'
import { page } from '../../support/madepages.ts'
import {
  listenerOf, playedIncoming, settle, until, type OutgoingEnd, type PlayedEnd, type Said,
} from '../../support/passagerelay.ts'
import { precopyStream } from '../../support/streambuilder.ts'

const SHUT = Buffer.from('0001000400000001', 'hex')
/** More than the window holds. */
const PAGES = Array.from({ length: 6144 }, (_, i) => page(i))
const STREAM = Buffer.from(precopyStream([{ name: 'pc.ram', pages: PAGES }]).bytes)
const INSIDE_RAM = STREAM.subarray(0, STREAM.length - 2 ** 20)

/** An outgoing end whose source QEMU is heard out, with every event in `words`. */
function heardOut(hearsOut = true): { end: OutgoingEnd; played: PlayedEnd; words: string[] } {
  const said: Said = { words: [], errors: [] }
  const listener: OutgoingPassageInit['listener'] = {
    ...listenerOf(said),
    mark: (mark) => { if (mark === 'ramEnd') said.words.push(mark) },
    runState: () => {},
    streamEnded: () => said.words.push('streamEnded'),
    returnEnded: (shut) => said.words.push(`returnEnded ${shut}`),
  }
  return { ...playedIncoming({ init: { hearsOut, listener } }), words: said.words }
}

/** The same, where a source QEMU has sent so much that what comes after it waits unread. */
async function withFullWindow(bytes: Buffer): Promise<ReturnType<typeof heardOut>> {
  const made = heardOut()
  made.end.qemu.write(bytes)
  await until(() => made.played.of('batch').length > 0)
  await settle()
  assert.ok(made.end.passage.counts().streamBytes < bytes.length, 'it holds QEMU back')
  return made
}

describe('a passage that hears the source QEMU out', () => {
  it('tells an end of the source that waited unread before the loss of the lane', async () => {
    const { end, played, words } = await withFullWindow(INSIDE_RAM)
    end.qemu.endpoint.end()
    await settle()
    assert.deepEqual(words, [])
    played.lane.destroy()
    await until(() => words.length > 1)
    assert.deepEqual(words, ['streamEnded', 'failed lane-lost'])
    assert.equal(end.passage.counts().streamBytes, INSIDE_RAM.length)
    await until(() => end.qemu.isClosed)
  })

  it('tells what the stream came to meanwhile', async () => {
    const { end, played, words } = await withFullWindow(STREAM)
    end.qemu.endpoint.end()
    played.lane.destroy()
    await until(() => words.length > 2)
    assert.deepEqual(words, ['ramEnd', 'streamEnded', 'failed lane-lost'])
  })

  it('fails for the source where that closed its connection before the lane was lost', async () => {
    const { end, played, words } = heardOut()
    // What it leaves unread makes its end a reset.
    end.qemu.endpoint.pause()
    played.send('returned', SHUT.subarray(4))
    await settle()
    played.lane.destroy()
    await settle()
    assert.deepEqual(words, [])
    end.qemu.endpoint.destroy()
    await until(() => words.length > 0)
    assert.deepEqual(words, ['failed qemu-connection-lost'])
  })

  it('says that the lane was lost, and nothing else, where the source goes on', async () => {
    const { end, played, words } = heardOut()
    end.qemu.write(INSIDE_RAM.subarray(0, 9000))
    await until(() => played.of('batch').length > 0)
    played.lane.destroy()
    await settle()
    assert.deepEqual(words, [])
    assert.ok(!end.qemu.isClosed && !end.qemu.hasHeardEnd)
    end.qemu.write(INSIDE_RAM.subarray(9000, 20_000))
    await until(() => words.length > 0)
    assert.deepEqual(words, ['failed lane-lost'])
    await until(() => end.qemu.isClosed || end.qemu.hasHeardEnd)
  })

  it('passes an end of the return path on only after the end of a source that had ended', async () => {
    const { end, played, words } = heardOut()
    played.send('returnedEnd')
    await settle()
    assert.deepEqual([words, end.qemu.hasHeardEnd], [[], false])
    end.qemu.endpoint.end()
    await until(() => words.length > 1)
    assert.deepEqual(words.slice(0, 2), ['streamEnded', 'returnEnded undefined'])
    await until(() => end.qemu.hasHeardEnd)
  })

  it('passes it on soon where the source goes on', async () => {
    const { end, played, words } = heardOut()
    played.send('returnedEnd')
    await until(() => words.length > 0)
    assert.deepEqual(words, ['returnEnded undefined'])
    await until(() => end.qemu.hasHeardEnd)
    end.qemu.write(INSIDE_RAM.subarray(0, 9000))
    await until(() => played.of('batch').length > 0)
  })

  it('hears it out anew where the lane is lost meanwhile', async () => {
    const { end, played, words } = await withFullWindow(INSIDE_RAM)
    played.send('returnedEnd')
    await settle()
    end.qemu.endpoint.end()
    played.lane.destroy()
    await until(() => words.length > 1)
    assert.deepEqual(words, ['streamEnded', 'failed lane-lost'])
  })

  it('waits for nothing where the destination QEMU told its result', async () => {
    const { played, words } = heardOut()
    played.send('returned', SHUT)
    played.send('returnedEnd')
    await settle()
    assert.deepEqual(words, ['returnEnded 1'])
  })

  it('says nothing any more once it is stopped', async () => {
    const { end, played, words } = heardOut()
    played.lane.destroy()
    await settle()
    end.passage.stop()
    await until(() => end.qemu.isClosed || end.qemu.hasHeardEnd)
    await settle()
    assert.deepEqual(words, [])
  })
})

it('a passage that does not hear the source QEMU out says at once that the lane is lost', async () => {
  const { played, words } = heardOut(false)
  played.lane.destroy()
  await settle()
  assert.deepEqual(words, ['failed lane-lost'])
})
