/** Interception with real kernel tables: hosts are network namespaces, and TCP servers take the place of QEMUs. */
import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'

import { systemClock } from '../../src/runtime/clock.ts'
import { createNetwork, waitFor, type LabNetwork } from '../../testnet/index.ts'
import { runCommand } from '../../testnet/machine/command.ts'
import { canIsolate } from '../../testnet/machine/network.ts'
import { InterceptHost } from './intercepthost.ts'
import { tablesOf, untilDirect } from './tables.ts'

const PORTS = [{ first: 49_152, last: 49_215 }, { first: 60_000, last: 60_050 }]
const PORT = 49_153
const WAIT_MS_MAX = 20_000
const CHANNELS = 10

describe('interception', function () {
  this.timeout(60_000)
  let network: LabNetwork
  let manager: InterceptHost
  let agent: InterceptHost
  let others: InterceptHost[]
  let addresses: string[]
  let sixes: string[]

  before(async function () {
    if (!await canIsolate()) {
      console.log('      skipped: this machine lacks root, or the right to make network namespaces')
      this.skip()
    }
    network = await createNetwork({ hosts: ['a', 'b', 'c'] })
    sixes = network.hosts.map((_host, index) => `fd77::${index + 1}`)
    for (const [index, { exec }] of network.hosts.entries()) {
      await runCommand([...exec, 'ip', 'address', 'add', `${sixes[index]!}/64`, 'dev', 'eth0', 'nodad'])
    }
    addresses = network.hosts.map(({ address }) => address)
    manager = new InterceptHost(network.host('a'))
    others = [new InterceptHost(network.host('b')), new InterceptHost(network.host('c'))]
    for (const other of others) {
      await other.ask({ act: 'relay' })
      for (const port of [PORT, 60_050, 60_051]) await other.ask({ act: 'echo', port, text: other.host.name })
      // The destination's agent intercepts as well, and must reach its own QEMU.
      await other.ask({ act: 'intercept', ports: PORTS, members: membersBut(other.host.name) })
      await active(other)
    }
  })

  after(async () => { await (network as LabNetwork | undefined)?.close() })

  beforeEach(async () => {
    agent = new InterceptHost(network.host('a'))
    await agent.ask({ act: 'intercept', ports: PORTS, members: membersBut('a') })
    await active(agent, 2)
  })

  afterEach(async () => {
    agent.kill()
    await untilGone()
  })

  function membersBut(own: string, six = false): { name: string; address: string }[] {
    return network.hosts.flatMap(({ name, address }, index) =>
      (name === own ? [] : [{ name, address: six ? `/ip6/${sixes[index]}/tcp/4001` : `/ip4/${address}/tcp/4001` }]))
  }

  async function active(host: InterceptHost, memberCount = 0): Promise<void> {
    await waitFor(async () => {
      const { active: isActive, members } = await host.status()
      const isThere = isActive && members.length >= memberCount
      return isThere && (await tables(host.host)).includes('flags owner') ? true : undefined
    }, { clock: systemClock, what: 'interception', timeoutMs: WAIT_MS_MAX, pauseMs: 50 })
    // The table may exist a moment before its members.
    await waitFor(async () => ((await listed(host)).length >= memberCount ? true : undefined),
      { clock: systemClock, what: 'the members', timeoutMs: WAIT_MS_MAX, pauseMs: 50 })
  }

  async function tables(of = network.host('a')): Promise<string> {
    return await tablesOf(of)
  }

  async function listed({ host }: InterceptHost): Promise<string[]> {
    const lists = [...(await tables(host)).matchAll(/elements = \{([^}]*)\}/g)]
    return lists.flatMap(([, list = '']) => list.split(',')).map((text) => text.trim())
      .filter((text) => /^(10\.77|fd77)/.test(text))
  }

  async function untilGone(): Promise<void> {
    await untilDirect(network.host('a'))
  }

  async function until(host: InterceptHost, what: string, isSo: (text: string) => boolean): Promise<void> {
    await waitFor(async () => (isSo(await tables(host.host)) ? true : undefined),
      { clock: systemClock, what, timeoutMs: WAIT_MS_MAX, pauseMs: 50 })
  }

  /** The agent's nft process. */
  function nftOf({ pid }: InterceptHost): number {
    const found = readdirSync('/proc').filter((name) => /^\d+$/.test(name)).find((name) => {
      try {
        return readFileSync(`/proc/${name}/stat`, 'utf8').includes(`(nft) S ${pid} `)
      } catch {
        return false
      }
    })
    return Number(found ?? assert.fail('there is no nft of the agent'))
  }

  it('redirects connections to configured ports of members to the relay of each', async () => {
    assert.equal(await manager.dial(1, addresses[1]!, PORT), `b ${addresses[1]}`)
    assert.equal(await manager.dial(2, addresses[2]!, 60_050), `c ${addresses[2]}`)
    assert.equal(await manager.say(1, 'one'), 'one')
    assert.equal(await manager.say(2, 'two'), 'two')
    assert.equal(await manager.ask({ act: 'close', id: 1 }), 'bye')
    assert.deepEqual({ ...await agent.status(), why: undefined }, {
      active: true, why: undefined, members: ['b', 'c'], carried: 2, direct: 0, refused: 0,
    })
  })

  it('does so with IPv6', async () => {
    await agent.ask({ act: 'members', members: membersBut('a', true) })
    await until(agent, 'the members', (text) => text.includes(sixes[2]!) && !text.includes(addresses[2]!))
    assert.equal(await manager.dial(1, sixes[1]!, PORT), `b ${sixes[1]}`)
    assert.equal(await manager.dial(2, sixes[2]!, PORT), `c ${sixes[2]}`)
    assert.equal(await manager.say(1, 'one'), 'one')
    assert.equal((await agent.status()).carried, 2)
    assert.equal(await manager.dial(3, addresses[1]!, PORT), `b ${addresses[0]}`, 'the other family goes direct')
  })

  it('touches no other port, and no other host', async () => {
    await agent.ask({ act: 'members', members: membersBut('a').slice(0, 1) })
    await until(agent, 'the member to leave', (text) => !text.includes(addresses[2]!))
    assert.equal(await manager.dial(1, addresses[1]!, 60_051), `b ${addresses[0]}`)
    assert.equal(await manager.dial(2, addresses[2]!, PORT), `c ${addresses[0]}`)
    const { carried, direct } = await agent.status()
    assert.deepEqual([carried, direct], [0, 0])
  })

  it('lets a manager look for a free port', async () => {
    for (const port of [49_152, 49_153, 49_215, 60_000]) {
      assert.equal(await manager.ask({ act: 'bind', host: '::', port }), 'free')
      assert.equal(await manager.ask({ act: 'bind', host: '0.0.0.0', port }), 'free')
    }
  })

  it('carries many connections at once, in the order of their arrival', async () => {
    const dials = Array.from({ length: CHANNELS }, (_, id) => manager.dial(id, addresses[1]!, PORT))
    assert.deepEqual(await Promise.all(dials), Array(CHANNELS).fill(`b ${addresses[1]}`))
    const said = await Promise.all(dials.map((_, id) => manager.say(id, `channel ${id}`)))
    assert.deepEqual(said, dials.map((_, id) => `channel ${id}`))
    assert.equal((await agent.status()).carried, CHANNELS)
  })

  it('goes direct if the member refuses, and does not ask it again for a while', async () => {
    await agent.ask({ act: 'members', relay: 'refuses' })
    assert.equal(await manager.dial(1, addresses[1]!, PORT), `b ${addresses[0]}`)
    assert.equal(await manager.say(1, 'one'), 'one')
    await until(agent, 'the member to be put aside', (text) => !text.includes(addresses[1]!))
    assert.equal(await manager.dial(2, addresses[1]!, PORT), `b ${addresses[0]}`)
    const { carried, direct, members } = await agent.status()
    assert.deepEqual({ carried, direct, members }, { carried: 0, direct: 1, members: ['c'] })
    assert.equal(await manager.ask({ act: 'close', id: 1 }), 'bye')
  })

  it('does not blame a member if nothing listens at the port', async () => {
    await agent.ask({ act: 'members', relay: 'refuses' })
    assert.equal(await manager.dial(1, addresses[1]!, 49_200), 'closed')
    const { direct, members, refused } = await agent.status()
    assert.deepEqual({ direct, members, refused }, { direct: 0, members: ['b', 'c'], refused: 1 })
  })

  it('goes direct once the agent is killed, at once', async () => {
    agent.kill()
    await untilGone()
    assert.equal(await manager.dial(1, addresses[1]!, PORT), `b ${addresses[0]}`)
  })

  it('lets open connections live when the owner of the table dies, and has a table again', async () => {
    await manager.dial(1, addresses[1]!, PORT)
    await until(agent, 'the rule that keeps it', (text) => text.includes('ct state new counter'))
    process.kill(nftOf(agent), 'SIGKILL')
    await untilGone()
    assert.equal(await manager.say(1, 'one'), 'one')
    assert.equal(await manager.dial(2, addresses[1]!, PORT), `b ${addresses[0]}`)
    await active(agent, 2)
    assert.equal(await manager.dial(3, addresses[1]!, PORT), `b ${addresses[1]}`)
    assert.equal(await manager.say(1, 'two'), 'two')
    for (const id of [1, 3]) assert.equal(await manager.ask({ act: 'close', id }), 'bye')
    await until(agent, 'the rule to go', (text) => !text.includes('pagemesh_keep'))
  })

  it('removes the rule that a killed agent left behind', async () => {
    await manager.dial(1, addresses[1]!, PORT)
    await until(agent, 'the rule that keeps it', (text) => text.includes('ct state new counter'))
    agent.kill()
    await untilGone()
    assert.match(await tables(), /pagemesh_keep/)
    agent = new InterceptHost(network.host('a'))
    await agent.ask({ act: 'intercept', ports: PORTS, members: membersBut('a') })
    await active(agent, 2)
    assert.doesNotMatch(await tables(), /pagemesh_keep/)
  })

  it('does not take another agent\'s table, and takes its own back when that agent has gone', async () => {
    const second = new InterceptHost(network.host('a'))
    await second.ask({ act: 'intercept', ports: PORTS, members: membersBut('a') })
    await waitFor(async () => /another agent/.test((await second.status()).why ?? '') || undefined,
      { clock: systemClock, what: 'the reason', timeoutMs: WAIT_MS_MAX, pauseMs: 50 })
    agent.kill()
    await waitFor(async () => (await second.status()).active || undefined,
      { clock: systemClock, what: 'the table', timeoutMs: WAIT_MS_MAX, pauseMs: 50 })
    second.kill()
  })

  it('refuses direct connections to its listeners, which no other host can reach', async () => {
    for (const host of ['127.64.0.1', '::1']) assert.equal(await manager.dial(1, host, 20_000), 'closed')
    assert.equal((await agent.status()).refused, 2)
    const listening = await runCommand([...network.host('a').exec, 'ss', '-tlnH'])
    const places = listening.split('\n').flatMap((line) => line.split(/\s+/)[3] ?? []).sort()
    assert.deepEqual(places, ['127.64.0.1:20000', '[::1]:20000'])
    assert.equal(await others[0]!.dial(1, addresses[0]!, 20_000), 'closed')
  })

  it('reserves its ports for as long as there is a table', async () => {
    const nft = nftOf(agent)
    process.kill(nft, 'SIGSTOP')
    agent.kill()
    await agent.gone
    assert.match(await tables(), /table inet pagemesh \{/)
    assert.equal(await manager.ask({ act: 'bind', host: '127.64.0.1', port: 20_000 }), 'EADDRINUSE')
    assert.equal(await manager.ask({ act: 'bind', host: '::1', port: 20_000 }), 'EADDRINUSE')
    process.kill(nft, 'SIGCONT')
    await untilGone()
    assert.equal(await manager.ask({ act: 'bind', host: '127.64.0.1', port: 20_000 }), 'free')
  })
})
