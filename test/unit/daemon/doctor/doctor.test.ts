import assert from 'node:assert/strict'

import { judge, type Facts, type Finding } from '../../../../src/daemon/doctor/index.ts'
import { parseConfig } from '../../../../src/daemon/index.ts'
import { AGENT_RIGHTS, INTERCEPT_RIGHT } from '../../../../src/host/rights.ts'
import type { Examination, PeerReach } from '../../../../src/index.ts'
import { EXAMINATION, HELD, recordOf, resultOf, STATUS } from '../../../support/fakeagent.ts'

const [PTRACE, OVERRIDE] = AGENT_RIGHTS.map(({ bit }) => bit) as [number, number]
const CONFIG = configured('bootstrap: [/ip4/10.0.0.2/tcp/4001], guests: [/vms/*]')
const [PEER] = EXAMINATION.peers as [PeerReach]

/** A host on which all is well. */
const WELL: Facts = {
  program: { version: STATUS.version, nodeVersion: 'v24.0.0' },
  configuration: { file: '/f', config: CONFIG, failure: null },
  agent: { control: '/control', examination: EXAMINATION, failure: null, history: [] },
  to: null,
  listening: [
    { key: 'listen', address: '10.0.0.1:4001', why: null }, { key: 'lane', address: '10.0.0.1:4002', why: null },
  ],
  names: [{ name: 'host-a.example', addresses: ['10.0.0.1'] }],
  ownAddresses: ['127.0.0.1', '10.0.0.1'],
  rights: { uid: 900, capabilities: [PTRACE, OVERRIDE] },
  ptraceScope: 1,
  pagemap: null,
  userfaultfd: { forAll: true, hasDevice: true },
  qemus: [{ pid: 4711, uid: 64055, capabilities: [] }],
  hiddenQemus: 0,
  sockets: [{ path: '/vms/web', qemuVersion: '7.2.0', why: null }],
  intercept: { ports: [], why: null },
  kernel: 'avx2',
  store: { path: '/var/lib/pagemesh', bytesMax: 2e9, freeBytes: 9e9, kind: 'disk', isReadOnly: false },
}

const alone: Facts['agent'] = {
  control: '/control', examination: null, history: [], failure: { message: 'No agent answers.', advice: 'Start it.' },
}

function withExamination(more: Partial<Examination>): Facts {
  return { ...WELL, agent: { ...WELL.agent, examination: { ...EXAMINATION, ...more } } }
}

function withPeer(more: Partial<PeerReach>): Facts {
  return withExamination({ peers: [{ ...PEER, ...more }] })
}

function wrong(facts: Facts): Finding[] {
  return judge(facts).filter(({ verdict }) => verdict !== 'ok')
}

/** Asserts that `facts` have one thing wrong with them. */
function isWrong(facts: Facts, check: string, verdict: Finding['verdict'], ...words: RegExp[]): void {
  const found = wrong(facts)
  assert.deepEqual(found.map((one) => [one.check, one.verdict]), [[check, verdict]], JSON.stringify(found, null, 1))
  const { found: text, advice } = found[0]!
  assert.match(text, /^.+[.:]/)
  assert.ok(advice !== null && advice !== '', 'it says what to do')
  for (const word of words) assert.match(`${text} ${advice}`, word)
}

describe('the doctor', () => {
  it('finds nothing wrong with a host that is well, and says what it looked at', () => {
    assert.deepEqual(wrong(WELL), [])
    const checks = new Set(judge(WELL).map(({ check }) => check))
    for (const name of [
      'configuration', 'control socket', 'version', 'listen', 'lane', 'name', 'announced', 'rights', 'ptrace scope',
      'pagemap', 'userfaultfd', 'hashing', 'store', 'peers', 'mesh to', 'lane to', 'mesh from', 'lane from', 'clock of',
      'version of', 'link to', 'guest', 'known pages',
    ]) assert.ok(checks.has(name), name)
    assert.ok(judge(WELL).every(({ advice }) => advice === null))
  })

  it('says of a host without an agent what can be known', () => {
    const free = WELL.listening.map((place) => ({ ...place, why: 'ECONNREFUSED' }))
    isWrong({ ...WELL, agent: alone, listening: free }, 'control socket', 'broken', /Start it/)
    const foreign = [{ key: 'listen' as const, address: '10.0.0.9:4001', why: 'ETIMEDOUT' }]
    const found = wrong({ ...WELL, agent: alone, listening: foreign })
    assert.deepEqual(found.map(({ check }) => check), ['control socket', 'listen'])
    assert.match(found[1]!.found, /no address of this host/)
    const [socket] = WELL.sockets as [Facts['sockets'][number]]
    const text = judge({ ...WELL, agent: alone, listening: free }).find(({ check }) => check === 'guest')!.found
    assert.equal(text, 'QEMU 7.2.0 answers there.')
    const held = { ...socket, qemuVersion: null, why: 'Somebody holds it. Close that.' }
    assert.deepEqual(wrong({ ...WELL, agent: alone, listening: free, sockets: [held] })[1],
      { check: 'guest', about: '/vms/web', verdict: 'broken', found: 'Somebody holds it.', advice: 'Close that.' })
    const taken = wrong({ ...WELL, agent: alone, listening: WELL.listening.slice(0, 1) })
    assert.match(taken[1]!.found, /Another program listens/)
    const failure = { message: 'May not be used.', advice: 'Be root.', code: 'control-denied' }
    isWrong({ ...WELL, agent: { ...alone, failure } }, 'control socket', 'broken', /Be root/)
  })

  it('judges the configuration and the agent', () => {
    const failure = { message: '`nmae` is unknown.', advice: null }
    isWrong({ ...WELL, configuration: { file: '/f', config: CONFIG, failure } }, 'configuration', 'broken', /check/)
    isWrong({ ...WELL, configuration: { file: '/f', config: null, failure } }, 'configuration', 'warning', /--config/)
    isWrong({ ...WELL, program: { ...WELL.program, version: '1.0.0' } }, 'version', 'warning', /anew/)
    for (const [why, word] of [['ECONNREFUSED', /log/], ['ETIMEDOUT', /firewall/]] as const) {
      isWrong({ ...WELL, listening: [{ key: 'lane', address: '10.0.0.1:4002', why }] }, 'lane', 'broken', word)
    }
  })

  it('sees that nobody else can reach this host', () => {
    isWrong(withExamination({ announced: ['127.0.0.1:4001'] }), 'announced', 'broken', /loopback/)
    const local = configured('bootstrap: [/ip4/127.0.0.1/tcp/1], guests: [/vms/*]')
    isWrong({
      ...withExamination({ announced: ['127.0.0.1:4001'] }), configuration: { ...WELL.configuration, config: local },
    }, 'announced', 'warning')
    for (const [peerId, words] of [[STATUS.peerId, /Another host runs with/], ['other', /Several hosts/]] as const) {
      const status = { ...STATUS, doubled: [{ host: 'host-x', peerId }] }
      isWrong(withExamination({ status }), 'identity of', 'broken', words, /remove its identity/)
    }
    isWrong({ ...WELL, names: [{ name: 'host-a', addresses: ['127.0.1.1'] }] }, 'name', 'broken', /\/etc\/hosts/)
    for (const [words, check, says] of [
      ['listen: [/ip4/10.0.0.1/tcp/4001], lane: "127.0.0.1:4002"', 'lane', /no guest could leave.* 10\.0\.0\.1\./],
      ['announce: [/ip4/0.0.0.0/tcp/4001]', 'announce', /No other host can dial that/],
    ] as const) {
      const config = configured(`bootstrap: [/ip4/10.0.0.2/tcp/4001], guests: [/vms/*], ${words}`)
      isWrong({ ...WELL, configuration: { ...WELL.configuration, config } }, check, 'broken', says)
    }
    isWrong({ ...WELL, names: [{ name: 'host-a', addresses: [] }] }, 'name', 'broken', /no address/)
  })

  it('judges rights by what the QEMUs here need', () => {
    const rights = { uid: 900, capabilities: [PTRACE] }
    isWrong({ ...WELL, rights }, 'rights', 'broken', /CAP_DAC_OVERRIDE/)
    isWrong({ ...WELL, rights, qemus: [{ pid: 1, uid: 900, capabilities: [] }] }, 'rights', 'warning', /own user/)
    const intercept = { ports: [{ first: 49152, last: 49215 }], why: null }
    isWrong({ ...WELL, intercept }, 'rights', 'broken', /CAP_NET_ADMIN/)
    const all = { uid: 900, capabilities: [PTRACE, OVERRIDE, INTERCEPT_RIGHT.bit] }
    assert.deepEqual(wrong({ ...WELL, intercept, rights: all }), [])
    const lacking = { ...WELL, intercept: { ...intercept, why: 'nft is missing' }, rights: all }
    isWrong(lacking, 'interception', 'broken', /nft/)
  })

  it('judges the kernel\'s switches', () => {
    isWrong({ ...WELL, ptraceScope: 3 }, 'ptrace scope', 'broken', /boot/)
    const own = [{ pid: 1, uid: 900, capabilities: [] }]
    const none = { ...WELL, rights: { uid: 900, capabilities: [OVERRIDE] }, qemus: own }
    assert.deepEqual(wrong(none).map(({ check, verdict }) => [check, verdict]),
      [['rights', 'warning'], ['ptrace scope', 'broken']])
    assert.deepEqual(wrong({ ...none, ptraceScope: 0 }).map(({ check }) => check), ['rights'])
    isWrong({ ...WELL, pagemap: 'EPERM' }, 'pagemap', 'broken', /CONFIG_PROC_PAGE_MONITOR/)
    const forFew = { forAll: false, hasDevice: false }
    isWrong({ ...WELL, userfaultfd: forFew }, 'userfaultfd', 'warning', /unprivileged_userfaultfd=1/)
    assert.deepEqual(wrong({ ...WELL, userfaultfd: forFew, qemus: [{ pid: 1, uid: 0, capabilities: [PTRACE] }] }), [])
    const without = { forAll: null, hasDevice: false }
    isWrong({ ...WELL, userfaultfd: without }, 'userfaultfd', 'warning', /CONFIG_USERFAULTFD/)
    isWrong({ ...WELL, kernel: 'package' }, 'hashing', 'warning', /C compiler/)
  })

  it('judges the disk of the store', () => {
    const store = WELL.store!
    isWrong({ ...WELL, store: { ...store, freeBytes: 1e9 } }, 'store', 'warning', /1\.0 GB too few/)
    const half = withExamination({ status: { ...STATUS, store: { ...STATUS.store, bytes: 1.5e9 } } })
    assert.deepEqual(wrong({ ...half, store: { ...store, freeBytes: 1e9 } }), [], 'what is taken needs no more room')
    isWrong({ ...WELL, store: { ...store, isReadOnly: true } }, 'store', 'broken', /read-only/)
    isWrong({ ...WELL, store: { ...store, kind: 'tmpfs' } }, 'store kind', 'warning', /memory/)
    isWrong({ ...WELL, store: { ...store, kind: 'nfs' } }, 'store kind', 'warning', /NFS/)
  })

  it('judges the ways to other hosts, each direction by itself', () => {
    const closed = { address: '10.0.0.2:4002', why: 'The bulk lane could not be opened (ETIMEDOUT).' }
    const { there, answer } = PEER
    isWrong(withPeer({ there: { ...there, lane: closed } }), 'lane to', 'broken', /cannot come from host-b/)
    const back = { ...answer!.back, lane: closed }
    isWrong(withPeer({ answer: { ...answer!, back } }), 'lane from', 'broken', /cannot go to host-b/)
    const mesh = [{ address: '10.0.0.2:4001', why: 'EHOSTUNREACH' }]
    isWrong(withPeer({ there: { ...there, mesh } }), 'mesh to', 'warning', /EHOSTUNREACH/)
    assert.deepEqual(wrong(withPeer({ there: { ...there, mesh: [...mesh, ...there.mesh] } })), [], 'one way is enough')
    isWrong(withPeer({ answer: { ...answer!, back: { ...answer!.back, mesh } } }), 'mesh from', 'warning')
    const silent = { there: { mesh: there.mesh }, answer: null, why: 'no answer' }
    isWrong(withPeer(silent), 'way back', 'warning', /Not known/)
    isWrong(withPeer({ answer: { ...answer!, clockDifferenceMs: -90_000 } }), 'clock of', 'warning', /90 s behind/)
    isWrong(withPeer({ answer: { ...answer!, version: '1.0.0' } }), 'version of', 'warning', /same version/)
  })

  it('tells a host that a rotation of the cluster key left out from one that reaches nobody', () => {
    const withKeys = (strangers: string[], peers: PeerReach[]): Facts => withExamination({
      peers, status: { ...STATUS, keys: { ...STATUS.keys, strangers, advice: 'Copy the key file.' } },
    })
    isWrong(withKeys(['host-b'], []), 'cluster key', 'broken', /hold another key/, /Copy the key file/)
    isWrong(withKeys(['host-d'], EXAMINATION.peers), 'cluster key', 'warning', /Copy the key file/)
    isWrong(withKeys([], EXAMINATION.peers), 'cluster key', 'warning', /Not all hosts have the same keys/)
  })

  it('tells a host that sees nobody from one that need not, and from one that misses a certain host', () => {
    isWrong(withExamination({ peers: [], status: { ...STATUS, strangers: 0 } }), 'peers', 'broken', /10\.0\.0\.2/)
    const other = { ...STATUS, strangers: 2 }
    isWrong(withExamination({ peers: [], status: other }), 'peers', 'broken', /turned away 2 .* the same cluster key/)
    const refused = { ...STATUS.refused, names: 3 }
    isWrong(withExamination({ peers: [], status: { ...other, refused } }), 'peers', 'broken', /3 times.*pagemesh peers/)
    const config = configured('guests: [/vms/*]')
    const first = { ...withExamination({ peers: [] }), configuration: { ...WELL.configuration, config } }
    isWrong(first, 'peers', 'warning', /bootstrap/)
    const missing = { ...withExamination({ peers: [] }), to: 'host-c' }
    isWrong(missing, 'peers', 'broken', /host-c is not in the mesh.* host-b/)
  })

  it('tells the rate of the last handoff that was long enough', () => {
    const long = { ...resultOf({ guest: 'web', to: 'host-b' }, 'completed'), wireBytes: 250e6, totalMs: 2000 }
    const history = [recordOf({ ...long, totalMs: 100 }), recordOf(long)]
    const links = judge({ ...WELL, agent: { ...WELL.agent, history } }).filter(({ check }) => check === 'link to')
    assert.match(links[0]!.found, /web took 1\.00 Gbit\/s/)
  })

  it('judges guests, found and not found', () => {
    const reason = 'Another client holds the socket. Give the guest a second one.'
    const unusable = [{ path: '/vms/db', code: 'qmp-busy', reason }]
    const refused = withExamination({ status: { ...STATUS, unusable } })
    isWrong(refused, 'guest', 'broken', /^Another client holds the socket\. Give/)
    isWrong(withExamination({ status: { ...STATUS, held: [HELD] } }), 'held', 'warning', /pagemesh settle db-1/)
    assert.deepEqual(wrong({ ...WELL, hiddenQemus: 2 }), [], 'the agent sees what this user may not')
    const hidden = wrong({ ...WELL, agent: alone, listening: [], hiddenQemus: 2 })
    assert.deepEqual(hidden.map(({ check, verdict }) => [check, verdict]),
      [['control socket', 'broken'], ['QEMUs', 'warning']])
    isWrong(withExamination({ guests: [] }), 'guests', 'warning', /none of its guests/)
    const [guest] = EXAMINATION.guests as [Examination['guests'][number]]
    isWrong(withExamination({ guests: [{ ...guest, qemuVersion: null, why: reason }] }), 'guest', 'warning', /Another/)
    const managed = judge(withExamination({ guests: [{ ...guest, path: null, qemuVersion: null }] }))
    assert.match(managed.find(({ check }) => check === 'guest')!.found, /manager/)
    const known = judge(WELL).find(({ check }) => check === 'known pages')!
    assert.equal(known.found, '33 % of its distinct pages are known to be on several hosts: at least 33 % at host-b.')
    const bare = { ...WELL.configuration, config: configured('bootstrap: [/ip4/10.0.0.2/tcp/4001]') }
    isWrong({ ...withExamination({ guests: [] }), configuration: bare }, 'guests', 'warning', /names no guests/)
  })
})

function configured(more: string): ReturnType<typeof parseConfig> {
  return parseConfig(`{name: host-a, clusterKey: /key, ${more}}`, 'f')
}
