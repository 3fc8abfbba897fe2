import assert from 'node:assert/strict'

import { valueOf } from '../../../src/agent/options.ts'
import { dialRules, ownAddresses, pagesOfStream } from '../../../src/agent/relays.ts'
import type { GuestCensus } from '../../../src/census/index.ts'
import type { Guest } from '../../../src/guest/index.ts'
import { PageColumns, SortedTable } from '../../../src/page/index.ts'
import { madeScope } from '../../support/madescopes.ts'

describe('what a host relays to', () => {
  it('is what its configuration says, or what is made for nothing else', () => {
    assert.deepEqual(dialRules({ to: ['/run/vms/*.sock', '10.0.0.2:8102'], ports: [] }), [
      { kind: 'unix', glob: '/run/vms/*.sock' }, { kind: 'tcp', host: '10.0.0.2', first: 8102, last: 8102 },
    ])
    assert.deepEqual(dialRules({ to: [], ports: [] }), [])
    assert.deepEqual(dialRules({ to: valueOf({}, 'tunnel.to'), ports: [] }).map(({ kind }) => kind), ['unix', 'tcp'])
    assert.throws(() => dialRules({ to: ['everything'], ports: [] }), { code: 'bad-option' })
  })

  it('is what it intercepts, too, at its own addresses', () => {
    assert.deepEqual(dialRules({ to: [], ports: [{ first: 49_152, last: 49_215 }, { first: 8102, last: 8102 }] }), [
      { kind: 'own', first: 49_152, last: 49_215 }, { kind: 'own', first: 8102, last: 8102 },
    ])
  })

  it('is nothing that its agent listens on', () => {
    const own = ownAddresses({
      listen: ['/ip4/10.0.0.1/tcp/4001', '/ip6/fd00::1/tcp/4005'],
      reserved: ['/run/pagemesh/control.sock', '127.0.0.1:9464'],
    })
    assert.deepEqual([...own.ports].sort((a, b) => a - b), [4001, 4002, 4005, 9464])
    assert.deepEqual(own.paths, ['/run/pagemesh/control.sock'])
    assert.deepEqual([...ownAddresses({}).ports].sort((a, b) => a - b), [4001, 4002])
    assert.deepEqual([...ownAddresses({ lane: '10.0.0.1:5000' }).ports].sort((a, b) => a - b), [4001, 5000])
  })
})

describe('the pages that a stream may bring', () => {
  const scope = madeScope()
  const censusOf = (...highs: number[]): GuestCensus => {
    const columns = new PageColumns(highs.length)
    for (const high of highs) columns.push(high, 0, 7)
    return { scope, table: SortedTable.from(columns), numberAt: () => 7 } as unknown as GuestCensus
  }
  const guest = (name: string, isPrivate = false): Guest => ({ name, isPrivate }) as unknown as Guest
  const counted = new Map([['web', censusOf(1, 5)], ['db', censusOf(3, 5)]])
  const census = { of: (name: string) => counted.get(name), all: () => [...counted.values()] }
  const highs = (...from: Parameters<typeof pagesOfStream>): number[] | undefined => {
    const table = pagesOfStream(...from)?.table
    return table === undefined ? undefined : Array.from({ length: table.size }, (_, index) => table.highAt(index))
  }
  const open = [guest('web'), guest('db'), guest('new')]

  it('are those of its guest, or of all where that was not counted or is not known', () => {
    assert.deepEqual(highs(guest('web'), scope, { census, guests: open }), [1, 5])
    assert.deepEqual(highs(guest('new'), scope, { census, guests: open }), [1, 3, 5])
    assert.deepEqual(highs(undefined, scope, { census, guests: open }), [1, 3, 5])
  })

  it('are none where it may be that of a guest that shares nothing', () => {
    const guests = [...open, guest('vault', true)]
    assert.equal(highs(guest('vault', true), scope, { census, guests }), undefined)
    assert.equal(highs(undefined, scope, { census, guests }), undefined)
    assert.deepEqual(highs(guest('web'), scope, { census, guests }), [1, 5])
  })
})
