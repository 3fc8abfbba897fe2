import assert from 'node:assert/strict'

import { GuestList, notOwn, requireOwn } from '../../../src/agent/guestlist.ts'
import type { Census } from '../../../src/census/index.ts'
import type { DiscoveredGuest, GuestDiscovery } from '../../../src/guest/index.ts'

function discovered(name: string, more: Partial<DiscoveredGuest> = {}): DiscoveredGuest {
  const memory: DiscoveredGuest['memory'] = {
    name, blocks: [], resident: async () => {}, read: async () => {}, close: async () => {},
  }
  return {
    name, memory, pid: process.pid, process: { pid: process.pid, startTicks: 0 }, driver: 'managed',
    lastState: 'unknown', state: async () => 'unknown', ...more,
  }
}

describe('the guests of a host', () => {
  let found: DiscoveredGuest[]
  let tell: (change: 'added' | 'removed', guest: DiscoveredGuest) => void
  let counted: string[]
  let guests: GuestList

  beforeEach(() => {
    found = []
    counted = []
    const discovery = {
      guests: () => found, refresh: async () => {}, unusable: () => [],
      onChange: (listener: typeof tell) => {
        tell = listener
        return () => {}
      },
    } satisfies Partial<GuestDiscovery> as unknown as GuestDiscovery
    const census = {
      add: ({ name }: { name: string }) => counted.push(`+${name}`), remove: (name: string) => counted.push(`-${name}`),
    } as unknown as Census
    guests = new GuestList({ discovery, census })
    guests.watch()
  })

  it('are counted, but for those whose memory must not be shared', () => {
    for (const guest of [discovered('web'), discovered('secret', { isPrivate: true }), discovered('own', {
      driver: 'qmp', isPrivate: false,
    })]) tell('added', guest)
    tell('removed', discovered('web'))
    assert.deepEqual(counted, ['+web', '+own', '-web'])
  })

  it('are known as sharing nothing, those that a program adds as well', () => {
    guests.add(discovered('added'))
    guests.add(discovered('vault', { isPrivate: true }))
    assert.deepEqual(counted, ['+added'])
    assert.deepEqual([guests.isPrivate('vault'), guests.isPrivate('added'), guests.isPrivate('absent')],
      [true, false, false])
    assert.equal(guests.isPrivate(undefined), false)
  })

  it('are not ours to move where a manager does it', async () => {
    found = [discovered('web', { state: async () => 'inmigrate' })]
    const isManaged = { code: 'guest-managed', message: /web is moved by its manager/ }
    assert.throws(() => requireOwn(found[0]!), isManaged)
    await assert.rejects(guests.requireWaiting('web'), isManaged)
    assert.equal(notOwn(undefined), undefined)
    assert.equal(notOwn(discovered('own', { driver: 'qmp' })), undefined)
    requireOwn(discovered('own', { driver: 'qmp' }))
  })
})
