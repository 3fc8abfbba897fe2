/**
 * docker-compose.yml used as its head describes: three hosts with real guests, and a guest that moves between them. Run
 * by testnet/docker/test.sh, which finds or starts an engine. The guests boot under emulation on a busy machine: the
 * limits are long.
 */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

import type { AgentStatus } from '../../src/index.ts'
import { systemClock } from '../../src/runtime/clock.ts'
import { Progress } from '../../testnet/demo/progress.ts'
import { waitFor } from '../../testnet/index.ts'
import { Prometheus } from '../support/prometheus.ts'

const REPOSITORY = join(import.meta.dirname, '..', '..')
const PROJECT = 'pagemesh-test'
const HOSTS = ['host-a', 'host-b', 'host-c']
/** Whether users without CAP_SYS_PTRACE may have what post-copy needs: the machine's setting. */
const USERFAULTFD = '/proc/sys/vm/unprivileged_userfaultfd'
const PAGEMESH_UID = '900'
const BUILD_MS_MAX = 30 * 60_000
const BOOT_MS_MAX = 20 * 60_000
const COMMAND_MS_MAX = 10 * 60_000
const HEALTHY_EVERY_MS = 2000
const BEATS_MS_MAX = 120_000
const SCRAPED_MS_MAX = 60_000
const LOG_LINES = '40'

interface Outcome {
  status: number | null
  output: string
}

interface Inspected {
  State: { Status: string; Health: { Status: string; Log: { Output: string }[] } }
  HostConfig: {
    Privileged: boolean; ReadonlyRootfs: boolean; CapAdd: string[] | null; CapDrop: string[]; SecurityOpt: string[]
    Devices: unknown[] | null
  }
}

/** Runs a command to its end; its standard output and error are its output. */
async function run(words: readonly string[]): Promise<Outcome> {
  const child = spawn(words[0]!, words.slice(1), {
    cwd: REPOSITORY, env: { ...process.env, COMPOSE_PROJECT_NAME: PROJECT }, stdio: ['ignore', 'pipe', 'pipe'],
  })
  let output = ''
  const take = (bytes: Buffer): void => { output += bytes.toString() }
  child.stdout.on('data', take)
  child.stderr.on('data', take)
  const status = await new Promise<number | null>((resolve, reject) => {
    child.once('error', reject)
    child.once('close', resolve)
  })
  return { status, output }
}

async function succeed(words: readonly string[]): Promise<string> {
  const { status, output } = await run(words)
  assert.equal(status, 0, `${words.join(' ')}: ${output.slice(-4000)}`)
  return output
}

describe('docker-compose.yml', function () {
  this.timeout(COMMAND_MS_MAX)
  // Each step needs the result of the one before.
  this.bail(true)
  /** `docker compose`, or docker-compose if the engine's client has no such command. */
  let compose: string[] = []
  let documented: string[][] = []
  const progress = new Progress({ output: process.stderr, clock: systemClock })

  const onHost = (host: string, ...words: string[]): Promise<string> =>
    succeed([...compose, 'exec', '-T', host, ...words])
  const statusOf = async (host: string): Promise<AgentStatus> =>
    JSON.parse(await onHost(host, 'pagemesh', 'status', '--json')) as AgentStatus
  const lastBeat = async (host: string, guest: string): Promise<number> => {
    const log = await onHost(host, 'cat', `/run/pagemesh/guests/${guest}.serial.log`)
    return Number(log.match(/pagemesh: beat \d+/g)?.at(-1)?.split(' ').at(-1) ?? 0)
  }
  const inspect = async (host: string): Promise<Inspected> => {
    const id = (await succeed([...compose, 'ps', '-q', host])).trim()
    const [inspected] = JSON.parse(await succeed(['docker', 'inspect', id])) as Inspected[]
    return inspected!
  }
  /** Runs a documented command unchanged, but without a terminal. */
  const runDocumented = (words: readonly string[]): Promise<Outcome> =>
    run([...compose, ...words.flatMap((word) => word === 'exec' ? [word, '-T'] : [word])])

  const expectHealthy = async (host: string): Promise<void> => {
    let said = ''
    await waitFor(async () => {
      const { Health, Status } = (await inspect(host)).State
      if (Status === 'exited') throw new Error(`the container of ${host} has ended`)
      said = Health.Log.at(-1)?.Output ?? said
      return Health.Status === 'healthy' ? true : undefined
    }, { clock: systemClock, what: `${host} to be healthy`, timeoutMs: BOOT_MS_MAX, pauseMs: HEALTHY_EVERY_MS })
      .catch(async (error: unknown) => {
        const { output } = await run([...compose, 'logs', '--tail', LOG_LINES])
        throw new Error(`${host} is not healthy: ${said}\n${output}`, { cause: error })
      })
  }
  const expectAllHealthy = (): Promise<void> => progress.step('waiting until all hosts are healthy', async () => {
    for (const host of [...HOSTS, 'prometheus']) await expectHealthy(host)
  })

  /** What the machine had before the post-copy of containers was tried. */
  let userfaultfd: string | undefined
  const downAll = (): Promise<Outcome> => run([...compose, '--profile', 'postcopy', 'down', '--volumes'])

  before(async () => {
    const hasPlugin = (await run(['docker', 'compose', 'version'])).status === 0
    compose = hasPlugin ? ['docker', 'compose'] : ['docker-compose']
    const head = await readFile(join(REPOSITORY, 'docker-compose.yml'), 'utf8')
    documented = [...head.matchAll(/^# +docker compose (.*?)(?: {2,}.*)?$/gm)].map(([, words = '']) => words.split(' '))
    await downAll()
  })

  after(async () => {
    if (userfaultfd !== undefined) await writeFile(USERFAULTFD, userfaultfd)
    if (compose.length > 0) await downAll()
  })

  it('builds its image', async () => {
    await progress.step('building, with existing layers', () => succeed([...compose, 'build']))
  }).timeout(BUILD_MS_MAX)

  it('comes up, and its guests boot', async () => {
    assert.deepEqual(documented[0], ['up', '-d'])
    await succeed([...compose, ...documented[0]])
    await expectAllHealthy()
    for (const host of HOSTS) {
      const { peers, guests } = await statusOf(host)
      assert.deepEqual(peers.map((peer) => peer.host).sort(), HOSTS.filter((other) => other !== host))
      assert.deepEqual(guests.map(({ state }) => state), ['running'])
    }
  }).timeout(BOOT_MS_MAX)

  it('gives its containers no root, no capability and no device but KVM', async () => {
    for (const host of HOSTS) {
      const { HostConfig } = await inspect(host)
      assert.deepEqual([HostConfig.Privileged, HostConfig.ReadonlyRootfs], [false, true])
      assert.deepEqual([HostConfig.CapAdd ?? [], HostConfig.CapDrop, HostConfig.Devices ?? []], [[], ['ALL'], []])
      const said = await onHost(host, 'bash', '-c', 'cat /proc/[0-9]*/status')
      const sets = [...said.matchAll(/^Cap(?:Prm|Eff|Bnd|Amb):\s+(\w+)$/gm)].map(([, set = '']) => set)
      assert.ok(sets.length >= 4 * 3, 'the init, the agent and a QEMU at least')
      assert.deepEqual(sets.filter((set) => /[^0]/.test(set)), [])
      const uids = [...said.matchAll(/^Uid:\s+(\d+)\s/gm)].map(([, uid]) => uid)
      assert.ok(uids.length >= 3 && uids.every((uid) => uid === PAGEMESH_UID), uids.join(', '))
    }
  })

  it('moves a guest by the documented command, and shows the savings', async () => {
    const command = documented.find((words) => words[0] === 'exec' && words[2] === 'migrate')
    assert.ok(command !== undefined)
    const { status, output } = await runDocumented(command)
    console.log(output.replace(/^(?=.)/gm, '      '))
    assert.equal(status, 0, output)
    assert.match(output, /^web moved from host-a to host-b \(precopy\)/m)
    const saved = Number(/: ([\d.]+) % saved$/m.exec(output)?.[1])
    assert.ok(saved > 50, `more than half is saved: ${saved} %`)
    assert.match(output, /^ +verified +the destination wrote what the source read$/m)
    assert.match(output, /^The heartbeat of web goes on/m)
  })

  it('has all guests alive afterwards', async () => {
    const places = { 'host-a': [], 'host-b': ['shop', 'web'], 'host-c': ['spare'] }
    for (const [host, names] of Object.entries(places)) {
      await waitFor(async () => {
        const { guests } = await statusOf(host)
        const running = guests.filter(({ state }) => state === 'running').map(({ name }) => name)
        return guests.length === names.length && running.join() === names.join() ? true : undefined
      }, { clock: systemClock, what: `${host} to have the guests ${names.join()}`, timeoutMs: BEATS_MS_MAX })
      for (const guest of names) {
        const before = await lastBeat(host, guest)
        await waitFor(async () => await lastBeat(host, guest) > before ? true : undefined, {
          clock: systemClock, what: `a heartbeat of ${guest}`, timeoutMs: BEATS_MS_MAX,
        })
      }
    }
  })

  it('answers every query of the dashboard and of the alerts in its Prometheus', async () => {
    const { HostConfig } = await inspect('prometheus')
    assert.deepEqual([HostConfig.Privileged, HostConfig.ReadonlyRootfs, HostConfig.CapDrop], [false, true, ['ALL']])
    const prometheus = new Prometheus('http://127.0.0.1:9090')
    await waitFor(async () => {
      const seen = await Promise.all(['sum(up)', 'sum(pagemesh_guests)', 'sum(pagemesh_handoffs_total)']
        .map((expr) => prometheus.valueOf(expr)))
      return seen[0] === HOSTS.length && seen[1] === HOSTS.length && seen[2]! >= 2 ? true : undefined
    }, { clock: systemClock, what: 'Prometheus to see all hosts and the move', timeoutMs: SCRAPED_MS_MAX })
    const empty = (await prometheus.withoutData()).filter(({ isAlert }) => !isAlert).map(({ where }) => where)
    assert.deepEqual(empty, [])
    assert.equal(await prometheus.valueOf('count(pagemesh_info)'), HOSTS.length)
    const rules = await prometheus.rules()
    assert.ok(rules.length > 5)
    for (const { name, health, state } of rules) assert.deepEqual([health, state === 'firing'], ['ok', false], name)
  })

  it('does not boot a moved guest again when its old host restarts', async () => {
    await succeed([...compose, 'restart', 'host-a'])
    await expectAllHealthy()
    assert.deepEqual((await statusOf('host-a')).guests, [])
  }).timeout(BOOT_MS_MAX)

  it('moves it back with flags, as documented', async () => {
    const command = documented.find((words) => words[0] === 'exec' && words.includes('--mode'))
    assert.ok(command !== undefined)
    const { status, output } = await runDocumented(command)
    assert.equal(status, 0, output)
    assert.match(output, /^web moved from host-b to host-a \(precopy\)/m)
  })

  it('has a status page a host, on this machine alone', async () => {
    for (const [index, host] of HOSTS.entries()) {
      const at = `http://127.0.0.1:${9464 + index}`
      assert.match(await (await fetch(`${at}/host`)).text(), new RegExp(`<h1>${host}</h1>`))
      const cluster = await (await fetch(`${at}/`)).text()
      for (const name of HOSTS) assert.match(cluster, new RegExp(`<th [^>]*>${name}</th>`))
    }
  })

  it('refuses a guest that cannot be moved, and leaves it where it is', async () => {
    const unknown = await run([...compose, 'exec', '-T', 'host-a', 'migrate', 'nobody', 'host-b'])
    assert.notEqual(unknown.status, 0)
    assert.match(unknown.output, /no guest is called nobody here; there is web/)
    const nowhere = await run([...compose, 'exec', '-T', 'host-a', 'migrate', 'web', 'host-z'])
    assert.notEqual(nowhere.status, 0)
    assert.match(nowhere.output, /No host answers by the name host-z/)
    assert.deepEqual((await statusOf('host-a')).guests.map(({ name, state }) => [name, state]), [['web', 'running']])
  })

  describe('with its profile of post-copy', () => {
    const POSTCOPY_HOSTS = ['host-d', 'host-e']
    const documentedOf = (word: string): string[] => documented.find((words) =>
      words[0] === '--profile' && words[1] === 'postcopy' && words[2] === word)!

    before(async () => {
      userfaultfd = await readFile(USERFAULTFD, 'utf8')
      // The others are not needed any more, and memory is.
      await succeed([...compose, 'stop'])
      process.env['COMPOSE_PROFILES'] = 'postcopy'
    })

    after(() => { delete process.env['COMPOSE_PROFILES'] })

    it('comes up beside what ran, and its guests boot', async () => {
      await writeFile(USERFAULTFD, '1')
      await succeed([...compose, ...documentedOf('up')])
      await progress.step('waiting until both hosts are healthy', async () => {
        for (const host of POSTCOPY_HOSTS) await expectHealthy(host)
      })
    }).timeout(BOOT_MS_MAX)

    it('gives its containers no root, no capability, and one system call more than Docker', async () => {
      for (const host of POSTCOPY_HOSTS) {
        const { HostConfig } = await inspect(host)
        assert.deepEqual([HostConfig.Privileged, HostConfig.ReadonlyRootfs], [false, true])
        assert.deepEqual([HostConfig.CapAdd ?? [], HostConfig.CapDrop, HostConfig.Devices ?? []], [[], ['ALL'], []])
        assert.ok(HostConfig.SecurityOpt.some((option) => /^seccomp[=:].*userfaultfd/s.test(option)))
        const said = await onHost(host, 'bash', '-c', 'cat /proc/1/status')
        assert.match(said, /^Seccomp:\s+2$/m)
        // What Docker's own filter refuses is refused here, too.
        assert.notEqual((await run([...compose, 'exec', '-T', host, 'unshare', '--user', 'true'])).status, 0)
      }
    })

    it('moves a guest in post-copy by the documented command', async () => {
      const { status, output } = await runDocumented(documentedOf('exec'))
      console.log(output.replace(/^(?=.)/gm, '      '))
      assert.equal(status, 0, output)
      assert.match(output, /^app moved from host-d to host-e \(postcopy\)/m)
      assert.match(output, /^The heartbeat of app goes on/m)
    })

    it('refuses post-copy where the machine does not allow it, and leaves the guest where it is', async () => {
      await writeFile(USERFAULTFD, '0')
      const { status, output } = await run([
        ...compose, 'exec', '-T', 'host-e', 'migrate', 'app', 'host-d', '--mode', 'postcopy',
      ])
      assert.notEqual(status, 0)
      assert.match(output, /vm\.unprivileged_userfaultfd=1/)
      const { guests } = await statusOf('host-e')
      assert.deepEqual(guests.map(({ name, state }) => `${name} ${state}`).sort(), ['app running', 'other running'])
    })
  })
})
