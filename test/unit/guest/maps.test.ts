import { strict as assert } from 'node:assert'

import { bytesOf, findGuarded, isMapped, parseMapFlags, parseMaps } from '../../../src/guest/maps.ts'

const MAPS = `557cbd625000-557cbe4a3000 rw-p 00000000 00:00 0                          [heap]
7f8c77e00000-7f8c7be00000 rw-p 00000000 00:00 0 
7f8c7be00000-7f8c7be01000 ---p 00000000 00:00 0 
7f8cc8a00000-7f8cc8a20000 rw-p 00000000 00:00 0 
7f8cc8a20000-7f8cc8a21000 ---p 00000000 00:00 0 
7f8cc8c00000-7f8cc8c40000 rw-s 00000000 00:01 1031                       /memfd:ram (deleted)
7f8cc8c40000-7f8cc8c41000 ---p 00000000 00:00 0 
7f8cc8d13000-7f8cc8d34000 rw-p 00000000 00:00 0 
7f8cc8d34000-7f8cc8d54000 rw-p 00000000 00:00 0 
ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0                  [vsyscall]
`

describe('maps of a process', () => {
  const mappings = parseMaps(MAPS)

  it('tell which mappings may be blocks: those with a guard page behind them', () => {
    const found = findGuarded(mappings).map(({ start }) => start)
    assert.deepEqual(found, [0x7f8c77e00000n, 0x7f8cc8a00000n, 0x7f8cc8c00000n])
    assert.deepEqual(findGuarded(mappings).map(bytesOf), [0x400_0000, 0x2_0000, 0x4_0000])
  })

  it('tell a block apart from memory that lies as it does but for its place', () => {
    const guarded = (text: string): bigint[] => findGuarded(parseMaps(text)).map(({ start }) => start)
    // Below the guard page of a thread's stack, and an arena of the C library's allocator.
    for (const other of [
      '7f9000001000-7f9000021000 rw-p 0 00:00 0\n7f9000021000-7f9000022000 ---p 0 00:00 0\n',
      '7f9000000000-7f9000020000 rw-p 0 00:00 0\n7f9000020000-7f9004000000 ---p 0 00:00 0\n',
      '7f9000000000-7f9000020000 r--p 0 00:00 0\n7f9000020000-7f9000021000 ---p 0 00:00 0\n',
      '7f9000000000-7f9000020000 rw-p 0 00:00 0\n7f9000021000-7f9000022000 ---p 0 00:00 0\n',
      '7f9000000000-7f9000020000 rw-p 0 00:00 0\n',
    ]) assert.deepEqual(guarded(other), [], other)
    // A block may lie where an arena could, and reach as far as one does not; one that a file backs lies anywhere.
    for (const block of [
      '7f9004000000-7f9004020000 rw-p 0 00:00 0\n7f9004020000-7f9004021000 ---p 0 00:00 0\n',
      '7f9000001000-7f9000021000 rw-s 0 00:01 7 /memfd:ram (deleted)\n7f9000021000-7f9000022000 ---p 0 00:00 0\n',
    ]) assert.equal(guarded(block).length, 1, block)
  })

  it('tell memory of a device, which must not be read', () => {
    const paths: [string, boolean][] = [
      ['/dev/vfio/12', false], ['anon_inode:[vfio-device]', false], ['/sys/devices/pci0/resource0', false],
      ['/dev/mem', false], ['/dev/shm/ram', true], ['/dev/hugepages/libvirt/qemu/1-web/ram', true],
      ['/dev/zero (deleted)', true], ['/anon_hugepage (deleted)', true], ['/srv/ram', true],
    ]
    for (const [path, isFound] of paths) {
      const text = `7f9000000000-7f9000200000 rw-s 0 00:01 7 ${path}\n7f9000200000-7f9000201000 ---p 0 00:00 0\n`
      assert.equal(findGuarded(parseMaps(text)).length === 1, isFound, path)
    }
  })

  it('tell the flags of each mapping', () => {
    const text = '7f00-8000 rw-p 00000000 00:00 0 \nSize:   4 kB\nVmFlags: rd wr dc dd \n' +
      '9000-a000 r--p 00000000 fe:00 2170888    /usr/bin/a b\nRss: 4 kB\nVmFlags: rd \nVmFlags: wr\n'
    assert.deepEqual(parseMapFlags(text), new Map([
      [0x7f00n, new Set(['rd', 'wr', 'dc', 'dd'])], [0x9000n, new Set(['wr'])],
    ]))
    assert.deepEqual(parseMapFlags('VmFlags: rd\n'), new Map())
  })

  it('tell what is mapped', () => {
    assert.equal(mappings[0]!.path, '[heap]')
    assert.equal(mappings[1]!.path, '')
    assert.equal(mappings.find(({ start }) => start === 0x7f8cc8c00000n)!.path, '/memfd:ram (deleted)')
    assert.equal(parseMaps('1000-2000 rw-s 00000000 fe:00 21801   /srv/a b.ram\n')[0]!.path, '/srv/a b.ram')
  })

  it('tell whether a stretch is mapped readable throughout', () => {
    assert.equal(isMapped(mappings, 0x7f8cc8d13000n, 0x4_1000), true)
    assert.equal(isMapped(mappings, 0x7f8cc8d13000n, 0x4_2000), false)
    assert.equal(isMapped(mappings, 0x7f8c7bdff000n, 0x2000), false)
    assert.equal(isMapped(mappings, 0x1000n, 0x1000), false)
    assert.equal(isMapped(mappings, 0xffffffffff600000n, 0x1000), false)
    const behindGuard = parseMaps('0-1000 ---p 0 00:00 0\n1000-2000 rw-p 0 00:00 0\n')
    assert.equal(isMapped(behindGuard, 0x1000n, 0x1000), true)
    const one = parseMaps('1000-2000 r--s 00000000 00:01 5   /file\n')
    assert.equal(isMapped(one, 0x1000n, 0x1000), true)
    for (const [start, bytes] of [[0x1000n, 0x1001], [0xfffn, 1], [0x2000n, 1]] as const) {
      assert.equal(isMapped(one, start, bytes), false, `${start}`)
    }
  })
})
