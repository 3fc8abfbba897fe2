import assert from 'node:assert/strict'

import { EvacuationLine, renderEvacuation } from '../../../src/cli/evacuatetext.ts'
import { renderEstimate, renderResult } from '../../../src/cli/handofftext.ts'
import { explainNoPages } from '../../../src/cli/pagestext.ts'
import { ProgressLine, savedPercent } from '../../../src/cli/progressline.ts'
import { renderStatus } from '../../../src/cli/statustext.ts'
import { alignColumns } from '../../../src/cli/table.ts'
import { systemClock, type Clock } from '../../../src/runtime/clock.ts'
import { HELD, progressOf, resultOf, STATUS } from '../../support/fakeagent.ts'

const MOVE = { guest: 'web-1', to: 'host-b' }

describe('what people read', () => {
  it('has aligned columns and no blanks at line ends', () => {
    assert.equal(alignColumns([['a', 'bbb', 'c'], ['aaaa', 'b', '']], ' '), ' a     bbb  c\n aaaa  b')
  })

  it('never claims to have saved what it did not', () => {
    assert.equal(savedPercent({ qemuBytes: 0, wireBytes: 10 }), 0)
    assert.match(renderResult({ ...resultOf(MOVE, 'completed'), qemuBytes: 100, wireBytes: 101 }), /: 1\.0 % more/)
    assert.match(renderResult({ ...resultOf(MOVE, 'completed'), digestMatched: false }), /verified +NOT/)
    const apart = renderResult({ ...resultOf(MOVE, 'completed'), apart: 'the tenants differ' })
    assert.match(apart, /none to what host-b had: the tenants differ/)
  })

  it('never claims a downtime for a guest that did not run, and says how such a guest arrived', () => {
    const [running] = renderResult(resultOf(MOVE, 'completed')).split('\n')
    assert.equal(running, 'web-1 moved from host-a to host-b (precopy) in 2.10 s, down for 80 ms.')
    const paused = { ...resultOf(MOVE, 'completed'), arrivedState: 'paused', downtimeMs: null } as const
    const [atRest] = renderResult(paused).split('\n')
    const moved = 'web-1 moved from host-a to host-b (precopy) in 2.10 s.'
    assert.equal(atRest, `${moved} It arrived paused, as it was at the source.`)
  })

  it('says what must be done about the cluster key, and nothing where nothing must', () => {
    assert.doesNotMatch(renderStatus(STATUS), /Cluster key/)
    const keys = { ...STATUS.keys, advice: 'Copy the key file.' }
    assert.match(renderStatus({ ...STATUS, keys }), /^Cluster key: Copy the key file\.$/m)
  })

  it('names guests that are held before all else, why, and what to do', () => {
    assert.doesNotMatch(renderStatus(STATUS), /Held/)
    const lines = renderStatus({ ...STATUS, held: [HELD] }).split('\n')
    assert.deepEqual(lines.slice(3, 8), [
      'Held: these guests wait here, paused, for you',
      '  db-1  from host-c  for 5 min',
      `    ${HELD.why}`,
      `    ${HELD.otherCopy}`,
      '    Look at the copy on host-c, then decide: `pagemesh settle db-1 --run` or `--end`.',
    ])
  })

  it('says why no page is known to be popular', () => {
    assert.match(explainNoPages({ ...STATUS, peers: [] }), /this host sees no other.* Check `bootstrap`/)
    const census = { ...STATUS.census, scans: 1 }
    assert.match(explainNoPages({ ...STATUS, census }), /not all scanned twice\. Try again after two intervals/)
    assert.match(explainNoPages(STATUS), /too few hosts hold the same ones/)
  })

  it('shows what popularity keeps and refused', () => {
    assert.match(renderStatus(STATUS), /popularity  2 pages +3\.0 MB\n/)
    const refused = renderStatus({ ...STATUS, popularity: { ...STATUS.popularity, refused: 7 } })
    assert.match(refused, /7 messages refused/)
  })

  it('says whether migrations of managers pass through, where they should', () => {
    assert.doesNotMatch(renderStatus(STATUS), /Interception/)
    const intercept = { active: true, why: null, members: ['host-b', 'host-c'], carried: 3, direct: 1, refused: 2 }
    const text = renderStatus({ ...STATUS, intercept })
    assert.match(text, /Interception\n +on +to host-b, host-c\n.* 3 carried +1 direct/)
    assert.match(renderStatus({ ...STATUS, intercept: { ...intercept, members: [] } }), /on +no members\n/)
    const off = { ...intercept, active: false, why: 'nft is missing', members: [] }
    assert.match(renderStatus({ ...STATUS, intercept: off }), /Interception\n +not possible +nft is missing\n/)
  })

  it('says of which sockets the guests were refused, and why', () => {
    const why = { code: 'guest-unproven', reason: 'It is a link. Name the socket itself.' }
    const text = renderStatus({ ...STATUS, unusable: [{ path: '/run/vms/web.qmp', ...why }] })
    assert.match(text, /^Refused: .*\n  \/run\/vms\/web\.qmp\n    It is a link\. Name the socket itself\.\n\nPeers/m)
    assert.doesNotMatch(renderStatus(STATUS), /Refused:/)
  })

  it('shows handoffs both ways', () => {
    const text = renderStatus({
      ...STATUS,
      handoffs: [
        { direction: 'outgoing', driver: 'qmp', ...progressOf(MOVE) },
        { direction: 'incoming', driver: 'qmp', guest: 'db-1', from: 'host-c', phase: 'loading', streamBytes: 5e6 },
      ],
    })
    assert.match(text, /web-1  to host-b    precopy  41 %    32\.0 MB sent  800 Mbit\/s/)
    assert.match(text, /db-1   from host-c  loading  5\.0 MB/)
  })

  it('names the manager that drives a migration, and a guest', () => {
    const about = { driver: 'relay', guest: 'web-1', from: 'host-a', to: 'host-b', address: '10.0.0.2:49152' } as const
    const text = renderStatus({
      ...STATUS,
      guests: [{ ...STATUS.guests[0]!, driver: 'managed', manager: 'libvirt' }],
      handoffs: [
        { ...about, direction: 'outgoing', manager: 'libvirt', phase: 'precopy', streamBytes: 5e6, wireBytes: 1e6 },
        { ...about, direction: 'incoming', manager: null, phase: 'relaying', streamBytes: 7e6, wireBytes: 2e6 },
      ],
    })
    assert.match(text, /web-1  to host-b    precopy   relayed for libvirt  1\.0 MB sent/)
    assert.match(text, /web-1  from host-a  relaying  relayed              7\.0 MB/)
    assert.match(text, /running  libvirt  pid 4711/)
  })

  it('begins with identities that several hosts have', () => {
    for (const [peerId, says] of [[STATUS.peerId, 'this host\'s identity: others let neither in'],
      ['other', 'the identity of b: none of them is let in']] as const) {
      const text = renderStatus({ ...STATUS, doubled: [{ host: 'b', peerId }] })
      assert.ok(text.split('\n')[3]?.includes(says), text)
    }
  })

  it('shows strangers, and hosts whose name is another\'s', () => {
    const text = renderStatus({ ...STATUS, strangers: 2, refused: { offers: 0, names: 3 } })
    assert.match(text, /2 turned away/)
    assert.match(text, /3 times refused: a host whose name belongs to another identity/)
    assert.doesNotMatch(text, /invitations/)
    const invitations = { open: 1, joined: 2, refused: 3 }
    assert.match(renderStatus({ ...STATUS, invitations }), /invitations: 1 open, 2 hosts joined, 3 refused/)
  })
})

describe('the progress line', () => {
  let nowMs = 0
  let written: string
  const clock: Clock = { ...systemClock, now: () => nowMs }
  const output = { write: (text: string) => { written += text } }

  beforeEach(() => { written = '' })

  it('is overwritten in place on a terminal, and never wraps', () => {
    const line = new ProgressLine({ output: { ...output, isTTY: true, columns: 20 }, clock })
    line.show(progressOf(MOVE))
    line.show(progressOf(MOVE))
    line.say('done')
    line.end()
    assert.equal(written, '\rweb-1 -> host-b  41\u001B[K\rweb-1 -> host-b  41\u001B[K\ndone\n')
  })

  it('lets no name change the terminal', () => {
    const line = new ProgressLine({ output: { ...output, isTTY: true, columns: 80 }, clock })
    line.show({ ...progressOf(MOVE), guest: 'web\u001B[2J\n' })
    assert.ok(written.startsWith('\rweb\\u001b[2J\\u000a -> host-b'), JSON.stringify(written))
  })

  it('tells of savings once there are any', () => {
    const line = new ProgressLine({ output, clock })
    line.show({ ...progressOf(MOVE), phase: 'precopy', qemuBytes: 40, wireBytes: 209_000 })
    assert.match(written, /sent 209\.0 kB, [^,]* remaining\n$/)
    line.show({ ...progressOf(MOVE), phase: 'switchover', qemuBytes: 250e6, wireBytes: 25e6 })
    assert.match(written, /sent 25\.0 MB, saved 90 % of 250\.0 MB, [^,]* remaining\n$/)
  })

  it('tells why pre-copy does not end', () => {
    const line = new ProgressLine({ output, clock })
    line.show({ ...progressOf(MOVE), phase: 'precopy', dirtyBytesPerSecond: 80e6, carriedBytesPerSecond: 60e6 })
    assert.match(written, /remaining; dirties 80\.0 MB\/s, the link carries 60\.0 MB\/s\n$/)
  })

  it('comes every few seconds and at every new phase elsewhere', () => {
    const line = new ProgressLine({ output, clock })
    for (nowMs = 0; nowMs <= 6000; nowMs += 250) line.show(progressOf(MOVE))
    line.show({ ...progressOf(MOVE), phase: 'switchover' })
    assert.equal(written.split('\n').length - 1, 4)
    assert.match(written, /switchover.*\n$/)
  })
})

describe('the line of an evacuation', () => {
  it('is replaced on a terminal by what became of a guest, which stays', () => {
    let written = ''
    const output = { write: (text: string) => { written += text }, isTTY: true, columns: 29 }
    const line = new EvacuationLine({ output, clock: systemClock }, { isDryRun: false })
    line.show(progressOf(MOVE))
    line.show({ event: 'evacuated', done: 1, total: 2, guest: 'db', to: null, status: 'failed', reason: 'No room.' })
    line.show(progressOf(MOVE))
    line.end()
    assert.equal(written, '\r0 done  web-1 -> host-b 41 %\u001B[K\r\u001B[K1 of 2  db has stayed: No room.\n' +
      '\r1 done  web-1 -> host-b 41 %\u001B[K\n')
  })

  it('counts the guests of a dry run, of which none stays or goes', () => {
    let written = ''
    const output = { write: (text: string) => { written += text }, isTTY: true, columns: 40 }
    const line = new EvacuationLine({ output, clock: systemClock }, { isDryRun: true })
    line.show({ event: 'evacuated', done: 1, total: 2, guest: 'db', to: null, status: 'failed', reason: 'No room.' })
    line.end()
    assert.equal(written, '\r1 of 2 guests looked at\u001B[K\n')
  })
})

describe('a dry run', () => {
  const estimate = {
    guest: 'web-1', from: 'host-a', to: 'host-b', mode: 'precopy' as const, dryRun: true as const,
    distinctPages: 200, pagesAtDestination: 90,
    expected: {
      qemuBytes: 250e6, wireBytes: 25e6, totalMs: 12_000, downtimeMs: 70, literalRatio: 0.3,
      pages: { total: 60, zero: 10, ref: 40, literal: 10 },
    },
    obstacles: [],
  }

  it('says what a handoff would come to', () => {
    const text = renderEstimate(estimate)
    assert.match(renderEstimate({ ...estimate, apart: 'no' }), /It would move without references: no\./)
    assert.match(text, /has 90 of its 200 distinct pages \(45\.0 %\)/)
    assert.match(text, /wire +about 25\.0 MB for QEMU's 250\.0 MB/)
    assert.match(text, /60: 10 zero, 40 as references, 10 sent whole at 30 % of their size/)
    assert.match(text, /time +about 12\.0 s, down for about 70 ms/)
    assert.doesNotMatch(text, /In the way/)
  })

  it('guesses no time, and names what is in the way', () => {
    const expected = { ...estimate.expected, totalMs: null, downtimeMs: null }
    const text = renderEstimate({ ...estimate, expected, obstacles: [{ code: 'busy', reason: 'Two leave now.' }] })
    assert.match(text, /time +not known before a guest has moved there\n {2}In the way: Two leave now\.$/)
  })

  it('of a whole host says where each guest would go, and why', () => {
    const text = renderEvacuation({
      from: 'host-a', dryRun: true, status: 'failed', totalMs: 5, wireBytes: 0, guests: [
        { guest: 'db', to: 'host-c', why: 'No other host takes it.', status: 'planned' },
        { guest: 'lost', to: null, status: 'failed', reason: 'No room.' },
        { guest: 'web-1', to: 'host-b', why: 'It says so.', status: 'planned', estimate },
      ],
    })
    assert.match(text, /^db would go to host-c\. No other host takes it\.\nlost would stay: No room\.\nweb-1 would go/)
    assert.match(text, /web-1 would go to host-b\. It says so\.\nweb-1 could move from host-a to host-b/)
  })

  it('of a whole host has a sum', () => {
    const guests = ['web-1', 'web-2'].map((guest) => ({
      guest, to: 'host-b', status: 'planned' as const, estimate: { ...estimate, guest },
    }))
    const result = { from: 'host-a', dryRun: true, status: 'completed' as const, totalMs: 1, wireBytes: 0 }
    assert.match(renderEvacuation({ ...result, guests }), /\nAll together: about 50\.0 MB on the wire, 24\.0 s one/)
    assert.doesNotMatch(renderEvacuation({ ...result, guests: guests.slice(1) }), /All together/)
  })
})
