import assert from 'node:assert/strict'
import { EventEmitter } from 'node:events'
import type { ServerResponse } from 'node:http'

import { html } from '../../../src/daemon/page/html.ts'
import { LiveSections } from '../../../src/daemon/page/live.ts'
import type { Section } from '../../../src/daemon/page/sections.ts'
import { silentLog } from '../../../src/runtime/log.ts'
import { VirtualClock } from '../../support/time.ts'

/** A browser that reads, or does not, as the test says. */
class Browser extends EventEmitter {
  readonly written: string[] = []
  writableNeedDrain = false
  destroyed = false

  write(text: string): boolean {
    this.written.push(text)
    return !this.writableNeedDrain
  }

  end(): void {
    this.destroyed = true
    this.emit('close')
  }

  /** The texts of a section, in the order in which they came. */
  textsOf(id: string): string[] {
    return this.written.flatMap((text) => /^event: section\ndata: (.*)\n\n$/.exec(text)?.[1] ?? [])
      .map((data) => JSON.parse(data) as { id: string; text: string })
      .filter((section) => section.id === id).map(({ text }) => text)
  }

  get response(): ServerResponse {
    return this as unknown as ServerResponse
  }
}

describe('what browsers are sent', () => {
  let clock: VirtualClock
  let live: LiveSections
  let drawn: number
  let moves: string
  let draw: () => Promise<Section[]>

  beforeEach(() => {
    clock = new VirtualClock()
    drawn = 0
    moves = '1 %'
    draw = async () => [{ id: 'moves', body: html`${moves}` }, { id: 'hosts', body: html`same` }]
    live = new LiveSections({ clock, log: silentLog }, {
      draw: () => {
        drawn += 1
        return draw()
      },
    })
  })

  const pass = (ms: number): Promise<unknown> => clock.run(clock.now() + ms)

  it('is every section at first, and then what has changed', async () => {
    const browser = new Browser()
    live.add(browser.response)
    await pass(1)
    moves = '2 %'
    await pass(3000)
    assert.deepEqual(browser.textsOf('moves'), ['1 %', '2 %'])
    assert.deepEqual(browser.textsOf('hosts'), ['same'])
    live.stop()
  })

  it('is drawn once for all of them, and not while nobody looks', async () => {
    await pass(10_000)
    assert.equal(drawn, 0)
    const [one, other] = [new Browser(), new Browser()]
    live.add(one.response)
    live.add(other.response)
    await pass(3000)
    assert.ok(drawn >= 3 && drawn <= 5, String(drawn))
    one.end()
    other.end()
    const before = drawn
    await pass(10_000)
    assert.equal(drawn, before)
  })

  it('is not queued for one that does not read, which gets the newest in the end', async () => {
    const [slow, fast] = [new Browser(), new Browser()]
    live.add(slow.response)
    live.add(fast.response)
    await pass(1)
    slow.writableNeedDrain = true
    const written = slow.written.length
    for (let percent = 2; percent < 40; percent += 1) {
      moves = `${percent} %`
      await pass(1000)
    }
    assert.equal(slow.written.length, written)
    assert.equal(fast.textsOf('moves').length, 39)
    slow.writableNeedDrain = false
    await pass(1000)
    assert.deepEqual(slow.textsOf('moves'), ['1 %', '39 %'])
    live.stop()
  })

  it('is a sign of life where nothing changes', async () => {
    const browser = new Browser()
    live.add(browser.response)
    await pass(20_500)
    const beats = browser.written.filter((text) => text === ': alive\n\n').length
    assert.ok(beats >= 3 && beats <= 4, String(beats))
    live.stop()
  })

  it('waits for a drawing that takes long, and survives one that fails', async () => {
    const browser = new Browser()
    draw = () => clock.sleep(3500).then(() => [{ id: 'moves', body: html`late` }])
    live.add(browser.response)
    await pass(3400)
    assert.equal(drawn, 1)
    draw = () => Promise.reject(new Error('the agent stops'))
    await pass(2000)
    draw = async () => [{ id: 'moves', body: html`well` }]
    await pass(2000)
    assert.deepEqual(browser.textsOf('moves'), ['late', 'well'])
    live.stop()
  })

  it('ends with the agent', async () => {
    const browser = new Browser()
    live.add(browser.response)
    live.stop()
    assert.equal(browser.destroyed, true)
    assert.equal(live.count, 0)
    const before = drawn
    await pass(5000)
    assert.equal(drawn, before)
  })
})
