import { strict as assert } from 'node:assert'

import { findGuarded, isMapped, parseMaps } from '../../../src/guest/maps.ts'
import { parseHostAddress, parseMemoryTree, parseRamBlocks, rangeOfBlock } from '../../../src/guest/ramblock.ts'

/** As QEMU 7.2.22 prints it. */
const BLOCKS_7_2 = `              Block Name    PSize              Offset               Used              Total
                  pc.ram    4 KiB  0x0000000000000000 0x0000000004000000 0x0000000004000000
    /rom@etc/acpi/tables    4 KiB  0x0000000004080000 0x0000000000020000 0x0000000000200000
                 pc.bios    4 KiB  0x0000000004000000 0x0000000000040000 0x0000000000040000
   0000:00:02.0/vga.vram    2 MiB  0x0000000004040000 0x0000000001000000 0x0000000001000000\r
`

/** As QEMU 8.0 and later print it. */
const BLOCKS_8_0 = `              Block Name    PSize              Offset               Used              Total \
               HVA  RO
                  pc.ram    4 KiB  0x0000000000000000 0x0000000004000000 0x0000000004000000 0x00007f8c77e00000  rw
                 pc.bios    4 KiB  0x0000000004000000 0x0000000000040000 0x0000000000040000 0x00007f8cc8c00000  ro
`

/** Shortened from QEMU 7.2.22; the last line as it is under KVM. */
const TREE = `FlatView #0
 AS "I/O", root: io
 Root memory region: io
  0000000000000000-0000000000000007 (prio 0, i/o): dma-chan

FlatView #1
 AS "cpu-smm-0", root: memory
 Root memory region: memory
  0000000000000000-0000000003ffffff (prio 0, ram): smram

FlatView #2
 AS "memory", root: system
 AS "cpu-memory-0", root: system
 Root memory region: system
  0000000000000000-00000000000c2fff (prio 0, ram): pc.ram
  00000000000c3000-00000000000e7fff (prio 0, rom): pc.ram @00000000000c3000
  00000000fec00000-00000000fec00fff (prio 0, i/o): ioapic
  00000000fd000000-00000000fdffffff (prio 1, ram): vga.vram
  00000000ffc00000-00000000ffc83fff (prio 0, romd): system.flash1
  00000000fffc0000-00000000ffffffff (prio 0, rom): pc.bios KVM
  0000000100000000-000000013fffffff (prio 0, nv-ram): ram1 @0000000080000000 KVM
`

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

describe('info ramblock', () => {
  it('is read as QEMU 7.2 prints it, without addresses', () => {
    assert.deepEqual(parseRamBlocks(BLOCKS_7_2), [
      { name: 'pc.ram', usedBytes: 0x400_0000, totalBytes: 0x400_0000, pageBytes: 4096 },
      { name: '/rom@etc/acpi/tables', usedBytes: 0x2_0000, totalBytes: 0x20_0000, pageBytes: 4096 },
      { name: 'pc.bios', usedBytes: 0x4_0000, totalBytes: 0x4_0000, pageBytes: 4096 },
      { name: '0000:00:02.0/vga.vram', usedBytes: 0x100_0000, totalBytes: 0x100_0000, pageBytes: 0x20_0000 },
    ])
  })

  it('is read as QEMU 8.0 prints it, with addresses', () => {
    assert.deepEqual(parseRamBlocks(BLOCKS_8_0).map((block) => [block.name, block.hostAddress]), [
      ['pc.ram', 0x7f8c77e00000n], ['pc.bios', 0x7f8cc8c00000n],
    ])
  })

  it('tells the size of pages in any unit, and no address where a line has none', () => {
    const line = (unit: string): string => `  ram  512 ${unit}  0x0 0x0000000000001000 0x0000000000002000\n`
    const text = ['B', 'KiB', 'MiB', 'GiB'].map(line).join('')
    assert.deepEqual(parseRamBlocks(`  Block Name PSize Offset Used Total HVA RO\n${text}`).map((block) =>
      [block.pageBytes, 'hostAddress' in block]), [512, 2 ** 19, 2 ** 29, 2 ** 39].map((bytes) => [bytes, false]))
    // What stands behind the sizes means something only below its heading.
    assert.equal('hostAddress' in parseRamBlocks(BLOCKS_8_0.split('\n')[1]!)[0]!, false)
  })

  it('of something else has no blocks', () => {
    assert.deepEqual(parseRamBlocks('unknown command: \'info ramblock\'\n'), [])
    assert.deepEqual(parseRamBlocks(''), [])
  })
})

describe('info mtree -f', () => {
  it('shows the ranges of the memory address space and of no other', () => {
    assert.deepEqual(parseMemoryTree(TREE), [
      { region: 'pc.ram', guestAddress: '0000000000000000', offset: 0n },
      { region: 'pc.ram', guestAddress: '00000000000c3000', offset: 0xc3000n },
      { region: 'vga.vram', guestAddress: '00000000fd000000', offset: 0n },
      { region: 'system.flash1', guestAddress: '00000000ffc00000', offset: 0n },
      { region: 'pc.bios', guestAddress: '00000000fffc0000', offset: 0n },
      { region: 'ram1', guestAddress: '0000000100000000', offset: 0x8000_0000n },
    ])
    assert.deepEqual(parseMemoryTree(''), [])
  })

  it('finds a block by its name without the path of its device, unless two could be meant', () => {
    const ranges = parseMemoryTree(TREE)
    const one = ['pc.ram', '0000:00:02.0/vga.vram']
    assert.equal(rangeOfBlock('0000:00:02.0/vga.vram', one, ranges)?.guestAddress, '00000000fd000000')
    const two = [...one, '0000:00:03.0/vga.vram']
    assert.equal(rangeOfBlock('0000:00:02.0/vga.vram', two, ranges), undefined)
    assert.equal(rangeOfBlock('pc.ram', two, ranges)?.guestAddress, '0000000000000000')
    assert.equal(rangeOfBlock('pc.rom', ['pc.rom'], ranges), undefined)
  })
})

describe('gpa2hva', () => {
  it('answers an address, or says why not', () => {
    assert.deepEqual(parseHostAddress('Host virtual address for 0x0 (pc.ram) is 0x7f8c77e00000\r\n'), {
      region: 'pc.ram', hostAddress: 0x7f8c77e00000n,
    })
    assert.equal(parseHostAddress('No memory is mapped at address 0x5000000\r\n'), undefined)
  })
})

describe('maps of a process', () => {
  const mappings = parseMaps(MAPS)

  it('tell where a block of exactly that size with a guard page behind it lies', () => {
    assert.equal(findGuarded(mappings, 0x2_0000, new Set()), 0x7f8cc8a00000n)
    assert.equal(findGuarded(mappings, 0x4_0000, new Set()), 0x7f8cc8c00000n)
    assert.equal(findGuarded(mappings, 0x4_0000, new Set([0x7f8cc8c00000n])), undefined)
    assert.equal(findGuarded(mappings, 0x2_1000, new Set()), undefined)
  })

  it('do not tell it when two would fit', () => {
    const another = '7f9000000000-7f9000020000 rw-p 0 00:00 0\n7f9000020000-7f9000021000 ---p 0 00:00 0\n'
    const twice = parseMaps(MAPS + another)
    assert.equal(findGuarded(twice, 0x2_0000, new Set()), undefined)
    assert.equal(findGuarded(twice, 0x2_0000, new Set([0x7f9000000000n])), 0x7f8cc8a00000n)
  })

  it('tell it apart from memory that lies as a block does but for its place', () => {
    // Below the guard page of a thread's stack, and an arena of the C library's allocator.
    for (const another of [
      '7f9000001000-7f9000021000 rw-p 0 00:00 0\n7f9000021000-7f9000022000 ---p 0 00:00 0\n',
      '7f9000000000-7f9000020000 rw-p 0 00:00 0\n7f9000020000-7f9004000000 ---p 0 00:00 0\n',
    ]) {
      assert.equal(findGuarded(parseMaps(MAPS + another), 0x2_0000, new Set()), 0x7f8cc8a00000n)
      assert.equal(findGuarded(parseMaps(another), 0x2_0000, new Set()), undefined)
    }
    // A block may lie where an arena could, and reach as far as one does not.
    const block = '7f9004000000-7f9004020000 rw-p 0 00:00 0\n7f9004020000-7f9004021000 ---p 0 00:00 0\n'
    assert.equal(findGuarded(parseMaps(block), 0x2_0000, new Set()), 0x7f9004000000n)
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
