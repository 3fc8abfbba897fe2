import { strict as assert } from 'node:assert'

import type { DeviceDescription, MachineDescription } from '../../../src/guest/description.ts'
import { listDevices } from '../../../src/guest/devicetree.ts'
import { differencesOf } from '../../../src/guest/differences.ts'
import type { MigrationMode } from '../../../src/guest/migration.ts'

const MEBIBYTE = 1024 * 1024

const DEVICES: DeviceDescription[] = [
  { type: 'isa-serial', place: 'slot 01.0, port 0x3f8' },
  { type: 'piix3-ide', place: 'slot 01.1' },
  { type: 'virtio-blk-pci', place: 'slot 02.0' },
]

function machine(more: Partial<MachineDescription> = {}): MachineDescription {
  return {
    qemuVersion: '7.2.22', machine: 'pc-i440fx-7.2', accelerator: 'kvm', cpus: { count: 2, type: 'qemu64-x86_64-cpu' },
    blocks: [block('pc.ram', 128 * MEBIBYTE), block('pc.bios', 256 * 1024)],
    devices: listDevices(DEVICES, 10),
    capabilities: { 'switchover-ack': false, 'x-ignore-shared': false }, blockers: [], startsPaused: false, ...more,
  }
}

function block(name: string, bytes: number, bytesMax = bytes, pageBytes = 4096) {
  return { name, bytes, bytesMax, pageBytes }
}

function between(source: Partial<MachineDescription>, destination: Partial<MachineDescription>, mode?: MigrationMode) {
  const hosts = { source: 'host-a', destination: 'host-b' }
  return differencesOf(machine(source), machine(destination), hosts, mode)
}

describe('what keeps a guest from moving into another QEMU', () => {
  it('is nothing between two alike, nor what one side does not tell, nor QEMU\'s version', () => {
    assert.deepEqual(between({}, {}), [])
    assert.deepEqual(between({}, { qemuVersion: '10.0.2', startsPaused: true, blockers: ['x'] }), [])
    const silent = machine({ blocks: [], capabilities: {} })
    for (const key of ['machine', 'accelerator', 'cpus', 'devices'] as const) delete silent[key]
    const hosts = { source: 'host-a', destination: 'host-b' }
    assert.deepEqual(differencesOf(machine(), silent, hosts), [])
    assert.deepEqual(differencesOf(silent, machine(), hosts), [])
  })

  const sentences: [string, Partial<MachineDescription>, Partial<MachineDescription>, string[]][] = [
    ['another machine, and then nothing else', {}, { machine: 'pc-q35-7.2', devices: listDevices([], 9), blocks: [] },
      ['The machine type is pc-i440fx-7.2 on host-a and pc-q35-7.2 on host-b.']],
    ['another accelerator', {}, { accelerator: 'tcg' }, ['The accelerator is kvm on host-a and tcg on host-b.']],
    ['another number of vCPUs', { cpus: { count: 4 } }, {}, ['The number of vCPUs is 4 on host-a and 2 on host-b.']],
    ['another CPU model', {}, { cpus: { count: 2, type: 'host-x86_64-cpu' } },
      ['The CPU model is qemu64 on host-a and host on host-b.']],
    ['other memory', {}, { blocks: [block('pc.ram', 160 * MEBIBYTE), block('pc.bios', 256 * 1024)] },
      ['pc.ram is 128 MiB on host-a and 160 MiB on host-b.']],
    ['memory that differs by little', { blocks: [block('pc.ram', 128 * MEBIBYTE - 8192)] }, {},
      ['pc.ram is 131064 KiB on host-a and 128 MiB on host-b.']],
    ['memory of just a mebibyte, and of some bytes', { blocks: [block('rom', MEBIBYTE)] },
      { blocks: [block('rom', MEBIBYTE + 1)] }, ['rom is 1 MiB on host-a and 1048577 bytes on host-b.']],
    ['memory that is not there', {}, { blocks: [block('pc.bios', 256 * 1024)] },
      ['Memory pc.ram (128 MiB) is on host-a only.']],
    ['a device at the source only',
      { devices: listDevices([...DEVICES, { type: 'e1000', place: 'slot 03.0' }], 9) }, {},
      ['An e1000 at slot 03.0 is on host-a only.']],
    ['a device at the destination only', {},
      { devices: listDevices([...DEVICES, { type: 'virtio-net-pci', place: 'slot 03.0' }], 9) },
      ['A virtio-net-pci at slot 03.0 is on host-b only.']],
    ['a capability', { capabilities: { 'switchover-ack': true } }, {},
      ['The migration capability switchover-ack is on at host-a and off at host-b.']],
    ['a capability that only the destination has on', {}, { capabilities: { 'x-ignore-shared': true } },
      ['The migration capability x-ignore-shared is off at host-a and on at host-b.']],
    ['a device without a place', { devices: listDevices([...DEVICES, { type: 'uefi-vars', place: '' }], 9) }, {},
      ['An uefi-vars is on host-a only.']],
  ]
  for (const [what, source, destination, expected] of sentences) {
    it(`is ${what}`, () => assert.deepEqual(between(source, destination), expected))
  }

  it('is a device that has another place or another type, told from both sides', () => {
    const moved = DEVICES.with(2, { type: 'virtio-blk-pci', place: 'slot 05.0' })
    assert.deepEqual(between({}, { devices: listDevices(moved, 9) }), [
      'A virtio-blk-pci at slot 02.0 is on host-a only.', 'A virtio-blk-pci at slot 05.0 is on host-b only.',
    ])
  })

  it('is a second device like one that both have', () => {
    const twice = [...DEVICES, DEVICES[0]!]
    assert.deepEqual(between({ devices: listDevices(twice, 9) }, {}),
      ['An isa-serial at slot 01.0, port 0x3f8 is on host-a only.'])
  })

  it('is no part of the machine that another version models otherwise, but a device with a slot', () => {
    const devices = [{ type: 'isa-new', place: 'slot 01.0, port 0x99' }, ...DEVICES]
    assert.deepEqual(between({}, { qemuVersion: '10.0.2', devices: listDevices(devices, 9) }), [])
    const withNic = [...devices, { type: 'e1000', place: 'slot 03.0' }]
    assert.equal(between({}, { qemuVersion: '10.0.2', devices: listDevices(withNic, 9) }).length, 1)
  })

  it('is told of lists that were cut, too', () => {
    const more = [...DEVICES, { type: 'e1000', place: 'slot 03.0' }]
    assert.deepEqual(between({ devices: listDevices(DEVICES, 2) }, { devices: listDevices(more, 2) }),
      ['The devices differ: host-a has 3 and host-b has 4.'])
    const first = DEVICES.slice(0, 2)
    const whole = { devices: listDevices(first, 2) }
    assert.deepEqual(between({ devices: listDevices(DEVICES, 2) }, whole),
      ['The devices differ: host-a has 3 and host-b has 2.'], 'cut at one side only')
    assert.deepEqual(between(whole, { devices: listDevices(DEVICES, 2) }),
      ['The devices differ: host-a has 2 and host-b has 3.'])
    // What another version models otherwise may be all that differs behind the cut; whatever is listed is told.
    assert.deepEqual(between({ devices: listDevices(DEVICES, 2) }, { ...whole, qemuVersion: '10.0.2' }), [])
    const other = [{ type: 'e1000', place: 'slot 01.0' }, ...more]
    for (const [listedMax, isToldOf] of [[0, false], [1, true], [2, true], [3, true]] as const) {
      assert.deepEqual(
        between({ devices: listDevices(DEVICES, listedMax) }, { devices: listDevices(other, listedMax) }), isToldOf
          // What the other side's list has no room for any more is not said to be missing there.
          ? ['An e1000 at slot 01.0 is on host-b only.']
          : ['The devices differ: host-a has 3 and host-b has 5.'])
    }
  })

  it('is not the order in which devices are listed', () => {
    assert.deepEqual(between({ devices: listDevices(DEVICES.toReversed(), 9) }, {}), [])
  })

  it('is no memory that QEMU fits to what arrives, as far as it can', () => {
    const tables = (bytes: number) => ({ blocks: [block('/rom@etc/acpi/tables', bytes, 2 * MEBIBYTE)] })
    assert.deepEqual(between(tables(256 * 1024), tables(128 * 1024)), [])
    assert.deepEqual(between(tables(2 * MEBIBYTE), tables(128 * 1024)), [], 'just as far')
    assert.deepEqual(between(tables(2 * MEBIBYTE + 1), tables(128 * 1024)),
      ['/rom@etc/acpi/tables is 2097153 bytes on host-a and 128 KiB on host-b.'])
    const rom = (bytes: number) => ({ blocks: [block('pc.rom', bytes)] })
    assert.equal(between(rom(64 * 1024), rom(128 * 1024)).length, 1, 'one that is as large as it may be stays so')
    assert.deepEqual(between({ blocks: [] }, {}), [], 'memory that only the destination has stays as it is')
  })

  it('is the size of pages in post-copy, and only there', () => {
    const huge = { blocks: [block('pc.ram', 128 * MEBIBYTE, 128 * MEBIBYTE, 2 * MEBIBYTE)] }
    assert.deepEqual(between(huge, {}), [])
    assert.deepEqual(between(huge, {}, 'postcopy'),
      ['pc.ram has pages of 2 MiB on host-a and of 4 KiB on host-b, which post-copy cannot move.'])
  })
})
