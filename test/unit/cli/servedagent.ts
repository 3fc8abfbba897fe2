import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { createControlServer, type ControlServer } from '../../../src/daemon/control/index.ts'
import { systemClock } from '../../../src/runtime/clock.ts'
import { silentLog } from '../../../src/runtime/log.ts'
import { FakeAgent } from '../../support/fakeagent.ts'
import { RunningCommand } from '../../support/pagemesh.ts'

/** An agent that does as the test says, at a control socket; a new one for each test. */
export interface ServedAgent {
  readonly agent: FakeAgent
  readonly path: string
  /** Runs a command that talks to it. */
  run(...args: string[]): RunningCommand
}

/** To be called inside `describe`. */
export function serveAgent(): ServedAgent {
  let folder: string
  let path: string
  let agent: FakeAgent
  let server: ControlServer

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'commands-'))
    path = join(folder, 'control.sock')
    agent = new FakeAgent()
    const metrics = () => agent.metrics()
    server = createControlServer({ agent, clock: systemClock, log: silentLog, metrics }, { path })
    await server.start()
  })

  afterEach(async () => {
    await agent.stop()
    await server.stop()
    await rm(folder, { recursive: true })
  })

  return {
    get agent() { return agent },
    get path() { return path },
    run: (...args) => new RunningCommand([...args, '--control', path]),
  }
}
