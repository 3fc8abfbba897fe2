import assert from 'node:assert/strict'

import { concernsOf, ledgerOverTime, movesOf, pastOf, totalsOf } from '../../../src/daemon/cluster/index.ts'
import { renderDocument } from '../../../src/daemon/page/document.ts'
import { hostSectionsOf } from '../../../src/daemon/page/hostsections.ts'
import { html } from '../../../src/daemon/page/html.ts'
import { sectionsOf } from '../../../src/daemon/page/sections.ts'
import type { ClusterView } from '../../../src/index.ts'
import { HELD, PAGES, STATUS } from '../../support/fakeagent.ts'
import { fakeCluster, fakeHost, HOSTILE, hostileCluster } from '../../support/fakecluster.ts'

/** A section of the page as its HTML. */
function sectionOf(view: ClusterView, id: string): string {
  return sectionsOf({ view, pages: PAGES }).find((section) => section.id === id)!.body.text
}

function documentOf(view: ClusterView): string {
  return renderDocument({
    title: 'Cluster', about: 'as host-a sees it', path: '/', events: '/events',
    sections: sectionsOf({ view, pages: PAGES }),
  })
}

/** The text of each cell of each row. */
function rowsOf(section: string): string[][] {
  return [...section.matchAll(/<tr role="row">(.*?)<\/tr>/gs)].map(([, row = '']) =>
    [...row.matchAll(/<t[hd][^>]*>(.*?)<\/t[hd]>/gs)].map(([, cell = '']) => cell.replace(/<[^>]*>/g, '').trim()))
}

describe('HTML', () => {
  it('escapes what is put into it, but for HTML', () => {
    assert.equal(html`<b title="${'"\'`<>&'}">${'\u0007'}${[1, html`<i>${'<'}</i>`]}</b>`.text,
      '<b title="&#34;&#39;&#96;&#60;&#62;&#38;">\\u00071<i>&#60;</i></b>')
  })
})

describe('the page of a cluster', () => {
  it('shows each move once, as its source sees it, and last what waits and why', () => {
    const moves = rowsOf(sectionOf(fakeCluster(42), 'moves'))
    assert.deepEqual(moves, [
      ['Guest', 'From', 'To', 'Phase', 'Progress', 'Sent', 'Rate'],
      ['web-1', 'host-a', 'host-b', 'precopy', '42 %', '31.9 MB', '328 Mbit/s'],
      ['db-2', 'host-a', 'host-c', 'postcopy', '87 %', '1.2 GB', '328 Mbit/s'],
      ['ci-46', 'host-c', 'host-j', 'precopy, relayed', '-', '31.9 MB', '-'],
      ['cache-3', 'host-a', 'host-b', 'queued host-b takes 4 guests at once: 2 are ahead', '-', '-', '-'],
    ])
  })

  it('shows a move that its destination alone tells of', () => {
    const view = fakeCluster()
    view.hosts[0]!.handoffs = []
    const told = movesOf(view).find(({ guest }) => guest === 'web-1')
    assert.deepEqual([told?.from, told?.to, told?.percent, told?.phase], ['host-a', 'host-b', null, 'receiving'])
  })

  it('says a move when its phase changes, and not with each percent', () => {
    assert.equal(sectionOf(fakeCluster(42), 'spoken'), sectionOf(fakeCluster(43), 'spoken'))
    assert.match(sectionOf(fakeCluster(), 'spoken'), /^web-1 from host-a to host-b: precopy\. db-2 .*: queued\.$/)
    const none = { hosts: [fakeHost('host-a', 1)], silent: [] }
    assert.equal(sectionOf(none, 'spoken'), 'No guest is on its way.')
    const many = fakeCluster()
    many.hosts[0]!.handoffs = Array.from({ length: 9 }, () => many.hosts[0]!.handoffs[0]!)
    assert.match(sectionOf(many, 'spoken'), /And 5 more\.$/)
  })

  it('shows all hosts, those that do not answer too, and all guests by host', () => {
    const view = fakeCluster()
    const hosts = rowsOf(sectionOf(view, 'hosts'))
    assert.equal(hosts.length, 12)
    assert.deepEqual(hosts[1], [
      'host-a', '0.1.0', 'settled', '20', '463.9 GB of 549.8 GB', '805.3 MB of 2.1 GB', '182000', '7.0 GB',
    ])
    assert.deepEqual(hosts[11]!.slice(0, 3), ['host-k', '-', 'does not answer'])
    const guests = sectionOf(view, 'guests')
    assert.equal(rowsOf(guests).length, 10 * 21)
    assert.doesNotMatch(guests, / open>/)
    assert.match(sectionOf({ hosts: [fakeHost('host-a', 3)], silent: [] }, 'guests'), /<details data-key="[^"]*" open>/)
    view.hosts[0]!.guestCount = 700
    assert.match(sectionOf(view, 'guests'), /700 guests, [^<]*, the first 20 are shown/)
  })

  it('shows past handoffs of all hosts once, the newest first, and why one failed', () => {
    const rows = rowsOf(sectionOf(fakeCluster(), 'history'))
    assert.equal(rows.length, 13)
    assert.deepEqual(rows[1]!.slice(0, 5), ['web-1', 'host-a', 'host-c', '2026-11-27 11:53:09', 'completed, precopy'])
    assert.match(rows[3]![4]!, /^failed, postcopy The destination QEMU said/)
    assert.equal(rows[3]![6], '-')
    // The end that its source does not tell of any more stands by itself, and as often as it happened.
    const view = fakeCluster()
    view.hosts[0]!.history = []
    assert.equal(pastOf(view, 99).length, 11)
    view.hosts[0]!.history = [view.hosts[2]!.history[0]!, view.hosts[2]!.history[0]!]
      .map((each) => ({ ...each, direction: 'outgoing' }))
    assert.equal(pastOf(view, 99).length, 12)
    assert.equal(pastOf(view, 4).length, 4)
  })

  it('shows what is popular, and says where nothing is', () => {
    assert.deepEqual(rowsOf(sectionOf(fakeCluster(), 'popular'))[1], [
      '00000000ffffffff', '5', '40', 'yes', 'host-a, host-b, host-c',
    ])
    const none = sectionsOf({ view: fakeCluster(), pages: [] }).find(({ id }) => id === 'popular')!
    assert.match(none.body.text, /No page is known to be popular yet/)
  })

  it('has landmarks, a heading for each section, a caption for each table and a scope for each header', () => {
    const page = documentOf(fakeCluster())
    assert.match(page, /<html lang="en">/)
    for (const landmark of ['header', 'nav', 'main']) assert.equal(page.split(`<${landmark}`).length >= 2, true)
    assert.equal(page.match(/<table/g)!.length, page.match(/<caption/g)!.length)
    assert.equal(page.match(/<th /g)!.length, page.match(/<th scope="(row|col)"/g)!.length)
    assert.match(page, /id="spoken" class="unseen" aria-live="polite"/)
    assert.match(page, /<noscript><meta http-equiv="refresh" content="5"><\/noscript>/)
    assert.doesNotMatch(page, /https?:\/\/|\son\w+=|style=|<script>|javascript:/)
  })

  it('lets no text of another host change it', () => {
    const tags = (page: string): string[] => [...new Set(page.match(/<\/?[a-z][^\s>]*/gi))].sort()
    const hostile = documentOf(hostileCluster())
    assert.deepEqual(tags(hostile).filter((tag) => !tags(documentOf(fakeCluster())).includes(tag)), [])
    // Markup of names stands there as text: between tags there is no raw sign, and no character that hides others.
    const plain = documentOf(fakeCluster())
    for (const name of HOSTILE.filter((each) => /[<>"'`\p{Cc}\p{Cf}]/u.test(each))) {
      assert.equal(hostile.split(name).length, plain.split(name).length, name)
    }
    assert.doesNotMatch(hostile, /[\u202e\u001b]/)
    assert.doesNotMatch(hostile.replace(/"[^"]*"/g, '""'), /<[^>]*\son\w+/)
    const { handoffs } = STATUS
    const host = hostSectionsOf({ ...STATUS, handoffs, held: [{ ...HELD, guest: '<db>\u202E1' }] })
    const texts = host.map(({ body }) => body.text).join('')
    assert.match(texts, />&#60;db&#62;\\u202e1<.*pagemesh settle &#60;db&#62;\\u202e1 /s)
  })
})

describe('what a cluster comes to', () => {
  it('is summed up, and halved where both ends count', () => {
    assert.deepEqual(totalsOf(fakeCluster()), {
      hosts: 11, settledHosts: 9, silentHosts: 1, guests: 200, moving: 3, queued: 1, savedBytes: 45e9, spentBytes: 10e9,
    })
  })

  it('is summed up over time, each host from its start on', () => {
    const [long, short] = [fakeHost('a', 0), fakeHost('b', 0)]
    long.ledger = { savedBytes: 400, spentBytes: 40, netBytes: 360, series: [
      { agoMs: 4000, savedBytes: 0, spentBytes: 0 }, { agoMs: 2000, savedBytes: 100, spentBytes: 40 },
    ] }
    short.ledger = { savedBytes: 20, spentBytes: 8, netBytes: 12, series: [
      { agoMs: 1000, savedBytes: 10, spentBytes: 8 },
    ] }
    const series = ledgerOverTime({ hosts: [long, short], silent: [] }, 5)
    assert.deepEqual(series, [
      { agoMs: 4000, savedBytes: 0, spentBytes: 0 }, { agoMs: 3000, savedBytes: 25, spentBytes: 10 },
      { agoMs: 2000, savedBytes: 50, spentBytes: 20 }, { agoMs: 1000, savedBytes: 130, spentBytes: 24 },
      { agoMs: 0, savedBytes: 210, spentBytes: 24 },
    ])
    assert.deepEqual(ledgerOverTime({ hosts: [], silent: [] }, 5), [])
  })

  it('names what is not well and what to do, the worst first', () => {
    const concerns = concernsOf(fakeCluster())
    assert.deepEqual(concerns.map(({ level, about }) => [level, about]), [
      ['danger', 'mail-4 on host-c'], ['warning', 'host-k'], ['warning', 'host-d'], ['warning', 'host-e'],
      ['warning', 'Versions differ'], ['note', 'host-e'],
    ])
    assert.match(concerns[0]!.advice, /pagemesh settle mail-4 --run/)
    assert.match(concerns[1]!.what, /does not answer: host-k did not answer in time/)
    assert.match(concerns[2]!.what, /3 damaged pages/)
    assert.match(concerns[3]!.what, /not been settled for 41 min/)
    assert.match(concerns[4]!.what, /^0\.1\.0 on host-a, .*; 0\.0\.9 on host-e\.$/)
    assert.deepEqual(concernsOf({ hosts: [fakeHost('host-a', 3)], silent: [] }), [])
  })

  it('warns of a handoff whose digests differed', () => {
    const view = fakeCluster()
    view.hosts[0]!.history[0]!.digestMatched = false
    const [, digest] = concernsOf(view)
    assert.deepEqual([digest!.level, digest!.about], ['danger', 'web-1 on host-c'])
    assert.match(digest!.what, /without a digest that matched/)
    view.hosts[0]!.history[0]!.digestMatched = null
    assert.equal(concernsOf(view).length, 6)
    view.hosts[0]!.history[0]!.code = 'digest-mismatch'
    assert.match(concernsOf(view)[1]!.what, /the digests differed, so nothing was released at host-c/)
  })
})
