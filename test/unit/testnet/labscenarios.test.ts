import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import type { AgentStatus } from '../../../src/index.ts'
import { parseRequest } from '../../../testnet/lab/arguments.ts'
import { assertionsOf } from '../../../testnet/lab/assertions/judge.ts'
import { checkScenario, flatten } from '../../../testnet/lab/check.ts'
import { agreementOf, holds } from '../../../testnet/lab/conditions.ts'
import { deleteOrphanedDirectories } from '../../../testnet/lab/leftovers.ts'
import { lastLines } from '../../../testnet/lab/logs.ts'
import { renderList, renderRun, renderSummary } from '../../../testnet/lab/report.ts'
import type { Condition, Scenario } from '../../../testnet/lab/scenario.ts'
import { SCENARIOS } from '../../../testnet/lab/scenarios/all.ts'
import { goodMove, goodRecord } from './labrecords.ts'

const SMALLEST: Scenario = {
  name: 'smallest', title: 'Nothing happens', hosts: [{ name: 'a' }],
  guests: [{ name: 'one', host: 'a', work: 'idle' }], steps: [], expect: [],
}

describe('the lab\'s scenarios', () => {
  it('are data, and speak only of what they have', () => {
    for (const scenario of SCENARIOS) {
      checkScenario(scenario)
      assert.deepEqual(JSON.parse(JSON.stringify(scenario)), scenario, scenario.name)
      assert.ok(scenario.title.length <= 130 && !scenario.title.endsWith('.'), scenario.name)
    }
    assert.equal(new Set(SCENARIOS.map(({ name }) => name)).size, SCENARIOS.length)
  })

  it('are ten and more, and each moves a guest', () => {
    assert.ok(SCENARIOS.length >= 10)
    for (const { name, steps } of SCENARIOS) {
      assert.ok(flatten(steps).some((step) => step.do === 'migrate' || step.do === 'evacuate'), name)
    }
  })

  it('between them have every kind of step, of guest and of expectation', () => {
    const steps = new Set(SCENARIOS.flatMap((scenario) => flatten(scenario.steps).map((step) => step.do)))
    for (const kind of ['cut', 'restore', 'crash', 'kill-agent', 'stop-agent', 'cancel', 'prepare', 'boot'] as const) {
      assert.ok(steps.has(kind), kind)
    }
    const guests = SCENARIOS.flatMap((scenario) => scenario.guests)
    for (const work of ['idle', 'web', 'database', 'compile', 'random', 'dirty']) {
      assert.ok(guests.some((guest) => guest.work === work), work)
    }
    const sizes = guests.map(({ memoryMiB }) => memoryMiB ?? 512)
    assert.deepEqual([Math.min(...sizes), Math.max(...sizes)], [128, 2048])
    assert.ok(guests.some(({ system }) => system === 'busybox') && guests.some(({ system }) => system === 'debian'))
  })

  it('are judged by what holds of every run, and by what they expect', () => {
    const always = assertionsOf({ expect: [] }).length
    for (const { expect } of SCENARIOS) {
      const names = assertionsOf({ expect }).map(({ name }) => name)
      assert.equal(new Set(names).size, always + expect.length)
    }
  })

  const faults: Record<string, Partial<Scenario>> = {
    'a host that it has not': { steps: [{ do: 'crash', host: 'b' }] },
    'a guest that it has not': {
      steps: [{ do: 'together', tracks: [[{ do: 'migrate', guest: 'two', to: 'a' }]] }],
    },
    'a guest that it has not, to be waited for': {
      steps: [{ do: 'until', host: 'a', sees: { is: 'moving', guest: 'two' } }],
    },
    'a guest on a host that it has not': { guests: [{ name: 'one', host: 'b', work: 'idle' }] },
    'two hosts of one name': { hosts: [{ name: 'a' }, { name: 'a' }] },
    'a rate that is none': { steps: [{ do: 'shape', host: 'a', rate: 'fast' }] },
    'a name that is no word of a command line': { name: 'Two Words' },
  }
  for (const [title, fault] of Object.entries(faults)) {
    it(`are refused with ${title}`, () => {
      checkScenario(SMALLEST)
      assert.throws(() => checkScenario({ ...SMALLEST, ...fault }), { code: 'lab-bad-scenario' })
    })
  }
})

describe('what the lab waits for', () => {
  const status = {
    peers: [{}, {}], store: { pages: 10 }, popularity: { pages: 20 }, traffic: { swap: { receivedBytes: 3e6 } },
    handoffs: [
      { driver: 'qmp', direction: 'outgoing', guest: 'one', phase: 'precopy', qemuBytes: 5e6 },
      { driver: 'qmp', direction: 'incoming', guest: 'two', phase: 'precopy', qemuBytes: 5e6 },
      { driver: 'qmp', direction: 'outgoing', guest: 'three', phase: 'preparing', qemuBytes: 0 },
    ],
  } as unknown as AgentStatus

  const conditions: [Condition, boolean][] = [
    [{ is: 'moving', guest: 'one' }, true], [{ is: 'moving', guest: 'one', megabytes: 5 }, true],
    [{ is: 'moving', guest: 'one', megabytes: 6 }, false], [{ is: 'moving', guest: 'two' }, false],
    [{ is: 'moving', guest: 'three' }, false],
    [{ is: 'swapping', megabytes: 3 }, true], [{ is: 'swapping', megabytes: 4 }, false],
    [{ is: 'keeping', pages: 10 }, true], [{ is: 'keeping', pages: 11 }, false],
    [{ is: 'knowing', pages: 20 }, true], [{ is: 'knowing', pages: 21 }, false],
    [{ is: 'joined', peers: 2 }, true], [{ is: 'joined', peers: 1 }, false],
  ]
  for (const [condition, expected] of conditions) {
    it(`${JSON.stringify(condition)}: ${expected ? 'is there' : 'is not there'}`, () => {
      assert.equal(holds(condition, status), expected)
    })
  }

  it('views agree as far as the worst two do', () => {
    const [all, some, none] = [new Set(['1', '2', '3', '4']), new Set(['1', '2', '3']), new Set<string>()]
    assert.equal(agreementOf([all, all]), 1)
    assert.equal(agreementOf([all, all, some]), 0.75)
    assert.equal(agreementOf([all, none]), 0)
    assert.equal(agreementOf([none, none]), 0)
  })
})

describe('the lab\'s command line', () => {
  const parse = (...words: string[]): unknown => parseRequest(words, SCENARIOS)

  it('lists, helps, and runs what is named', () => {
    assert.deepEqual(parse(), { kind: 'list' })
    assert.deepEqual(parse('--help', 'nonsense'), { kind: 'help' })
    const [first, second] = SCENARIOS
    assert.deepEqual(parse(second!.name, first!.name), { kind: 'run', scenarios: [second, first] })
    assert.deepEqual(parse('--all', '--json', 'x.json', '--keep-log', 'logs'), {
      kind: 'run', scenarios: SCENARIOS, jsonPath: 'x.json', logDirectory: 'logs',
    })
  })

  it('refuses what it does not know', () => {
    for (const words of [['nowhere'], ['--some'], ['--json'], ['--all', SCENARIOS[0]!.name]]) {
      assert.throws(() => parse(...words), { code: 'lab-bad-usage' }, words.join(' '))
    }
    assert.throws(() => parse('nowhere'), /no scenario named nowhere; there are .*chain-of-ten/)
  })
})

describe('the lab\'s report', () => {
  const outcome = { scenario: 'good', passed: false, record: goodRecord(), logs: [] }

  it('shows each migration and each assertion, with what was wrong', () => {
    const failed = { ...goodMove(), exitStatus: 2 }
    delete failed.result
    delete failed.comparison
    const text = renderRun({
      ...outcome, record: { ...goodRecord(), moves: [goodMove(), failed] },
      verdicts: [{ assertion: 'all is well', faults: [] }, { assertion: 'none is lost', faults: ['one is'] }],
    })
    assert.match(text, /one +│ a->b +│ pre-copy +│ completed +│ 2\.0 s +│ 100\.0 MB +│ 20\.0 MB +│ 0\.200 +│ equal/)
    assert.match(text, /one +│ a->b +│ pre-copy +│ status 2 +│/)
    assert.match(text, /yes +│ all is well/)
    assert.match(text, /NO +│ none is lost +│\n│ +│ +one is/)
    assert.ok(!text.includes('\u001B'))
  })

  it('says why a run broke off', () => {
    assert.match(renderRun({ ...outcome, verdicts: [], error: 'no link' }), /The run broke off: no link$/)
  })

  it('sums up, a line each', () => {
    const text = renderSummary([
      { ...outcome, passed: true, verdicts: [] },
      { ...outcome, scenario: 'bad', verdicts: [{ assertion: 'none is lost', faults: ['one is'] }] },
    ])
    assert.match(text, /good +│ passed +│ 12\.3 s +│ 1 +│/)
    assert.match(text, /bad +│ FAILED +│ 12\.3 s +│ 1 +│ not so: none is lost/)
  })

  it('lists scenarios by name', () => {
    assert.match(renderList(SCENARIOS), /^ {2}chain-of-ten +One guest moves ten times/m)
  })

  it('shows the end of the logs', () => {
    const log = Array.from({ length: 40 }, (_, line) => `line ${line} ${'.'.repeat(1000)}`).join('\n')
    const shown = lastLines([{ host: 'a', log }]).split('\n')
    assert.equal(shown[0], 'agent of a:')
    assert.ok(shown.at(-1)!.startsWith('  line 39 ') && shown.length < 20 && shown[1]!.length < 500)
  })
})

describe('directories of labs that died', () => {
  it('go, and those of labs that live stay', () => {
    const parent = mkdtempSync(join(tmpdir(), 'pm-leftovers-'))
    try {
      const { pid: deadPid } = spawnSync('true')
      const names = [`pm-${deadPid}-abc`, `pm-${process.pid}-abc`, 'pm-probe-abc', `other-${deadPid}-abc`]
      for (const name of names) mkdirSync(join(parent, name, 'a'), { recursive: true })
      assert.deepEqual(deleteOrphanedDirectories(parent), [join(parent, names[0]!)])
      assert.deepEqual(readdirSync(parent).sort(), names.slice(1).sort())
    } finally {
      rmSync(parent, { recursive: true })
    }
  })
})
