import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { parseConfig, readConfig } from '../../../src/daemon/config.ts'
import { OPTIONS } from '../../../src/index.ts'
import { PagemeshError } from '../../../src/runtime/errors.ts'

const FULL = `
name: host-a
clusterKey: /etc/pagemesh/cluster.key
listen: [/ip4/10.0.0.1/tcp/4001]
lane: 10.0.0.1:4002
announce: [/ip4/203.0.113.5/tcp/4001]
bootstrap: [/ip4/10.0.0.2/tcp/4001]
guests: [/run/vms/*.qmp]
managed: libvirt
intercept: {ports: [49152-49215, 8102]}
control: /run/pagemesh/control.sock
http: 127.0.0.1:9464
metrics: {guestNames: true}
census: {pagesPerSecond: 50000, intervalSeconds: 60, maxBytes: 1GiB}
popularity: {minHosts: 2, maxPages: 2000000}
store: {path: /var/lib/pagemesh, maxBytes: 2GiB}
swap: {maxBandwidth: 100Mbit}
handoff: {references: true, peers: true, compression: true, threads: auto, parallel: 8}
accept: [{guest: 'web-*', from: [host-b, host-c]}]
tenants: [{guests: 'db-*', tenant: blue}]
tunnel: {to: ['127.64.0.9:20500']}
`
const LEAST = 'name: host-a\nclusterKey: /key\n'

/** The error that parsing `text` ends in. */
function flawOf(text: string): PagemeshError {
  try {
    parseConfig(text, 'agent.yaml')
  } catch (error) {
    assert.ok(error instanceof PagemeshError)
    assert.equal(error.code, 'bad-config')
    assert.equal(error.fault, 'usage')
    assert.match(error.message, /^agent\.yaml/)
    return error
  }
  assert.fail('the configuration was taken')
}

describe('a configuration file', () => {
  it('has rules of who may hand over what, each with a guest and hosts and nothing else', () => {
    const rules = (text: string) => parseConfig(`${LEAST}accept: ${text}`, 'agent.yaml').agentOptions.accept
    assert.equal(parseConfig(LEAST, 'agent.yaml').agentOptions.accept, undefined)
    assert.deepEqual(rules('[]'), [])
    assert.deepEqual(rules('[{guest: web, from: []}]'), [{ guest: 'web', from: [] }])
    const wrong = ['web', '{}', '[web]', '[null]', '[{guest: web}]', '[{guest: web, from: a}]', '[{from: [a]}]',
      '[{guest: web, from: [1]}]', '[{guest: "", from: [a]}]', '[{guest: web, from: [a], until: noon}]', '']
    for (const text of wrong) assert.match(flawOf(`${LEAST}accept: ${text}`).message, /`accept` is .* expected a list/)
  })

  it('has tenants: one for all guests, or rules, with limits', () => {
    const tenants = (text: string) => parseConfig(`${LEAST}tenants: ${text}`, 'agent.yaml').agentOptions.tenants
    assert.equal(parseConfig(LEAST, 'agent.yaml').agentOptions.tenants, undefined)
    assert.deepEqual(tenants('{default: shared}'), { default: 'shared' })
    assert.deepEqual(tenants('{default: blue}'), { default: 'blue' })
    assert.deepEqual(tenants('[{guests: "a-*", tenant: a.b_c-1}]'), [{ guests: 'a-*', tenant: 'a.b_c-1' }])
    assert.deepEqual(tenants('[]'), [])
    assert.deepEqual(tenants('[{guests: "img-*", tenant: public}]'), [{ guests: 'img-*', tenant: 'public' }])
    const rules = (count: number, of: number): string =>
      `[${Array.from({ length: count }, (_, index) => `{guests: "g${index}", tenant: t${index % of}}`).join()}]`
    assert.equal((tenants(rules(64, 15)) as unknown[]).length, 64)
    const wrong = ['blue', '{}', '{default: 1}', '{default: Blue}', '{default: blue, more: 1}', '[blue]', '[null]',
      '[{guests: a}]', '[{tenant: a}]', '[{guests: "", tenant: a}]', '[{guests: [a], tenant: a}]',
      '[{guests: a, tenant: ""}]', '[{guests: a, tenant: a/b}]', '[{guests: a, tenant: -a}]',
      `[{guests: a, tenant: ${'x'.repeat(33)}}]`, '[{guests: a, tenant: a, hosts: b}]', rules(65, 2), rules(16, 16),
      '{default: public}', '[{guests: "*", tenant: public}]', '']
    for (const text of wrong) {
      assert.match(flawOf(`${LEAST}tenants: ${text}`).message, /`tenants` is .* expected \{default: NAME\}, or a list/)
    }
  })

  it('has addresses that members may have dialled, and refuses what is none', () => {
    for (const text of ['[web]', '[10.0.0.2]', '/run/x', '[host-b:80]']) {
      assert.match(flawOf(`${LEAST}tunnel: {to: ${text}}`).message, /`tunnel\.to` is .* expected/)
    }
  })

  it('gives the agent everything that the full example says, in plain units', () => {
    const config = parseConfig(FULL, 'agent.yaml')
    assert.deepEqual(config.agentOptions, {
      name: 'host-a',
      clusterKey: '/etc/pagemesh/cluster.key',
      listen: ['/ip4/10.0.0.1/tcp/4001'],
      lane: '10.0.0.1:4002',
      announce: ['/ip4/203.0.113.5/tcp/4001'],
      bootstrap: ['/ip4/10.0.0.2/tcp/4001'],
      guests: ['/run/vms/*.qmp'],
      managed: 'libvirt',
      metrics: { guestNames: true },
      intercept: { ports: [{ first: 49_152, last: 49_215 }, { first: 8102, last: 8102 }] },
      census: { pagesPerSecond: 50_000, intervalSeconds: 60, maxBytes: 2 ** 30 },
      popularity: { minHosts: 2, maxPages: 2_000_000 },
      store: { path: '/var/lib/pagemesh', maxBytes: 2 ** 31 },
      swap: { maxBandwidth: 12_500_000 },
      handoff: { references: true, peers: true, compression: true, threads: 'auto', parallel: 8 },
      accept: [{ guest: 'web-*', from: ['host-b', 'host-c'] }],
      tenants: [{ guests: 'db-*', tenant: 'blue' }],
      tunnel: { to: ['127.64.0.9:20500'] },
    })
    assert.equal(config.control, '/run/pagemesh/control.sock')
    assert.equal(config.http, '127.0.0.1:9464')
    for (const { key } of OPTIONS) assert.match(FULL, new RegExp(`\\b${key.split('.').at(-1)}: `), key)
  })

  it('has ports to intercept, each once, and none of a service', () => {
    const ports = (text: string) =>
      parseConfig(`${LEAST}intercept: {ports: ${text}}`, 'agent.yaml').agentOptions.intercept
    assert.equal(parseConfig(LEAST, 'agent.yaml').agentOptions.intercept, undefined)
    assert.deepEqual(ports('[]'), { ports: [] })
    assert.deepEqual(ports('["8102", 60000-60050]'), { ports: [
      { first: 8102, last: 8102 }, { first: 60_000, last: 60_050 },
    ] })
    const many = `[${Array.from({ length: 33 }, (_, index) => 2000 + index).join()}]`
    const wrong = ['49152-49215', '[22]', '[1000-2000]', '[2000-1999]', '[all]', '[8102, 8000-9000]', '[[8102]]', many]
    for (const text of wrong) {
      assert.match(flawOf(`${LEAST}intercept: {ports: ${text}}`).message, /`intercept\.ports` is .* expected a list of/)
    }
    assert.match(flawOf(`${LEAST}intercept: true`).message, /`intercept` is a section: expected some of ports/)
  })

  it('takes every default from the options table', () => {
    const config = parseConfig(LEAST, 'agent.yaml')
    assert.deepEqual(config.agentOptions, {
      name: 'host-a',
      clusterKey: '/key',
      listen: ['/ip4/0.0.0.0/tcp/4001'],
      managed: 'off',
      metrics: { guestNames: false },
      census: { pagesPerSecond: 50_000, intervalSeconds: 60, maxBytes: 2 ** 30 },
      popularity: { minHosts: 2, maxPages: 2_000_000 },
      store: { path: '/var/lib/pagemesh', maxBytes: 2 ** 31 },
      swap: { maxBandwidth: 12_500_000 },
      handoff: { references: true, peers: true, compression: 'auto', threads: 'auto', parallel: 4 },
      tunnel: { to: ['/run/pagemesh/tunnel/*', '127.64.0.0/16:20000-30999'] },
    })
    assert.equal(config.control, '/run/pagemesh/control.sock')
    assert.equal('http' in config, false)
  })

  it('resolves aliases', () => {
    const text = `${LEAST}listen: &here [/ip4/10.0.0.1/tcp/4001]\nbootstrap: *here\n`
    const { agentOptions } = parseConfig(text, 'agent.yaml')
    assert.deepEqual(agentOptions.bootstrap, ['/ip4/10.0.0.1/tcp/4001'])
  })

  for (const [written, nearest] of [
    ['listn: []', 'listen'],
    ['gests: []', 'guests'],
    ['census: {pagePerSecond: 5}', 'census.pagesPerSecond'],
    ['pagesPerSecond: 5', 'census.pagesPerSecond'],
    ['store: {maxByte: 5}', 'store.maxBytes'],
    ['sensus: {maxBytes: 5}', 'census'],
  ] as const) {
    it(`names ${nearest} when it says ${written}`, () => {
      const flaw = flawOf(`${LEAST}${written}\n`)
      assert.match(flaw.message, /^agent\.yaml, line 3: the key `.*` is unknown\.$/)
      assert.equal(flaw.advice, `Did you mean \`${nearest}\`?`)
    })
  }

  for (const { key } of OPTIONS.filter(({ required }) => required === true)) {
    it(`is refused without ${key}`, () => {
      const flaw = flawOf(LEAST.replace(new RegExp(`^${key}:.*\n`, 'm'), ''))
      assert.equal(flaw.message, `agent.yaml: \`${key}\` is missing.`)
      assert.equal(flaw.data.key, key)
    })
  }

  it('is refused where it is nested thousands deep', () => {
    const flaw = flawOf(`${LEAST}store: ${'['.repeat(50_000)}`)
    assert.match(flaw.message, /no valid YAML/)
  })

  for (const [written, message] of [
    ['lane: 10.0.0.1', /`lane` is "10\.0\.0\.1"; expected host:port/],
    ['lane: 10.0.0.1:70000', /expected host:port/],
    ['http: 10.0.0.300:80', /expected host:port/],
    ['http: [::1]:80', /YAML/],
    ['http: 9464', /`http` is 9464; expected host:port/],
    ['listen: /ip4/10.0.0.1/tcp/4001', /expected a list in brackets/],
    ['listen: [10.0.0.1:4001]', /expected each of the list to be a multiaddr such as .*unlike "10\.0\.0\.1:4001"/],
    ['bootstrap: [/ip4/10.0.0.256/tcp/4001]', /expected each of the list to be a multiaddr/],
    ['bootstrap: [/ip4/10.0.0.2/tcp/65536]', /expected each of the list to be a multiaddr/],
    ['guests: [7]', /expected each of the list to be some text, unlike 7/],
    ['guests:', /`guests` is nothing; expected a list/],
    ['control: ""', /`control` is ""; expected some text/],
    ['handoff: {compression: fast}',
      /`handoff.compression` is "fast"; expected one of auto, always, never, true, false/],
    ['handoff: {peers: 1}', /`handoff.peers` is 1; expected true or false/],
    ['control: *nowhere', /alias/],
    ['census: 5', /`census` is a section: expected some of pagesPerSecond, intervalSeconds, maxBytes below it/],
    ['census: {pagesPerSecond: 1}', /expected a whole number, from 100 to 10000000\./],
    ['handoff: {threads: many}', /`handoff\.threads` is "many"; expected auto or a whole number, from 0 to 256\./],
    ['handoff: {threads: 257}', /expected auto or a whole number/],
    ['census: {pagesPerSecond: 1000.5}', /expected a whole number/],
    ['census: {pagesPerSecond: many}', /`census\.pagesPerSecond` is "many"; expected a whole number/],
    ['census: {maxBytes: 1 potato}', /expected a size such as 512MiB or 2GiB, from 1048576 to \d+ bytes/],
    ['census: {maxBytes: 1kB}', /expected a size/],
    ['store: {maxBytes: -1}', /expected a size/],
    ['swap: {maxBandwidth: 100}', /expected a rate such as 100Mbit/],
    ['swap: {maxBandwidth: 100 parsec}', /expected a rate such as 100Mbit/],
    ['name: host-b', /no valid YAML/],
    ['listen: [', /no valid YAML/],
    ['? '.repeat(40) + 'name', /no valid YAML: .*all keys must be strings/],
  ] as const) {
    it(`is refused, with line and key, for ${written}`, () => {
      const flaw = flawOf(`${LEAST}${written}\n`)
      assert.match(flaw.message, message)
      assert.match(flaw.message, /^agent\.yaml, line [34]: /)
    })
  }

  it('takes an IPv6 address in brackets', () => {
    assert.equal(parseConfig(`${LEAST}http: "[::1]:80"\n`, 'agent.yaml').http, '[::1]:80')
  })

  it('is refused when it is no map, or empty', () => {
    assert.match(flawOf('- a\n- b\n').message, /expected keys and values/)
    assert.match(flawOf('').message, /`name` is missing/)
  })

  it('that cannot be read says so', async () => {
    await assert.rejects(readConfig('/nonexistent/agent.yaml'), (error: unknown) => {
      assert.ok(error instanceof PagemeshError)
      assert.equal(error.code, 'bad-config')
      assert.match(error.message, /^\/nonexistent\/agent\.yaml: the configuration cannot be read \(ENOENT\)/)
      return true
    })
  })

  it('is read from disk', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'config-'))
    try {
      await writeFile(join(folder, 'agent.yaml'), FULL)
      assert.equal((await readConfig(join(folder, 'agent.yaml'))).agentOptions.name, 'host-a')
    } finally {
      await rm(folder, { recursive: true })
    }
  })
})
