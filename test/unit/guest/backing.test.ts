import { strict as assert } from 'node:assert'
import { readFileSync } from 'node:fs'

import { backingOf, findUnserved, readBackings } from '../../../src/guest/backing.ts'
import { parseMaps } from '../../../src/guest/maps.ts'
import { statOrNothing } from '../../../src/guest/vanishing.ts'

describe('what backs a guest\'s memory', () => {
  const mappings = parseMaps(readFileSync('/proc/self/maps', 'utf8'))

  function backingAt(address: bigint): string | undefined {
    return readBackings(process.pid, [{ name: 'pc.ram', bytes: 4096, address }]).get('pc.ram')
  }

  it('is nothing but memory, or a file of some file system', () => {
    const anonymous = mappings.find(({ path, permissions }) => path === '' && permissions.startsWith('rw'))!
    const file = mappings.find(({ path }) => path.startsWith('/') && !path.includes('('))!
    assert.equal(backingAt(anonymous.start), 'anonymous')
    assert.equal(backingAt(file.end - 1n), backingAt(file.start))
    assert.notEqual(backingAt(file.start), 'anonymous')
    assert.notEqual(backingAt(file.start), undefined)
  })

  it('is that of the mapping in which the block begins, and of none before it', () => {
    const behind = mappings.find(({ start, path }, index) =>
      path === '' && mappings[index - 1]?.end === start && mappings[index - 1]!.path.startsWith('/'))!
    assert.equal(backingAt(behind.start), 'anonymous')
    assert.notEqual(backingAt(behind.start - 1n), 'anonymous')
    const blocks = [{ name: 'a', bytes: 4096, address: behind.start }, { name: 'b', bytes: 4096, address: 4096n }]
    assert.deepEqual([...readBackings(process.pid, blocks)], [['a', 'anonymous']])
  })

  it('is told by the name that the kernel gives a mapping, or by the file system of its file', () => {
    const named = (path: string): string | undefined => backingOf(process.pid, { path, start: 0x1000n, end: 0x2000n })
    for (const path of ['', '[heap]', '[anon:qemu ram]']) assert.equal(named(path), 'anonymous', path)
    for (const path of ['/memfd:ram (deleted)', '/dev/zero (deleted)', '/SYSV00000000 (deleted)']) {
      assert.equal(named(path), 'tmpfs', path)
    }
    assert.equal(named('/anon_hugepage (deleted)'), 'hugetlbfs')
    assert.equal(named('/proc/self/maps'), 'a file system of kind 0x9fa0', 'one without a name of ours')
    assert.equal(named('/missing/file'), undefined)
    assert.equal(named('/missing/memfd:ram'), undefined)
  })

  it('is known of a file that was deleted, as far as the kernel tells', function () {
    const file = mappings.find(({ path }) => path.startsWith('/') && !path.includes('('))!
    // It takes more rights than root has in many containers.
    const range = `${file.start.toString(16)}-${file.end.toString(16)}`
    if (statOrNothing(`/proc/self/map_files/${range}`) === undefined) this.skip()
    assert.equal(backingOf(process.pid, { ...file, path: '/missing (deleted)' }), backingAt(file.start))
  })

  it('is unknown where nothing is mapped', () => {
    assert.equal(backingAt(4096n), undefined)
  })

  it('serves post-copy if the kernel can fetch it page by page', () => {
    const served = new Map([['pc.ram', 'anonymous'], ['ram1', 'tmpfs'], ['ram2', 'hugetlbfs']])
    assert.equal(findUnserved(served), undefined)
    assert.deepEqual(findUnserved(new Map([...served, ['ram3', 'ext4']])), { block: 'ram3', backing: 'ext4' })
  })
})
