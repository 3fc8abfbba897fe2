import { createAgent, type Agent, type AgentComponents, type AgentOptions } from '../index.ts'
import { systemClock } from '../runtime/clock.ts'
import { describeError } from '../runtime/errors.ts'
import type { Log } from '../runtime/log.ts'
import type { Config } from './config.ts'
import { createControlServer, requireNoAgent } from './control/index.ts'
import { createStatusServer } from './http.ts'
import { createProcessMetrics } from './processmetrics.ts'

export type DaemonNews = 'ready' | 'stopping'

export interface DaemonInit {
  config: Config
  log: Log
  /** Ends the daemon cleanly. */
  signal: AbortSignal
  /** Hears when the control socket answers, and when the daemon begins to end. Never rejects. */
  announce?: (news: DaemonNews) => Promise<void>
  /** Makes the agent; by default the one of this package. */
  createAgent?: (options: AgentOptions, components: AgentComponents) => Promise<Agent>
}

/**
 * Runs a host's agent until `signal` aborts, then stops it and resolves. Rejects, with everything stopped, if the
 * start fails (PagemeshError `agent-running`, `control-unusable`, `http-unusable`, or the agent's own) or if the agent
 * ends by itself (another host took its name).
 */
export async function runDaemon(init: DaemonInit): Promise<void> {
  const { config, log, signal, announce, createAgent: create = createAgent } = init
  // First: otherwise a second agent of this host would fail at some port, with a less helpful message.
  await requireNoAgent(config.control)
  const { agentOptions, control: path, http } = config
  const runtimeDirectory = `${path}.d`
  const reserved = [path, runtimeDirectory, ...(http === undefined ? [] : [http])]
  const agent = await create({ ...agentOptions, runtimeDirectory, reserved }, { log })
  const processMetrics = createProcessMetrics()
  const metrics = async (): Promise<string> => await agent.metrics() + await processMetrics()
  const control = createControlServer({ agent, clock: systemClock, log, metrics }, { path: config.control })
  const page = config.http === undefined
    ? undefined : createStatusServer({ agent, clock: systemClock, log, metrics }, { address: config.http })
  try {
    await agent.start()
    await page?.start()
    // Last: the socket file shows that the agent is ready.
    await control.start()
    agent.warmUp().catch((error: unknown) => log.warn('warming up failed', { error: describeError(error) }))
    await Promise.all([Promise.race([agent.ended, aborted(signal)]), announce?.('ready')])
    log.info('agent stops')
  } finally {
    await announce?.('stopping')
    // The agent before the socket: a command that waits for a handoff still learns that it was cancelled.
    await agent.stop()
    await control.stop()
    await page?.stop()
  }
}

function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve()
  return new Promise((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }))
}
