import { strict as assert } from 'node:assert'

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

  it('is read in a time that grows as its length does, whatever a block is called', () => {
    const begunAt = performance.now()
    assert.deepEqual(parseRamBlocks(`pc.ram${' '.repeat(200_000)}4 KiB  0x0`), [])
    assert.deepEqual(parseRamBlocks(`${'a '.repeat(100_000)}4 KiB  0x0`), [])
    assert.ok(performance.now() - begunAt < 2000)
    const [block] = parseRamBlocks('  a 4 KiB  0x0 0x1000 0x1000 b  8 KiB  0x0 0x2000 0x3000')
    assert.deepEqual([block!.name, block!.usedBytes], ['a 4 KiB  0x0 0x1000 0x1000 b', 0x2000])
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
