/** The part of the kernel in C that seals pages, as it was compiled for the sources. */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { createPrivateKey } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'

import fc from 'fast-check'

import { BOUND_BYTES, PAGE_BYTES, SEAL_BYTES } from '../../../../src/page/index.ts'
import { ADDON_PATH, loadAddon, type Addon } from '../../../../src/page/kernel/kernel.ts'

const REPOSITORY = join(import.meta.dirname, '../../../..')
const SEALED_BYTES = SEAL_BYTES + PAGE_BYTES
const KEY = Buffer.alloc(32, 'key')

const run = promisify(execFile)

function requireAddon(): Addon {
  return loadAddon(ADDON_PATH) ?? assert.fail('what was compiled is not used')
}

describe('the kernel that seals', function () {
  before(function () {
    // It is optional: without a compiler there is none.
    if (loadAddon(ADDON_PATH) === undefined) this.skip()
  })

  it('seals and opens nothing outside of what it was given, and writes nothing then', () => {
    const addon = requireAddon()
    const [sealPages, openPages] = [addon.sealPages!, addon.openPages!]
    const pages = Buffer.alloc(2 * PAGE_BYTES, 'page')
    const sealed = Buffer.alloc(2 * SEALED_BYTES, 0xee)
    const [bound, isOpen] = [Buffer.alloc(2 * BOUND_BYTES), new Uint8Array(2).fill(7)]
    const [offsets, places] = [Uint32Array.of(0, PAGE_BYTES), Uint32Array.of(SEALED_BYTES, 0)]
    const detached = new Uint8Array(2 * SEALED_BYTES)
    structuredClone(detached.buffer, { transfer: [detached.buffer] })
    const good = [KEY, pages, offsets, sealed, places, bound, 0, 2, isOpen]
    const wrong: Record<number, unknown[]> = {
      0: [Buffer.alloc(31), Buffer.alloc(33), detached],
      1: [pages.subarray(1), new Uint8Array(0), detached],
      2: [Uint32Array.of(0, PAGE_BYTES + 1), Uint32Array.of(2 ** 32 - 1, 0), Uint32Array.of(0), new Uint32Array(0)],
      3: [sealed.subarray(1), sealed.subarray(0, SEALED_BYTES), new Uint8Array(0), detached],
      4: [Uint32Array.of(0, SEALED_BYTES + 1), Uint32Array.of(2 ** 32 - 1, 0), Uint32Array.of(0)],
      5: [bound.subarray(1), new Uint8Array(0), detached],
      6: [3, -1, 0.5, 2 ** 53 - 1, Number.NaN],
      7: [3, -1, 1.5, 2 ** 53 - 1, 2 ** 60, Number.NaN],
      8: [isOpen.subarray(1), new Uint8Array(0), detached],
    }
    const foreign = [undefined, null, 'a', {}, [], 1n, Symbol('a'), new Uint16Array(64), new DataView(pages.buffer)]
    for (const [crypt, last] of [[sealPages, 8], [openPages, 9]] as const) {
      for (let at = 0; at < last; at++) {
        for (const [index, value] of [...wrong[at]!, ...foreign].entries()) {
          const given = [...good.slice(0, at), value, ...good.slice(at + 1)]
          const error = index < wrong[at]!.length ? RangeError : TypeError
          assert.throws(() => { Reflect.apply(crypt, undefined, given) }, error, `argument ${at}: number ${index}`)
        }
        assert.throws(() => { Reflect.apply(crypt, undefined, good.slice(0, at)) }, TypeError)
      }
    }
    assert.ok(sealed.every((byte) => byte === 0xee) && pages.equals(Buffer.alloc(pages.length, 'page')))
    assert.deepEqual([...isOpen], [7, 7])
    Reflect.apply(sealPages, undefined, good)
    Reflect.apply(openPages, undefined, good)
    assert.ok([...isOpen].join() === '1,1' && pages.equals(Buffer.alloc(pages.length, 'page')))
  })

  it('survives any arguments of what seals', () => {
    const { sealPages, openPages } = requireAddon()
    const bytes = fc.integer({ min: 0, max: 5 * PAGE_BYTES }).map((length) => new Uint8Array(length))
    const words = fc.array(fc.integer({ min: 0, max: 20_000 }), { maxLength: 20 }).map((all) => Uint32Array.from(all))
    const number = fc.oneof(fc.integer({ min: -1, max: 6 }), fc.double())
    const likely = fc.tuple(fc.constant(KEY), bytes, words, bytes, words, bytes, number, number, bytes)
    const any = fc.array(fc.oneof(bytes, number, words, fc.anything()), { minLength: 9, maxLength: 9 })
    fc.assert(fc.property(fc.oneof(likely, any), fc.boolean(), (given, isSealing) => {
      try {
        Reflect.apply(isSealing ? sealPages! : openPages!, undefined, given)
      } catch (error) {
        assert.ok(error instanceof TypeError || error instanceof RangeError, String(error))
      }
    }), { numRuns: 3000, seed: 1 })
  })

  it('leaves no error of its own where Node would find it', () => {
    const { openPages } = requireAddon()
    const isOpen = new Uint8Array(1).fill(7)
    openPages!(KEY, Buffer.alloc(PAGE_BYTES), new Uint32Array(1), Buffer.alloc(SEALED_BYTES), new Uint32Array(1),
      Buffer.alloc(BOUND_BYTES), 0, 1, isOpen)
    assert.equal(isOpen[0], 0)
    assert.throws(() => createPrivateKey('no key'), { code: 'ERR_OSSL_UNSUPPORTED' })
  })

  it('Node opens what the kernel sealed, and the other way round: PAGEMESH_KERNEL=off', async () => {
    const seal = `import { createPageSealer, kernelInUse } from './src/page/index.ts'
      const run = { pages: Buffer.alloc(4096, 'page'), offsets: new Uint32Array(1), sealed: Buffer.alloc(4128),
        places: new Uint32Array(1), bound: Buffer.alloc(16, 'slot') }
      createPageSealer(Buffer.alloc(32, 'key')).seal(run, 0, 1, Buffer.alloc(12, 'nonce'))
      console.log(kernelInUse() === 'package', run.sealed.toString('hex'))`
    const sealedBy = async (kernel: string): Promise<string> => (await run(
      process.execPath, ['--input-type=module', '--eval', seal],
      { cwd: REPOSITORY, env: { ...process.env, PAGEMESH_KERNEL: kernel } },
    )).stdout
    const without = await sealedBy('off')
    assert.match(without, /^true /)
    assert.equal((await sealedBy('')).split(' ')[1], without.split(' ')[1])
  })

  it('is not used if it seals or opens otherwise than Node', () => {
    const folder = mkdtempSync(join(tmpdir(), 'pm-seal-'))
    try {
      for (const name of ['sealPages', 'openPages']) {
        const file = join(folder, `${name}.cjs`)
        writeFileSync(file, `module.exports = { ...require(${JSON.stringify(ADDON_PATH)}), ${name}() {} }`)
        assert.equal(loadAddon(file), undefined)
      }
    } finally {
      rmSync(folder, { recursive: true })
    }
  })
})
