import { strict as assert } from 'node:assert'
import { readFileSync } from 'node:fs'

import { describeMachine } from '../../../src/guest/describe.ts'
import { differencesOf } from '../../../src/guest/differences.ts'
import { parseMaps } from '../../../src/guest/maps.ts'
import { FakeMachine } from './fakemachine.ts'

const RAM_BLOCKS = `Block Name    PSize              Offset               Used              Total
pc.ram    4 KiB  0x0000000000000000 0x0000000004000000 0x0000000004000000
`

function deviceTree(count: number): string {
  const devices = Array.from({ length: count }, (_none, index) =>
    `      dev: a-device-with-quite-a-long-name, id ""\n        addr = ${index.toString(16)}.0\n`)
  return `bus: main-system-bus\n  dev: pcihost, id ""\n    bus: pci.0\n${devices.join('')}`
}

describe('the description of a machine', () => {
  let machine: FakeMachine
  const init = { pid: process.pid, blocks: [], startsPaused: true }

  beforeEach(async () => { machine = await FakeMachine.start() })
  afterEach(() => machine.close())

  function answer(devices: number): void {
    machine.special['qom-get'] = () => ({ value: 'pc-i440fx-7.2-machine' })
    machine.special['query-kvm'] = () => ({ value: { enabled: true, present: true } })
    machine.special['query-cpus-fast'] = () => ({ value: [{}, {}] })
    machine.special['query-hotpluggable-cpus'] = () =>
      ({ value: [{ type: 'free' }, { type: 'qemu64-x86_64-cpu', 'qom-path': '/machine/a' }] })
    machine.special['human-monitor-command'] = ({ 'command-line': line }) =>
      ({ value: line === 'info qtree' ? deviceTree(devices) : RAM_BLOCKS })
  }

  it('says what QEMU told', async () => {
    answer(1)
    machine.blockers = ['no']
    const { devices, ...told } = await describeMachine(machine.session, init)
    assert.deepEqual(told, {
      qemuVersion: '7.2.22', machine: 'pc-i440fx-7.2', accelerator: 'kvm',
      cpus: { count: 2, type: 'qemu64-x86_64-cpu' },
      blocks: [{ name: 'pc.ram', bytes: 0x400_0000, bytesMax: 0x400_0000, pageBytes: 4096 }],
      capabilities: { 'switchover-ack': false }, blockers: ['no'], startsPaused: true,
    })
    assert.deepEqual(devices!.listed, [{ type: 'a-device-with-quite-a-long-name', place: 'slot 0.0' }])
  })

  it('says what QEMU emulates, what backs its memory, and what must agree', async () => {
    answer(1)
    machine.special['query-kvm'] = () => ({ value: { enabled: false, present: true } })
    machine.special['query-hotpluggable-cpus'] = () => ({ value: [{ type: 'free' }] })
    machine.special['query-cpus-fast'] = () => ({ value: [{}] })
    for (const name of ['validate-uuid', 'dirty-bitmaps', 'x-ignore-shared']) machine.capabilities[name] = true
    const heap = parseMaps(readFileSync('/proc/self/maps', 'utf8')).find(({ path }) => path === '[heap]')!
    const blocks = [{ name: 'pc.ram', bytes: 4096, address: heap.start }]
    const told = await describeMachine(machine.session, { ...init, blocks })
    const { accelerator, cpus, blocks: [ram], capabilities } = told
    assert.deepEqual({ accelerator, cpus, backing: ram!.backing, capabilities }, {
      accelerator: 'tcg', cpus: { count: 1 }, backing: 'anonymous',
      capabilities: {
        'switchover-ack': false, 'validate-uuid': true, 'dirty-bitmaps': true, 'x-ignore-shared': true,
      },
    })
  })

  it('lists no device where there is no room for one, and still tells them apart', async () => {
    answer(3)
    const blocks = Array.from({ length: 600 }, (_none, index) =>
      `a-block-of-memory-with-a-long-name-${index}    4 KiB  0x0 0x0000000000001000 0x0000000000001000\n`)
    const { special } = machine
    special['human-monitor-command'] = ({ 'command-line': line }) =>
      ({ value: line === 'info qtree' ? deviceTree(3) : RAM_BLOCKS + blocks.join('') })
    const { devices, blocks: told } = await describeMachine(machine.session, init)
    assert.deepEqual([devices!.listed, devices!.count, told.length], [[], 3, 601])
  })

  it('leaves out what an older QEMU does not know', async () => {
    for (const command of ['qom-get', 'query-kvm', 'query-cpus-fast', 'query-hotpluggable-cpus',
      'human-monitor-command', 'query-migrate', 'query-migrate-capabilities']) {
      machine.special[command] = () => ({ errorClass: 'CommandNotFound', description: 'unknown' })
    }
    assert.deepEqual(await describeMachine(machine.session, init), {
      qemuVersion: '7.2.22', blocks: [], capabilities: {}, blockers: [], startsPaused: true,
    })
  })

  it('hides no other failure', async () => {
    machine.alive = false
    await machine.fake.close()
    await machine.session.gone
    await assert.rejects(describeMachine(machine.session, init))
  })

  it('fits into a message however many devices there are, and is still compared', async () => {
    answer(3000)
    const many = await describeMachine(machine.session, init)
    assert.ok(Buffer.byteLength(JSON.stringify(many)) <= 48 * 1024)
    assert.equal(many.devices!.count, 3000)
    assert.ok(many.devices!.listed.length > 100)
    answer(3001)
    const more = await describeMachine(machine.session, init)
    const hosts = { source: 'host-a', destination: 'host-b' }
    assert.equal(differencesOf(many, more, hosts).length, 1)
    assert.deepEqual(differencesOf(many, many, hosts), [])
  })
})
