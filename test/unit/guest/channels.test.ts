import assert from 'node:assert/strict'
import {
  areBesideChannels, areChannelsPossible, besideChannels, CHANNELS_MAX, channelSettings, countOfChannels, MAIN_ONLY,
} from '../../../src/guest/channels.ts'

const OFF = new Map([['multifd', false], ['postcopy-preempt', false]])
const ON = new Map([['multifd', true], ['postcopy-preempt', true]])
const asked = { mode: 'precopy', count: undefined, cores: 2 } as const

describe('the channels of a migration', () => {
  it('are what their operator asks for', () => {
    for (const capabilities of [OFF, ON]) {
      assert.deepEqual(besideChannels({ ...asked, count: 1 }, capabilities, {}), MAIN_ONLY)
      assert.deepEqual(besideChannels({ ...asked, count: 3 }, capabilities, {}), { multifd: 3, preempt: false })
    }
    assert.equal(besideChannels({ ...asked, count: 99 }, OFF, {}).multifd, CHANNELS_MAX)
  })

  it('are as QEMU is set where nobody asks, 16 at the most', () => {
    const multifdOf = (count: unknown): number => besideChannels(asked, ON, { 'multifd-channels': count }).multifd
    assert.deepEqual([1, 2, 16, 17, 255, 0, undefined].map(multifdOf), [1, 2, 16, 16, 16, 1, 1])
  })

  it('are several where a host has processors for them', () => {
    assert.deepEqual([7, 8].map((cores) => besideChannels({ ...asked, cores }, OFF, {}).multifd), [0, 4])
  })

  it('of post-copy are main and one for urgent pages, if that is switched on', () => {
    const postcopy = { mode: 'postcopy', count: undefined, cores: 64 } as const
    assert.deepEqual(besideChannels(postcopy, ON, {}), { multifd: 0, preempt: true })
    assert.deepEqual(besideChannels({ ...postcopy, count: 1 }, ON, {}), MAIN_ONLY)
    assert.deepEqual(besideChannels(postcopy, OFF, {}), MAIN_ONLY)
  })

  it('of pages are several in pre-copy only', () => {
    assert.deepEqual([1, 2, 16, undefined].map((channels) => [
      areChannelsPossible({ mode: 'postcopy', ...channels === undefined ? {} : { channels } }),
      areChannelsPossible({ mode: 'precopy', ...channels === undefined ? {} : { channels } }),
      areChannelsPossible(channels === undefined ? {} : { channels }),
    ]), [[true, true, true], [false, true, true], [false, true, true], [true, true, true]])
  })

  it('are none beside main in a QEMU that knows no others', () => {
    assert.deepEqual(besideChannels({ ...asked, count: 4 }, new Map(), {}), MAIN_ONLY)
  })

  it('are counted with main', () => {
    assert.deepEqual([MAIN_ONLY, { multifd: 16, preempt: true }].map(countOfChannels), [1, 18])
  })

  it('make a QEMU encode no page', () => {
    assert.deepEqual(channelSettings(MAIN_ONLY), {
      capabilities: { 'multifd': false, 'postcopy-preempt': false }, parameters: {},
    })
    assert.deepEqual(channelSettings({ multifd: 5, preempt: false }), {
      capabilities: { 'multifd': true, 'postcopy-preempt': false, 'xbzrle': false },
      parameters: { 'multifd-channels': 5, 'multifd-compression': 'none' },
    })
    assert.equal(channelSettings({ multifd: 0, preempt: true }).capabilities['postcopy-preempt'], true)
  })

  it('of another host are looked at before they are believed', () => {
    for (const good of [MAIN_ONLY, { multifd: 16, preempt: true }]) assert.ok(areBesideChannels(good))
    for (const bad of [
      undefined, null, 'none', {}, { multifd: 0 }, { multifd: 17, preempt: false }, { multifd: -1, preempt: false },
      { multifd: 1.5, preempt: false }, { multifd: '2', preempt: false }, { multifd: 2, preempt: 'yes' },
    ]) assert.equal(areBesideChannels(bad), false)
  })
})
