import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import type { Browser } from 'puppeteer-core'

import type { StatusServer } from '../../src/daemon/http.ts'
import { createAgent, PAGE_BYTES, type Agent } from '../../src/index.ts'
import { destinationGuest, memoryOf, sourceGuest } from '../support/fakeguest.ts'
import { freePort } from '../support/meshes.ts'
import { precopyStream } from '../support/streambuilder.ts'
import { openBrowser, serverOf, Tab } from './browser.ts'

const NAMES = ['host-a', 'host-b', 'host-c', 'host-d', 'host-e']
const PAGES = 300

function pagesOf(count: number): Buffer[] {
  return Array.from({ length: count }, () => randomBytes(PAGE_BYTES))
}

describe('the page of five agents on loopback', function () {
  this.timeout(60_000)
  const directory = mkdtempSync(join(tmpdir(), 'pm-page-'))
  const agents: Agent[] = []
  let server: StatusServer
  let browser: Browser
  let url: string

  before(async () => {
    const clusterKey = randomBytes(32)
    const port = await freePort()
    for (const [index, name] of NAMES.entries()) {
      const agent = await createAgent({
        name, clusterKey, listen: [`/ip4/127.0.0.1/tcp/${index === 0 ? port : 0}`], lane: '127.0.0.1:0',
        bootstrap: index === 0 ? [] : [`/ip4/127.0.0.1/tcp/${port}`], census: { intervalSeconds: 1 },
        runtimeDirectory: join(directory, `${name}.d`), store: { path: join(directory, name), maxBytes: 0 },
      })
      agents.push(agent)
      await agent.start()
      agent.addGuest(memoryOf(`own-${name}`, pagesOf(20)))
    }
    const [agent] = agents as [Agent]
    server = serverOf(agent)
    await server.start()
    url = `http://127.0.0.1:${server.port}/`
    browser = await openBrowser()
  })
  after(async () => {
    await browser.close()
    await server.stop()
    for (const agent of agents) await agent.stop()
    rmSync(directory, { recursive: true, force: true })
  })

  /** Waits until a section of the page says this. */
  async function says(tab: Tab, id: string, pattern: RegExp): Promise<void> {
    await tab.page.waitForFunction((section: string, source: string) =>
      new RegExp(source, 's').test(document.getElementById(section)!.textContent), {}, id, pattern.source)
  }

  it('shows every host and guest, a move while it runs, and what it came to', async () => {
    const [a, b, , , e] = agents as [Agent, Agent, Agent, Agent, Agent]
    const tab = await Tab.open(browser)
    await tab.goLive(url)
    for (const name of NAMES) {
      await says(tab, 'hosts', new RegExp(name))
      await says(tab, 'guests', new RegExp(`own-${name}`))
    }
    const pages = pagesOf(PAGES)
    const { bytes } = precopyStream([{ name: 'pc.ram', pages: [...pages, undefined] }])
    b.addGuest(destinationGuest('web', bytes.length).guest)
    a.addGuest(sourceGuest('web', pages, bytes, { holdAfter: bytes.length / 2 }).guest)
    const held = a.migrate({ guest: 'web', to: 'host-b' })
    await says(tab, 'moves', /web.*host-a.*host-b.*precopy/)
    await says(tab, 'spoken', /web from host-a to host-b: precopy/)
    await tab.takePicture('mesh-moving')
    await a.cancel('web')
    assert.equal((await held).status, 'cancelled')
    await says(tab, 'moves', /No guest is on its way/)
    await says(tab, 'history', /web.*host-a.*host-b.*cancelled/)

    e.addGuest(sourceGuest('db', pages, bytes).guest)
    b.addGuest(destinationGuest('db', bytes.length).guest)
    assert.equal((await e.migrate({ guest: 'db', to: 'host-b' })).status, 'completed')
    await says(tab, 'history', /db.*host-e.*host-b.*completed/)
    assert.deepEqual(await tab.barriers(), [])
    tab.requireClean(url)
  })
})
