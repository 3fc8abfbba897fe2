import type { ClusterView, HostSummary, MovingGuest, PastHandoff } from '../../src/index.ts'

const GIB = 2 ** 30
const WORKS = ['web', 'db', 'cache', 'mail', 'build', 'ci', 'proxy', 'queue', 'search', 'login']
/** When it is in the cluster. */
const NOW = Date.UTC(2026, 10, 27, 12)

function moving(guest: string, other: string, more: Partial<MovingGuest> = {}): MovingGuest {
  return {
    guest, other, direction: 'outgoing', driver: 'qmp', phase: 'precopy', why: null, percent: 42, wireBytes: 31_900_000,
    wireBytesPerSecond: 41e6, ...more,
  }
}

function past(guest: string, from: string, to: string, index: number, more: Partial<PastHandoff> = {}): PastHandoff {
  return {
    guest, from, to, direction: 'outgoing', mode: index % 3 === 0 ? 'postcopy' : 'precopy', status: 'completed',
    totalMs: 2200 + 130 * index, downtimeMs: 40 + index, qemuBytes: 512e6 + index * 1e7, wireBytes: 61e6 + index * 1e6,
    digestMatched: true, reason: null, code: null, endedAt: new Date(NOW - index * 411_000).toISOString(), ...more,
  }
}

/** A host that is well, with `guestCount` guests. */
export function fakeHost(name: string, guestCount: number, place = 0): HostSummary {
  const guests = Array.from({ length: guestCount }, (_, index) => ({
    name: `${WORKS[index % WORKS.length]}-${place * guestCount + index + 1}`,
    state: index % 17 === 5 ? 'inmigrate' : 'running', manager: index % 4 === 0 ? 'libvirt' : null,
    ramBytes: (1 + index % 4) * 4 * GIB,
  }))
  const growth = (index: number, of: number): number => Math.round(of * index / 60)
  return {
    host: name, version: '0.1.0', settled: true, unsettledMs: 0,
    memory: { totalBytes: 512 * GIB, availableBytes: (80 + 31 * place % 300) * GIB },
    parallel: 4, arriving: 0, guestCount, guests, handoffs: [], held: [], history: [],
    popularity: { pages: 182_000 + place }, store: { bytes: (6 + place) * GIB / 8, maxBytes: 2 * GIB, damagedPages: 0 },
    ledger: {
      savedBytes: 9e9, spentBytes: 2e9, netBytes: 7e9,
      series: Array.from({ length: 60 }, (_, index) => ({
        agoMs: (60 - index) * 120_000, savedBytes: growth(Math.max(0, index - index % (3 + place)), 9e9),
        spentBytes: growth(Math.min(60, index * 2), 2e9),
      })),
    },
  }
}

/** Ten hosts and two hundred guests, four of which move, and something of everything that may be wrong. */
export function fakeCluster(percent = 42): ClusterView {
  const hosts = Array.from({ length: 10 }, (_, place) => fakeHost(`host-${'abcdefghij'[place]}`, 20, place))
  const [a, b, c, d, e] = hosts as [HostSummary, HostSummary, HostSummary, HostSummary, HostSummary]
  a.handoffs = [
    moving('web-1', 'host-b', { percent }),
    moving('db-2', 'host-c', { phase: 'postcopy', percent: 87, wireBytes: 1.2e9 }),
    moving('cache-3', 'host-b', {
      phase: 'queued', percent: 0, wireBytes: 0, wireBytesPerSecond: 0,
      why: 'host-b takes 4 guests at once: 2 are ahead',
    }),
  ]
  b.handoffs = [moving('web-1', 'host-a', { direction: 'incoming', phase: 'receiving', percent: null })]
  c.handoffs = [moving('ci-46', 'host-j', { driver: 'relay', percent: null, wireBytesPerSecond: null })]
  c.held = [{
    guest: 'mail-4', from: 'host-d', sinceMs: 340_000, why: 'The agent on host-d does not answer.', isOpen: true,
  }]
  d.store = { ...d.store, damagedPages: 3 }
  e.settled = false
  e.unsettledMs = 41 * 60_000
  e.store = { ...e.store, bytes: e.store.maxBytes }
  e.version = '0.0.9'
  a.history = Array.from({ length: 12 }, (_, index) => past(`web-${index + 1}`, 'host-a', 'host-c', index + 1))
  a.history[2] = past('db-3', 'host-a', 'host-d', 3, {
    status: 'failed', digestMatched: false, downtimeMs: null,
    reason: 'The destination QEMU said: device state of virtio-net cannot be loaded. The guest runs on host-a.',
  })
  c.history = a.history.filter(({ to }) => to === 'host-c').map((each) => ({ ...each, direction: 'incoming' }))
  return { hosts, silent: [{ host: 'host-k', why: 'host-k did not answer in time.' }] }
}

/** What a host that means ill would have others' pages show. */
export const HOSTILE = [
  '<script>globalThis.broken = true</script>', '"><img src=x onerror="globalThis.broken = true">',
  '\' onmouseover=\'globalThis.broken = true', '</table></main><h1>gone', 'a\u202Egpj.exe', '\u001b[2J', '&lt;b&gt;',
  '</script>', '\n\ndata: x', 'x'.repeat(255), '`', 'javascript:alert(1)',
]

/** A cluster whose every text is hostile. */
export function hostileCluster(): ClusterView {
  const host = (name: string, index: number): HostSummary => {
    const other = HOSTILE[(index + 1) % HOSTILE.length]!
    return {
      ...fakeHost(name, 1), version: other.slice(0, 64), settled: false, unsettledMs: 3_600_000,
      guests: [{ name: other, state: name.slice(0, 32), manager: name.slice(0, 32), ramBytes: 1 }],
      handoffs: [
        moving(name, other, { why: name, phase: 'queued' }), moving(other, name, { phase: other.slice(0, 32) }),
      ],
      held: [{ guest: name, from: other, sinceMs: 1, why: name, isOpen: true }],
      history: [past(name, other, name, 1, { status: 'failed', reason: other }), past(other, name, name, 2, {
        digestMatched: false,
      })],
    }
  }
  return { hosts: HOSTILE.map(host), silent: HOSTILE.map((name) => ({ host: name, why: name })) }
}
