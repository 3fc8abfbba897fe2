import { strict as assert } from 'node:assert'

import { isMachineDescription } from '../../../src/guest/description.ts'

const TEXT_MAX = 'x'.repeat(1024)

function whole(): Record<string, unknown> {
  return {
    qemuVersion: '7.2.22', machine: 'pc-i440fx-7.2', accelerator: 'kvm', cpus: { count: 2, type: 'host-x86_64-cpu' },
    blocks: [
      { name: 'pc.ram', bytes: 4096, bytesMax: 8192, pageBytes: 4096, backing: 'tmpfs' },
      { name: 'pc.bios', bytes: 0, bytesMax: 0, pageBytes: 4096 },
    ],
    devices: { listed: [{ type: 'e1000', place: 'slot 03.0' }, { type: 'a', place: '' }], count: 2, digest: 'ab' },
    capabilities: { 'switchover-ack': false, 'x-ignore-shared': true }, blockers: ['no', ''], startsPaused: false,
  }
}

/** The whole description with one value replaced, or taken away; the way to it is such as `blocks.1.name`. */
function replaced(way: string, value: unknown): unknown {
  const description = whole()
  const steps = way.split('.')
  const last = steps.pop()!
  const owner = steps.reduce((at, step) => at[step] as Record<string, unknown>, description)
  owner[last] = value
  // As JSON it comes: what is undefined is absent.
  return value === undefined ? JSON.parse(JSON.stringify(description)) : description
}

describe('what another host sends as the description of a machine', () => {
  it('is one if it is whole, or lacks what a QEMU may not tell', () => {
    assert.equal(isMachineDescription(whole()), true)
    for (const way of ['machine', 'accelerator', 'cpus', 'cpus.type', 'blocks.0.backing', 'devices']) {
      assert.equal(isMachineDescription(replaced(way, undefined)), true, way)
    }
    for (const way of ['blocks', 'blockers', 'devices.listed']) {
      assert.equal(isMachineDescription(replaced(way, [])), true, way)
    }
    assert.equal(isMachineDescription(replaced('capabilities', {})), true)
  })

  it('may be as large as the limits say, and no larger', () => {
    const { blocks, devices } = whole() as {
      blocks: unknown[]; devices: { listed: unknown[] }
    }
    const many: [string, unknown][] = [
      ['blocks', blocks[0]], ['blockers', 'no'], ['devices.listed', devices.listed[0]],
    ]
    for (const [way, item] of many) {
      assert.equal(isMachineDescription(replaced(way, Array(4096).fill(item))), true, way)
      assert.equal(isMachineDescription(replaced(way, Array(4097).fill(item))), false, way)
    }
  })

  const texts = ['qemuVersion', 'machine', 'accelerator', 'cpus.type', 'blocks.0.name', 'blocks.1.name',
    'blocks.0.backing', 'devices.listed.0.type', 'devices.listed.1.place', 'devices.digest', 'blockers.0', 'blockers.1']
  const counts = ['cpus.count', 'blocks.0.bytes', 'blocks.1.bytesMax', 'blocks.0.pageBytes', 'devices.count']
  const flags = ['startsPaused', 'capabilities.switchover-ack', 'capabilities.x-ignore-shared']
  const records = ['cpus', 'blocks.0', 'devices', 'devices.listed.1', 'capabilities']
  const lists = ['blocks', 'devices.listed', 'blockers']

  const kinds: { kind: string; ways: string[]; good: unknown[]; bad: unknown[] }[] = [
    { kind: 'texts', ways: texts, good: ['', TEXT_MAX], bad: [null, 5, ['text'], {}, `${TEXT_MAX}x`] },
    { kind: 'counts', ways: counts, good: [0, 2 ** 53 - 1], bad: [null, '5', -1, 0.5, NaN, Infinity, 2 ** 53, {}] },
    { kind: 'flags', ways: flags, good: [true, false], bad: [null, 'true', 0, 1, {}] },
    { kind: 'records', ways: records, good: [], bad: [null, 'text', 5, true, []] },
    { kind: 'lists', ways: lists, good: [], bad: [null, 'text', 5, {}, { length: 0 }] },
  ]
  for (const { kind, ways, good, bad } of kinds) {
    it(`is none where one of its ${kind} is something else`, () => {
      for (const way of ways) {
        for (const value of good) {
          assert.equal(isMachineDescription(replaced(way, value)), true, `${way}: ${String(value)}`)
        }
        for (const value of bad) {
          assert.equal(isMachineDescription(replaced(way, value)), false, `${way}: ${JSON.stringify(value)}`)
        }
      }
    })
  }

  it('is none where something is missing that every QEMU tells', () => {
    const needed = ['qemuVersion', 'blocks', 'capabilities', 'blockers', 'startsPaused', 'cpus.count', 'blocks.1.name',
      'blocks.0.bytes', 'blocks.0.bytesMax', 'blocks.1.pageBytes', 'devices.listed', 'devices.count', 'devices.digest',
      'devices.listed.0.type', 'devices.listed.0.place']
    for (const way of needed) assert.equal(isMachineDescription(replaced(way, undefined)), false, way)
    for (const value of [undefined, null, 'text', 5, []]) assert.equal(isMachineDescription(value), false)
  })
})
