import assert from 'node:assert/strict'

import { renderCluster } from '../../../src/cli/clustertext.ts'
import { fakeCluster, fakeHost } from '../../support/fakecluster.ts'

describe('a cluster for people', () => {
  it('has what needs attention first, then a line a host, moves and the last handoffs', () => {
    const lines = renderCluster(fakeCluster(42)).split('\n')
    assert.equal(lines[0], '11 hosts, 9 settled; 200 guests, 3 on their way, 1 wait; 45.0 GB saved, 10.0 GB spent')
    assert.match(lines[1]!, /^danger: mail-4 on host-c: Held for 6 min/)
    assert.match(lines[2]!, /^ {2}Look at the copy on host-d/)
    const hosts = lines.slice(lines.indexOf('') + 1)
    assert.match(hosts[0]!, /^HOST +VERSION +STATE +GUESTS +FREE MEMORY +STORE +NET$/)
    assert.match(hosts[1]!, /^host-a +0\.1\.0 +settled +20 +85\.9 GB of 549\.8 GB +805\.3 MB of 2\.1 GB +7\.0 GB$/)
    assert.match(hosts[11]!, /^host-k +- +does not answer$/)
    const text = lines.join('\n')
    assert.match(text, /\nMoves\n {2}web-1 +host-a to host-b +precopy +42 % +31\.9 MB sent +328 Mbit\/s\n/)
    assert.match(text, /\n {2}cache-3 +host-a to host-b +queued +host-b takes 4 guests at once: 2 are ahead\n/)
    assert.match(text, /\nLast handoffs\n {2}web-1 +host-a to host-c +completed, precopy +2\.3 s +2026-11-27T11:53:09/)
  })

  it('is short where there is little to say', () => {
    const text = renderCluster({ hosts: [fakeHost('host-a', 0)], silent: [] })
    assert.match(text, /\nMoves: none\nLast handoffs: none$/)
    assert.doesNotMatch(text, /warning|danger|note/)
  })
})
