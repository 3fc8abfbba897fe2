import { strict as assert } from 'node:assert'

import { describeMachine } from '../../../src/guest/describe.ts'
import { differencesOf } from '../../../src/guest/differences.ts'
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
