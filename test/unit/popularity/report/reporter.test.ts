import assert from 'node:assert/strict'

import { MemoryNetwork, StreamTraffic, type MessageStream } from '../../../../src/mesh/index.ts'
import {
  decodeReportFrame, encodeAnswer, REPORT_PROTOCOL, type Answer, type ReportFrame,
} from '../../../../src/popularity/report/reportcodec.ts'
import { Reporter } from '../../../../src/popularity/report/reporter.ts'
import { ReportGroups } from '../../../../src/popularity/report/reportgroups.ts'
import { Snapshot } from '../../../../src/popularity/report/snapshot.ts'
import { silentLog } from '../../../../src/runtime/log.ts'
import { VirtualClock } from '../../../support/time.ts'
import { HeldList, listOf, membersNamed, ownersOf, type ReportedGroup } from '../made.ts'

const signal = new AbortController().signal
const RETRY_MS = 30_000

/** An origin and an owner that answers as it is told; with two hosts each owns all. */
async function started() {
  const clock = new VirtualClock()
  const network = new MemoryNetwork({ clock })
  const [mesh, other] = [network.createMesh('origin'), network.createMesh('owner')]
  await mesh.start()
  await other.start()
  const owners = ownersOf(['origin', 'owner'])
  const snapshot = new Snapshot()
  const reporter = new Reporter({ mesh, clock, log: silentLog, owners, snapshot, traffic: new StreamTraffic() },
    { incarnation: 9, retryMs: RETRY_MS })
  const heard: (ReportFrame & { groups: ReportedGroup[] })[] = []
  const answers: (Answer | 'silence')[] = []
  other.handle(REPORT_PROTOCOL, async (stream: MessageStream) => {
    let answer: Answer | 'silence' = 'need-whole'
    while (answer === 'need-whole') {
      const groups = new ReportGroups()
      let frame: ReportFrame
      do frame = decodeReportFrame(await stream.receive(signal), groups) as ReportFrame
      while (!frame.isLast)
      // Slices without a page say nothing in a whole report.
      heard.push({ ...frame, groups: listOf(groups).filter(({ pages, isWhole }) => !isWhole || pages.length > 0) })
      answer = answers.shift() ?? 'accepted'
      if (answer === 'silence') throw new Error('no answer')
      await stream.send(encodeAnswer(answer), signal)
    }
  })
  const held = new HeldList()
  const change = async (...pages: [slice: number, rest: number, guests: number][]): Promise<void> => {
    for (const page of pages) held.set(...page)
    await snapshot.refresh(held, signal)
  }
  const round = async (): Promise<typeof heard> => {
    await clock.complete(reporter.round(signal), 1000)
    return heard.splice(0)
  }
  return { clock, owners, reporter, answers, change, round }
}

/** As many changes as are worth a report. */
const many = (slice: number, from: number): [slice: number, rest: number, guests: number][] =>
  Array.from({ length: 12 }, (_, index) => [slice, from + index, 1])

describe('an origin', () => {
  it('tells an owner all of it once, and then what changed alone', async () => {
    const { change, round } = await started()
    await change([3, 7, 1], [9, 1, 2])
    const [first] = await round()
    assert.deepEqual([first!.incarnation, first!.number, first!.base], [9, 2, 0])
    assert.deepEqual(first!.groups,
      [{ slice: 3, isWhole: true, pages: [[7, 1]] }, { slice: 9, isWhole: true, pages: [[1, 2]] }])
    assert.deepEqual(await round(), [], 'nothing changed')
    await change([3, 7, 0], ...many(5, 100))
    const [second] = await round()
    assert.deepEqual([second!.number, second!.base], [3, 2])
    assert.deepEqual(second!.groups.map(({ slice, isWhole, pages }) => [slice, isWhole, pages.length]),
      [[3, false, 1], [5, false, 12]])
    assert.deepEqual(second!.groups[0]!.pages, [[7, 0]])
  })

  it('keeps silent while nothing is stable yet, but not for long, and then tells all at once', async () => {
    for (const isLate of [false, true]) {
      const { change, round, clock } = await started()
      assert.deepEqual(await round(), [])
      await clock.run(clock.now() + 3 * RETRY_MS)
      assert.deepEqual(await round(), [])
      if (!isLate) await change([3, 7, 1])
      else await clock.run(clock.now() + RETRY_MS)
      const [report] = await round()
      assert.deepEqual([report!.base, report!.groups.length], [0, isLate ? 0 : 1])
      assert.deepEqual(await round(), [], 'nothing changed')
    }
  })

  it('lets a few changes wait for more, but not for long', async () => {
    const { change, round, clock } = await started()
    await change([3, 7, 1])
    await round()
    for (let rest = 8; rest < 11; rest++) {
      await change([3, rest, 1])
      assert.deepEqual(await round(), [])
      await clock.run(clock.now() + RETRY_MS)
    }
    assert.deepEqual(await round(), [], 'nothing new, and not long enough')
    await clock.run(clock.now() + RETRY_MS)
    const [report] = await round()
    assert.deepEqual(report!.groups, [{ slice: 3, isWhole: false, pages: [[8, 1], [9, 1], [10, 1]] }])
    await change([3, 8, 0])
    assert.deepEqual(await round(), [], 'the next ones wait anew')
  })

  it('tells again what may not have arrived, against what is known to have', async () => {
    const { change, round, answers } = await started()
    await change([3, 7, 1])
    await round()
    await change(...many(5, 100))
    answers.push('silence')
    assert.equal((await round()).length, 1)
    await change(...many(5, 200))
    const [again] = await round()
    assert.deepEqual([again!.base, again!.number, again!.groups[0]!.pages.length], [2, 4, 24])
  })

  it('tells the whole on the same stream when the owner needs it', async () => {
    const { change, round, answers } = await started()
    await change([3, 7, 1])
    await round()
    await change(...many(5, 100))
    answers.push('need-whole')
    const [changes, whole] = await round()
    assert.deepEqual([changes!.base, whole!.base], [2, 0])
    assert.deepEqual(whole!.groups.map(({ slice, isWhole }) => [slice, isWhole]), [[3, true], [5, true]])
    assert.deepEqual(await round(), [])
  })

  it('tells the whole to an owner that asks, but not to one that asks all the time', async () => {
    const { change, round, reporter, clock } = await started()
    await change([3, 7, 1])
    await round()
    reporter.asked('owner')
    assert.deepEqual((await round()).map(({ base }) => base), [0])
    for (let times = 0; times < 5; times++) {
      reporter.asked('owner')
      assert.deepEqual(await round(), [])
    }
    await clock.run(clock.now() + RETRY_MS)
    reporter.asked('owner')
    assert.equal((await round()).length, 1)
  })

  it('tells the whole to an owner that left and came back', async () => {
    const { change, round, reporter, owners } = await started()
    await change([3, 7, 1])
    await round()
    for (const left of owners.update(membersNamed(['origin']))) reporter.forget(left)
    assert.deepEqual(await round(), [])
    owners.update(membersNamed(['origin', 'owner']))
    reporter.ownersChanged()
    assert.deepEqual((await round()).map(({ base }) => base), [0])
  })

  it('leaves an owner that does not take its report alone for a while', async () => {
    const { change, round, answers, clock } = await started()
    await change([3, 7, 1])
    for (const [answer, retries] of [['full', 10], ['not-owner', 1], ['refused', 1]] as const) {
      answers.push(answer)
      assert.equal((await round()).length, 1)
      await clock.run(clock.now() + RETRY_MS * retries - 2_000)
      assert.deepEqual(await round(), [])
      await clock.run(clock.now() + 2_000)
    }
    assert.equal((await round()).length, 1)
  })

  it('sends a large report in many frames, and all that changes in its slices afterwards', async () => {
    const { change, round } = await started()
    const pages = Array.from({ length: 40_000 }, (_, index): [number, number, number] =>
      [index % 4000, index * 2 ** 20, 1])
    await change(...pages)
    const [report] = await round()
    assert.equal(report!.groups.reduce((sum, group) => sum + group.pages.length, 0), 40_000)
    assert.ok(report!.groups.every(({ isWhole }) => isWhole))
  })
})
