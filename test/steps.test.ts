import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'

const STEPS = join(import.meta.dirname, 'steps.sh')
const PASSES = 'echo "10 passed, 0 failed, 1 skipped"'
const FAILS = 'echo "  1 failing"; echo "  boom"; echo "3 passed, 1 failed, 2 skipped"; exit 1'
const BREAKS = 'echo "2 passed, 0 failed, 0 skipped"; echo broken; exit 3'

function run(...commands: string[]): { status: number | null; lines: string[] } {
  const { status, stdout } = spawnSync(STEPS, commands, { encoding: 'utf8' })
  return { status, lines: stdout.trimEnd().split('\n') }
}

describe('steps of tests', () => {
  it('go on after one that failed, say what failed, and sum up', () => {
    const { status, lines } = run(FAILS, PASSES)
    assert.equal(status, 1)
    assert.equal(lines.at(-1), '13 passed, 1 failed, 3 skipped')
    const told = lines.slice(lines.indexOf(`failed: ${FAILS}`))
    assert.deepEqual(told.slice(1, 4), ['  1 failing', '  boom', '  3 passed, 1 failed, 2 skipped'])
    assert.ok(!lines.includes(`failed: ${PASSES}`))
  })

  it('have one closing line, also where a step has steps of its own', () => {
    const { status, lines } = run(`${STEPS} '${PASSES}' '${PASSES}'`, PASSES)
    assert.deepEqual([status, lines.at(-1)], [0, '30 passed, 0 failed, 3 skipped'])
    assert.equal(lines.filter((line) => /^\d+ passed/.test(line)).length, 1)
    // What a step of a step says of its failure is not counted again.
    const failing = run(`${STEPS} '${FAILS}' '${PASSES}'`, PASSES)
    assert.deepEqual([failing.status, failing.lines.at(-1)], [1, '23 passed, 1 failed, 4 skipped'])
  })

  it('count one that fails and counts no failure, and show its end', () => {
    const { status, lines } = run(BREAKS)
    assert.deepEqual([status, lines.at(-1)], [1, '2 passed, 1 failed, 0 skipped'])
    assert.ok(lines.slice(lines.indexOf(`failed: ${BREAKS}`)).includes('broken'))
  })

  it('each say how long they took, once more at the end', () => {
    const { lines } = run(PASSES, FAILS)
    assert.deepEqual(lines.slice(-3, -1).map((line) => line.replace(/^\d+/, 'N')), [`N s: ${PASSES}`, `N s: ${FAILS}`])
  })
})
