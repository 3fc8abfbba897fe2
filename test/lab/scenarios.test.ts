import assert from 'node:assert/strict'
import { spawn, type ChildProcess } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { systemClock } from '../../src/runtime/clock.ts'
import { ensureImage, waitFor } from '../../testnet/index.ts'
import { skipWithoutLab } from '../support/labmove.ts'

const LAB = join(import.meta.dirname, '..', '..', 'testnet', 'lab.ts')
const SETUP_TIMEOUT_MS = 600_000
const TEST_TIMEOUT_MS = 300_000
const END_TIMEOUT_MS = 60_000
const NAMESPACES = '/run/netns'

/** A lab in its own process, and its output. */
interface Run {
  pid: number
  child: ChildProcess
  output: string
  errors: string
  /** Resolves to its exit status; -1 if it was killed. */
  ended: Promise<number>
}

describe('npm run lab', function () {
  this.timeout(TEST_TIMEOUT_MS)
  const directory = mkdtempSync(join(tmpdir(), 'pm-scenarios-'))
  const runs: Run[] = []

  before(async function () {
    await skipWithoutLab.call(this)
    this.timeout(SETUP_TIMEOUT_MS)
    await ensureImage()
  })

  after(() => {
    for (const { child } of runs) child.kill('SIGKILL')
    rmSync(directory, { recursive: true, force: true })
  })

  function start(...words: string[]): Run {
    const child = spawn(process.execPath, [LAB, ...words], { stdio: ['ignore', 'pipe', 'pipe'] })
    const run: Run = {
      pid: child.pid!, child, output: '', errors: '',
      ended: new Promise((resolve) => { child.once('close', (status) => resolve(status ?? -1)) }),
    }
    child.stdout.on('data', (bytes: Buffer) => { run.output += bytes.toString() })
    child.stderr.on('data', (bytes: Buffer) => { run.errors += bytes.toString() })
    runs.push(run)
    return run
  }

  async function untilSaid(run: Run, words: string): Promise<void> {
    await waitFor(() => run.errors.includes(words) ? true : undefined, {
      clock: systemClock, what: `the lab to say "${words}"`, timeoutMs: TEST_TIMEOUT_MS,
    })
  }

  it('lists its scenarios, and refuses one that is not among them', async () => {
    const list = start()
    assert.equal(await list.ended, 0)
    assert.match(list.output, /^ {2}rolling-maintenance +Three hosts are emptied/m)
    const unknown = start('rolling-stones')
    assert.equal(await unknown.ended, 2)
    assert.match(unknown.errors, /no scenario named rolling-stones/)
  })

  it('runs a scenario and judges it: two guests pass each other', async () => {
    const jsonPath = join(directory, 'outcome.json')
    const run = start('opposite-handoffs', '--json', jsonPath)
    assert.equal(await run.ended, 0, run.errors + run.output)
    const [outcome] = JSON.parse(readFileSync(jsonPath, 'utf8')) as [{
      passed: boolean
      verdicts: { faults: string[] }[]
      record: { moves: { comparison: { differences: string[] } }[] }
    }]
    assert.ok(outcome.passed && outcome.verdicts.length >= 8)
    assert.deepEqual(outcome.record.moves.map(({ comparison }) => comparison.differences), [[], []])
    await untilGone(run.pid)
  })

  it('leaves nothing behind after Ctrl-C, and removes the leftovers of a killed run at the next start', async () => {
    const killed = start('cancelled')
    // Its guests come last: by then it has everything that it could leave behind.
    await waitFor(() => leftovers(killed.pid).some((what) => /^process .*qemu-system/.test(what)) ? true : undefined, {
      clock: systemClock, what: 'the lab to have a guest', timeoutMs: TEST_TIMEOUT_MS,
    })
    killed.child.kill('SIGKILL')
    assert.equal(await killed.ended, -1)
    assert.ok(leftovers(killed.pid).some((what) => !what.startsWith('process')), 'a lab was there')
    const interrupted = start('cancelled')
    await untilSaid(interrupted, 'has sent 20 MB of one')
    await untilGone(killed.pid)
    assert.ok(leftovers(interrupted.pid).length > 0)
    interrupted.child.kill('SIGINT')
    assert.equal(await interrupted.ended, 130, interrupted.errors)
    assert.deepEqual(leftovers(interrupted.pid), [])
  })
})

/**
 * Leftovers of that process' lab on this machine: namespaces, directories, and processes with either in their
 * arguments.
 */
function leftovers(pid: number): string[] {
  const prefix = `pm-${pid}-`
  const processes = readdirSync('/proc').filter((name) => /^\d+$/.test(name) && commandLine(name).includes(prefix))
  return [
    ...readdirSync(NAMESPACES).filter((name) => name.startsWith(prefix)),
    ...readdirSync(tmpdir()).filter((name) => name.startsWith(prefix)),
    ...processes.map((name) => `process ${name}: ${commandLine(name)}`),
  ]
}

async function untilGone(pid: number): Promise<void> {
  await waitFor(() => leftovers(pid).length === 0 ? true : undefined, {
    clock: systemClock, what: `what the lab ${pid} left behind to go`, timeoutMs: END_TIMEOUT_MS,
  })
}

function commandLine(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'latin1').replaceAll('\0', ' ')
  } catch {
    // It has ended meanwhile.
    return ''
  }
}
