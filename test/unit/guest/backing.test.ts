import { strict as assert } from 'node:assert'

import { findUnserved, readBackings } from '../../../src/guest/backing.ts'
import { parseMaps } from '../../../src/guest/maps.ts'
import { readFileSync } from 'node:fs'

describe('what backs a guest\'s memory', () => {
  const mappings = parseMaps(readFileSync('/proc/self/maps', 'utf8'))

  function backingOf(address: bigint): string | undefined {
    return readBackings(process.pid, [{ name: 'pc.ram', bytes: 4096, address }]).get('pc.ram')
  }

  it('is nothing but memory, or a file of some file system', () => {
    const anonymous = mappings.find(({ path, permissions }) => path === '' && permissions.startsWith('rw'))!
    const file = mappings.find(({ path }) => path.startsWith('/') && !path.includes('('))!
    assert.equal(backingOf(anonymous.start), 'anonymous')
    assert.equal(backingOf(file.end - 1n), backingOf(file.start))
    assert.notEqual(backingOf(file.start), 'anonymous')
    assert.notEqual(backingOf(file.start), undefined)
  })

  it('is unknown where nothing is mapped', () => {
    assert.equal(backingOf(4096n), undefined)
  })

  it('serves post-copy if the kernel can fetch it page by page', () => {
    const served = new Map([['pc.ram', 'anonymous'], ['ram1', 'tmpfs'], ['ram2', 'hugetlbfs']])
    assert.equal(findUnserved(served), undefined)
    assert.deepEqual(findUnserved(new Map([...served, ['ram3', 'ext4']])), { block: 'ram3', backing: 'ext4' })
  })
})
