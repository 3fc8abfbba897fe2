import { strict as assert } from 'node:assert'
import fc from 'fast-check'

import { guestNameOf, isQemuProgram, parseQemuArguments } from '../../../src/guest/qemuarguments.ts'

const MIB = 2 ** 20
const UUID = '88257c11-add7-4f10-9f21-37c669663876'

/** As libvirt 9.0 starts it, some words left out. */
const LIBVIRT = [
  '/usr/bin/qemu-system-x86_64', '-name', 'guest=web,,1,debug-threads=on', '-S',
  '-object', '{"qom-type":"secret","id":"masterKey0","format":"raw","file":"/var/lib/libvirt/qemu/domain-1/key.aes"}',
  '-machine', 'pc-i440fx-7.2,usb=off,dump-guest-core=off,memory-backend=pc.ram', '-accel', 'tcg', '-m', '128',
  '-object', '{"qom-type":"memory-backend-ram","id":"pc.ram","size":134217728}', '-uuid', UUID,
  '-no-user-config', '-nodefaults', '-chardev', 'socket,id=charmonitor,fd=28,server=on,wait=off',
  '-mon', 'chardev=charmonitor,id=monitor,mode=control', '-no-shutdown',
  '-append', 'console=ttyS0 -name other -incoming defer', '-incoming', 'defer', '-msg', 'timestamp=on',
]

/** As Proxmox starts it, some words left out. */
const PROXMOX = [
  '/usr/bin/kvm', '-id', '100', '-name', 'web,debug-threads=on', '-no-shutdown',
  '-chardev', 'socket,id=qmp,path=/var/run/qemu-server/100.qmp,server=on,wait=off',
  '-mon', 'chardev=qmp,mode=control', '-pidfile', '/var/run/qemu-server/100.pid', '-daemonize',
  '-smbios', `type=1,uuid=${UUID}`, '-m', '2048', '-machine', 'type=pc+pve0',
]

function ramSizes(...words: string[]): number[] {
  return parseQemuArguments(['qemu-system-x86_64', ...words]).ramSizes
}

function isPrivate(...words: string[]): boolean {
  return parseQemuArguments(['qemu-system-x86_64', ...words]).isPrivate
}

describe('the command line of a QEMU', () => {
  it('of libvirt is told', () => {
    assert.deepEqual(parseQemuArguments(LIBVIRT), {
      name: 'web,1', uuid: UUID, manager: 'libvirt', ramSizes: [128 * MIB], isPrivate: false, waits: true,
    })
  })

  it('of Proxmox is told', () => {
    assert.deepEqual(parseQemuArguments(PROXMOX), {
      name: 'web', uuid: undefined, manager: 'proxmox', ramSizes: [2048 * MIB], isPrivate: false, waits: false,
    })
    for (const [word, other] of [['100', 'vm'], ['-id', '-idx'], [PROXMOX[7]!, 'socket,id=qmp,path=/tmp/100.qmp']]) {
      const words = PROXMOX.map((one) => (one === word ? other! : one))
      assert.equal(parseQemuArguments(words).manager, undefined, other)
    }
  })

  it('of nobody in particular says what it can', () => {
    assert.deepEqual(parseQemuArguments(['qemu-system-x86_64']), {
      name: undefined, uuid: undefined, manager: undefined, ramSizes: [128 * MIB], isPrivate: false, waits: false,
    })
    assert.equal(parseQemuArguments(['q', '-uuid', UUID.toUpperCase()]).uuid, UUID)
    assert.equal(parseQemuArguments(['q', '-uuid', `${UUID}0`]).uuid, undefined)
    assert.equal(parseQemuArguments(['q', '-chardev', '{"backend":"socket","id":"charmonitor"}']).manager, 'libvirt')
  })

  it('tells of a guest that waits for a migration, not of one whose own words say so', () => {
    const waits = (...words: string[]): boolean => parseQemuArguments(['q', ...words]).waits
    assert.equal(waits('-incoming', 'tcp:[::]:49152'), true)
    assert.equal(waits('--incoming', 'defer'), true)
    assert.equal(waits('-append', '-incoming', '-S', 'defer'), false)
    assert.equal(waits('-incoming'), false)
    assert.equal(waits('-append', 'x -incoming defer'), false)
  })

  it('says what the guest is called, the last time', () => {
    assert.equal(guestNameOf(['qemu', '-name', 'vm', '-m', '64']), 'vm')
    assert.equal(guestNameOf(['qemu', '-name', 'debug-threads=on,guest=vm 2']), 'vm 2')
    assert.equal(guestNameOf(['qemu', '-name', 'a', '-name', 'b']), 'b')
    assert.equal(guestNameOf(['qemu', '--name', 'guest=vm,process=x']), 'vm')
    assert.equal(guestNameOf(['qemu', '-name', 'a,,,debug-threads=on']), 'a,')
    assert.equal(guestNameOf(['qemu', '-name', 'guest=a=b']), 'a=b')
    assert.equal(guestNameOf(['qemu', '-name', 'guest=a\nb']), 'a\nb')
    assert.equal(guestNameOf(['qemu', '-name']), undefined)
    assert.equal(guestNameOf(['qemu', '-name', 'debug-threads=on']), undefined)
    assert.equal(guestNameOf(['vim', 'name']), undefined)
    assert.equal(guestNameOf(['-name', 'a']), undefined)
    assert.equal(guestNameOf([]), undefined)
  })

  it('says how much memory there is', () => {
    assert.deepEqual(ramSizes('-m', '512'), [512 * MIB])
    assert.deepEqual(ramSizes('-m', '512', '-m', '1G'), [1024 * MIB])
    assert.deepEqual(ramSizes('-m', 'size=1048576k,slots=16,maxmem=4194304k'), [1024 * MIB])
    assert.deepEqual(ramSizes('-m', 'slots=2,size=64M'), [64 * MIB])
    assert.deepEqual(ramSizes('-m', '131064K'), [131_064 * 1024])
    assert.deepEqual(ramSizes('-m', '1.5G'), [1536 * MIB])
    assert.deepEqual(ramSizes('-m', '0x40'), [64 * MIB])
    assert.deepEqual(ramSizes('-m', '9000B'), [16_384])
    for (const odd of ['', '0', 'much', '1Z', '99999999E', 'size=', '{', 'NaN']) {
      assert.deepEqual(ramSizes('-m', odd), [], odd)
    }
  })

  it('says how large each backend is, and one of each size', () => {
    assert.deepEqual(ramSizes('-m', '128', '-object', 'memory-backend-memfd,id=a,size=64M,share=on',
      '-object', '{"qom-type":"memory-backend-file","id":"b","mem-path":"/dev/shm/b","size":33554432}',
      '-object', 'size=64M,qom-type=memory-backend-ram,id=c'), [64 * MIB, 32 * MIB, 128 * MIB])
    assert.deepEqual(ramSizes('-object', 'memory-backend-ram,id=a,size=5000'), [8192])
    assert.deepEqual(ramSizes('-object', 'secret,id=a,size=4M'), [128 * MIB])
    assert.deepEqual(ramSizes('-object', '{"qom-type":"memory-backend-ram","size":null}'), [])
    assert.deepEqual(ramSizes('-object', '{"qom-type":'), [128 * MIB])
    assert.deepEqual(ramSizes('-object', '{"qom-type":"memory-backend-ram","size":"4M"}'), [4 * MIB])
  })

  it('says whether its pages may be shared', () => {
    assert.equal(isPrivate('-machine', 'pc,mem-merge=off'), true)
    assert.equal(isPrivate('-M', 'type=pc,mem-merge=no'), true)
    assert.equal(isPrivate('-machine', '{"type":"pc","mem-merge":false}'), true)
    assert.equal(isPrivate('-machine', 'pc,mem-merge=off', '-machine', 'accel=tcg'), true)
    assert.equal(isPrivate('-machine', 'pc,mem-merge=off', '-machine', 'mem-merge=on'), false)
    assert.equal(isPrivate('-machine', 'pc,mem-merge=on'), false)
    assert.equal(isPrivate('-object', 'memory-backend-ram,id=a,size=4M,merge=off'), true)
    assert.equal(isPrivate('-object', '{"qom-type":"memory-backend-ram","size":4096,"merge":false}'), true)
    assert.equal(isPrivate('-object', 'memory-backend-ram,id=a,size=4M,merge'), false)
    assert.equal(isPrivate('-object', 'secret,merge=off'), false)
  })

  it('is read whatever it is', () => {
    const option = fc.constantFrom('-m', '-name', '-object', '--machine', '-M', '-incoming', '-chardev', '-id', '-uuid')
    const piece = fc.constantFrom('memory-backend-ram', 'size=', '4M', ',', ',,', '=', '{', '}', '"size":', '1e99')
    const value = fc.oneof(fc.string(), fc.array(piece).map((pieces) => pieces.join('')), fc.json())
    fc.assert(fc.property(fc.array(fc.oneof(option, value)), (words) => {
      const { name, ramSizes } = parseQemuArguments(words)
      assert.ok(name === undefined || typeof name === 'string')
      assert.ok(ramSizes.every((bytes) => Number.isSafeInteger(bytes) && bytes > 0 && bytes % 4096 === 0))
      assert.equal(new Set(ramSizes).size, ramSizes.length)
    }))
  })

  it('counts only where the program is QEMU\'s', () => {
    for (const path of [
      '/usr/bin/qemu-system-x86_64', '/usr/bin/qemu-system-aarch64 (deleted)', '/usr/libexec/qemu-kvm', '/usr/bin/kvm',
      'qemu-system-x86_64-spice',
    ]) assert.equal(isQemuProgram(path), true, path)
    for (const path of [
      '/usr/bin/qemu-img', '/usr/bin/bash', '/qemu-system-x86_64/bash', '/usr/bin/lkvm', '/usr/bin/qemu-system-', '',
      '/usr/bin/kvm (deleted) (deleted)', '/usr/bin/qemu-system-x86_64\nbash',
    ]) assert.equal(isQemuProgram(path), false, path)
  })
})
