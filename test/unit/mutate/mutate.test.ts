import assert from 'node:assert/strict'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

import { testsFor, type KnownTest } from '../../mutate/coverage.ts'
import { faultAt, withFault, type Fault } from '../../mutate/fault.ts'
import { HAND_MADE_FAULTS } from '../../mutate/faults.ts'
import { explanationOf, judge, type TriedFault } from '../../mutate/judge.ts'
import { tryFaults } from '../../mutate/run.ts'
import { generateFaults, placeFault, ROOT } from '../../mutate/sources.ts'
import { EXPLAINED_SURVIVORS } from '../../mutate/survivors.ts'

const signal = new AbortController().signal

describe('faults that are put into the source', () => {
  it('made by hand find their one place, and the tests that must notice them', () => {
    for (const fault of HAND_MADE_FAULTS) {
      assert.notEqual(placeFault(fault).before, placeFault(fault).after, fault.why)
      assert.ok(existsSync(join(ROOT, fault.noticedBy)), fault.noticedBy)
    }
    const { file } = HAND_MADE_FAULTS[0]!
    const about = { replace: '', why: 'for this test', noticedBy: '' }
    assert.throws(() => placeFault({ file, find: 'no such words', ...about }), /does not contain/)
    assert.throws(() => placeFault({ file, find: 'e', ...about }), /more than once/)
  })

  it('are explained only where they can still be made', () => {
    for (const { file, line } of EXPLAINED_SURVIVORS) {
      const lines = readFileSync(join(ROOT, file), 'utf8')
      assert.ok(lines.includes(line), `${file} has no line with: ${line}`)
    }
  })

  it('are made out of the syntax, and left alone are types, messages, logs and assertions', () => {
    const faults = generateFaults(['page'])
    const of = (file: string, kind: string): string[] =>
      faults.filter((fault) => fault.file === `src/page/${file}.ts` && fault.kind === kind).map(({ after }) => after)
    assert.deepEqual(of('zero', 'condition'), ['if (true) return false', 'if (false) return false'])
    assert.ok(of('rising', 'operator').includes('if (value > limit) return \'a prefix is out of bounds\''))
    assert.ok(of('source', 'await').includes('void source.fill(batch, signal)'))
    assert.ok(of('packing', 'name').every((line) => line.includes('\'changed\'')))
    assert.ok(faults.every(({ before }) => !before.startsWith('assert(') && !before.startsWith('import ')))
    assert.ok(faults.every(({ before, after }) => before !== after))
  })

  it('change the text in one place, and say how its lines look then', () => {
    const text = 'one\n  if (a &&\n    b) c()\nlast\n'
    const start = text.indexOf('a &&')
    const fault = faultAt({ file: 'x.ts', text }, { start, end: text.indexOf(') c'), replacement: 'true', kind: 'k' })
    assert.deepEqual([fault.line, fault.before, fault.after], [2, 'if (a && b) c()', 'if (true) c()'])
    assert.equal(withFault(text, fault), 'one\n  if (true) c()\nlast\n')
  })

  it('are tried with the tests that run their code, the fastest first', () => {
    const fault = { file: 'src/a/b.ts', start: 50, end: 55 } as Fault
    type Ran = KnownTest['ran']
    const test = (title: string, durationMs: number, ran: Ran, outside: Ran = []): KnownTest =>
      ({ file: 't.ts', title, durationMs, startMs: 0, ran, outside })
    const around = { file: 'src/a/b.ts', start: 0, end: 100, isRun: true }
    const tests = [
      test('slow', 9, [around]), test('fast', 1, [around]), test('elsewhere', 1, [{ ...around, file: 'src/a/c.ts' }]),
      test('not inside', 1, [around, { ...around, start: 40, end: 60, isRun: false }]),
      test('by loading', 5, [], [around]), test('before it', 1, [{ ...around, end: 50 }]),
    ]
    assert.deepEqual(testsFor(fault, tests).map(({ title }) => title), ['fast', 'by loading', 'slow'])
    // Right of an operator nothing ran: the left decided, as it would not with another one.
    const left = [around, { ...around, start: fault.start, end: 60, isRun: false }]
    assert.deepEqual(testsFor(fault, [test('left', 1, left)]), [])
    assert.equal(testsFor({ ...fault, kind: 'operator' }, [test('left', 1, left)]).length, 1)
  })

  it('are judged by folder, by the share that was killed and by what is explained', () => {
    const tried = (folder: string, fate: TriedFault['fate'], why?: string): TriedFault =>
      ({ fault: { file: `src/${folder}/x.ts` } as Fault, fate, ...(why === undefined ? {} : { why }) })
    const twenty = Array.from({ length: 17 }, () => tried('page', 'killed'))
    const good = judge([...twenty, tried('page', 'survived', 'y'), tried('page', 'survived', 'y')], ['page'])
    assert.deepEqual(good.complaints, [])
    const few = judge([tried('page', 'killed'), tried('page', 'survived', 'y')], ['page'])
    assert.deepEqual(few.complaints, ['page: 50.0 % killed, 85.0 % are demanded'])
    assert.deepEqual(judge([tried('page', 'killed'), tried('page', 'survived', 'y')], []).complaints, [])
    assert.equal(judge([tried('page', 'timed-out'), tried('mesh', 'survived')], ['page']).complaints.length, 1)
    const fault = { file: 'src/page/x.ts', before: 'a < b', after: 'a <= b' } as Fault
    const explained = { file: 'src/page/x.ts', line: 'a < b', why: 'because' }
    assert.equal(explanationOf(fault, [explained]), 'because')
    assert.equal(explanationOf(fault, [{ ...explained, after: ['a > b'] }]), undefined)
    assert.equal(explanationOf(fault, [{ ...explained, file: 'src/page/y.ts' }]), undefined)
  })

  it('end in a failed test, or do not', async () => {
    const digest = HAND_MADE_FAULTS.find(({ file }) => file === 'src/page/digest.ts')!
    const harmless = { ...digest, find: 'after(previous, ...parts) {', replace: 'after(previous, ...parts) { ' }
    const faults = [digest, harmless].map(placeFault)
    const tried = await tryFaults({ faults, seed: 1, workers: 1, signal, say: () => {} })
    assert.deepEqual(tried.map(({ fate }) => fate), ['killed', 'survived'])
    assert.match(tried[0]!.failure!, /^the digest of a stream /)
  }).timeout(60_000)
})
