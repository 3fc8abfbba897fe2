import { strict as assert } from 'node:assert'
import { readFileSync } from 'node:fs'

import { findLayout, placeBlocks } from '../../../src/guest/layout.ts'
import { parseMaps, type Mapping } from '../../../src/guest/maps.ts'
import { readStartTicks } from '../../../src/guest/process.ts'
import type { QmpAsker } from '../../../src/guest/status.ts'

const OWN = { pid: process.pid, startTicks: readStartTicks(process.pid)! }
/** No mapping of this process has this size by chance, so that none is taken for a block. */
const UNMAPPED_BYTES = 2 ** 46
/** A stretch of this process that stays as it is: its code plays the memory of a guest. */
const code = parseMaps(readFileSync('/proc/self/maps', 'utf8'))
  .find(({ permissions, start, end }) => permissions === 'r-xp' && end - start >= 0x4000n)!

const hex = (value: number | bigint): string => `0x${value.toString(16).padStart(16, '0')}`

/** `info ramblock` of QEMU 7.2, or of 8.0 where the blocks have addresses. */
function ramBlocks(blocks: { name: string; used: number; total?: number; host?: bigint }[]): string {
  const has = blocks.some(({ host }) => host !== undefined)
  const lines = blocks.map(({ name, used, total = used, host }) =>
    `  ${name}    4 KiB  ${hex(0)} ${hex(used)} ${hex(total)}${host === undefined ? '' : ` ${hex(host)}  rw`}`)
  return [`  Block Name    PSize    Offset    Used    Total${has ? '    HVA  RO' : ''}`, ...lines, ''].join('\n')
}

/** A human monitor with these answers, and what it was asked. */
function monitor(answers: Record<string, string>): { qmp: QmpAsker; asked: string[] } {
  const asked: string[] = []
  const hmp = async (line: string): Promise<string> => {
    asked.push(line)
    return answers[line] ?? ''
  }
  return { asked, qmp: { hmp, execute: async () => ({}) } }
}

describe('where the memory of a guest lies', () => {
  it('is what QEMU 8.0 says, and nothing more is asked', async () => {
    const { qmp, asked } = monitor({ 'info ramblock': ramBlocks([
      { name: 'pc.ram', used: 0x2000, host: code.start }, { name: 'pc.bios', used: 0x1000, host: code.start + 0x2000n },
    ]) })
    assert.deepEqual(await findLayout('web', qmp, OWN), {
      layout: {
        guest: 'web', ...OWN, blocks: [
          { name: 'pc.ram', bytes: 0x2000, address: code.start },
          { name: 'pc.bios', bytes: 0x1000, address: code.start + 0x2000n },
        ],
      },
      unmapped: [],
    })
    assert.deepEqual(asked, ['info ramblock'])
  })

  it('is told in whole pages, and nothing of a block that has none', async () => {
    const { qmp } = monitor({ 'info ramblock': ramBlocks([
      { name: 'small', used: 0xfff, host: code.start }, { name: 'one', used: 0x1000, host: code.start },
      { name: 'odd', used: 0x2fff, host: code.start },
    ]) })
    const { layout, unmapped } = await findLayout('web', qmp, OWN)
    assert.deepEqual(layout.blocks.map(({ name, bytes }) => [name, bytes]), [['one', 0x1000], ['odd', 0x2000]])
    assert.deepEqual(unmapped, [])
  })

  it('is unknown where QEMU names what its process has not mapped', async () => {
    const { qmp } = monitor({ 'info ramblock': ramBlocks([
      { name: 'pc.ram', used: 0x1000, host: code.start }, { name: 'gone', used: 0x1000, host: 0x1000n },
    ]) })
    const { layout, unmapped } = await findLayout('web', qmp, OWN)
    assert.deepEqual([layout.blocks.map(({ name }) => name), unmapped], [['pc.ram'], ['gone']])
  })

  /** A block of QEMU 7.2 whose range begins a page behind its own beginning; `answer` is where that range lies. */
  const old = (answer: string): ReturnType<typeof monitor> => monitor({
    'info ramblock': ramBlocks([{ name: 'pc.ram', used: 0x2000, total: UNMAPPED_BYTES }]),
    'info mtree -f': 'FlatView #0\n AS "memory", root: system\n' +
      '  0000000000100000-0000000000100fff (prio 0, ram): pc.ram @0000000000001000 KVM\n' +
      '  0000000000200000-0000000000200fff (prio 0, ram): other KVM\n',
    'gpa2hva 0x0000000000100000': answer,
  })

  it('is asked of QEMU 7.2 by an address of the guest, and begins before the range of that address', async () => {
    const { qmp, asked } = old(`Host virtual address for 0x100000 (pc.ram) is ${hex(code.start + 0x1000n)}\r\n`)
    const { layout, unmapped } = await findLayout('web', qmp, OWN)
    assert.deepEqual(layout.blocks, [{ name: 'pc.ram', bytes: 0x2000, address: code.start }])
    assert.deepEqual(unmapped, [])
    assert.deepEqual(asked, ['info ramblock', 'info mtree -f', 'gpa2hva 0x0000000000100000'])
  })

  it('is not asked of a block whose range shows two, or none', async () => {
    const { qmp, asked } = monitor({
      'info ramblock': ramBlocks(['1/vga.vram', '2/vga.vram', 'rom'].map((name) => ({ name, used: 0x2000 }))),
      'info mtree -f': 'FlatView #0\n AS "memory", root: system\n' +
        '  00000000fd000000-00000000fd001fff (prio 1, ram): vga.vram\n',
    })
    assert.deepEqual((await findLayout('web', qmp, OWN)).layout.blocks, [])
    assert.deepEqual(asked, ['info ramblock', 'info mtree -f'])
  })

  it('is asked only where it was not told', async () => {
    const { qmp, asked } = monitor({ 'info ramblock': ramBlocks([
      { name: 'pc.ram', used: 0x2000, host: code.start }, { name: 'rom', used: 0x1000, total: UNMAPPED_BYTES },
    ]) })
    const { layout, unmapped } = await findLayout('web', qmp, OWN)
    assert.deepEqual([layout.blocks.map(({ name }) => name), unmapped], [['pc.ram'], ['rom']])
    assert.deepEqual(asked, ['info ramblock', 'info mtree -f'])
  })

  it('is not believed where meanwhile something else answers at that address, or nothing', async () => {
    for (const answer of [
      `Host virtual address for 0x100000 (vga.vram) is ${hex(code.start + 0x1000n)}\r\n`,
      'No memory is mapped at address 0x100000\r\n',
    ]) {
      const { layout, unmapped } = await findLayout('web', old(answer).qmp, OWN)
      assert.deepEqual([layout.blocks, unmapped], [[], ['pc.ram']])
    }
  })
})

describe('the place of a block that QEMU does not tell', () => {
  const line = (name: string, usedBytes: number, totalBytes = usedBytes) =>
    ({ name, usedBytes, totalBytes, pageBytes: 4096 })
  const mapping = (start: number, end: number, permissions = 'rw-p'): Mapping =>
    ({ start: BigInt(start), end: BigInt(end), permissions, path: '' })
  /** A mapping with QEMU's guard page behind it. */
  const guarded = (start: number, bytes: number): Mapping[] =>
    [mapping(start, start + bytes), mapping(start + bytes, start + bytes + 0x1000, '---p')]
  const none = new Map<string, bigint>()

  it('is where just its size is mapped with a guard page behind it, however much of it is in use', () => {
    const mappings = [...guarded(0x10_0000, 0x2000), ...guarded(0x20_0000, 0x8000)]
    assert.deepEqual(placeBlocks([line('tables', 0x3000, 0x8000), line('bios', 0x2000)], mappings, none), {
      blocks: [
        { name: 'tables', bytes: 0x3000, address: 0x20_0000n }, { name: 'bios', bytes: 0x2000, address: 0x10_0000n },
      ],
      unmapped: [],
    })
    assert.deepEqual(placeBlocks([line('bios', 0x3000)], mappings, none), { blocks: [], unmapped: ['bios'] })
  })

  it('is not guessed among blocks of one size', () => {
    const mappings = guarded(0x10_0000, 0x2000)
    const alike = [line('a', 0x2000), line('b', 0x2000)]
    assert.deepEqual(placeBlocks(alike, mappings, none), { blocks: [], unmapped: ['a', 'b'] })
    // Which of them the mapping is not is known where QEMU said where one lies.
    const more = [...mappings, ...guarded(0x20_0000, 0x2000)]
    assert.deepEqual(placeBlocks(alike, more, new Map([['a', 0x20_0000n]])).blocks, [
      { name: 'a', bytes: 0x2000, address: 0x20_0000n }, { name: 'b', bytes: 0x2000, address: 0x10_0000n },
    ])
  })

  it('is not sought where QEMU told it', () => {
    const mappings = [mapping(0x10_0000, 0x10_2000), ...guarded(0x20_0000, 0x2000)]
    const told = new Map([['ram', 0x10_0000n]])
    assert.deepEqual(placeBlocks([line('ram', 0x2000)], mappings, told).blocks, [
      { name: 'ram', bytes: 0x2000, address: 0x10_0000n },
    ])
    assert.equal(told.size, 1)
  })
})
