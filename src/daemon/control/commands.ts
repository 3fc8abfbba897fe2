import type { Agent } from '../../index.ts'
import type {
  AuditResult, CancelResult, Command, CommandArguments, ControlRequest, HistoryResult, MetricsResult, MigrateArguments,
  PagesResult, PeersResult, Progress, TunnelArguments,
} from './protocol.ts'

export interface RequestContext {
  /** Aborts when the client cancels its request. */
  signal: AbortSignal
  /** Aborts when the client has hung up. */
  gone: AbortSignal
  onProgress(progress: Progress): void
}

/** Carries out a client's request; a rejection is sent back as the error. */
export type RequestHandler = (request: ControlRequest, context: RequestContext) => Promise<unknown>

export interface CommandComponents {
  agent: Agent
  /** Those of the agent's process among them. */
  metrics: () => Promise<string>
}

/** What a command's request is carried out with. */
type Means = CommandComponents & RequestContext

/** How each command is carried out. */
const CARRIERS: { [Name in Command]: (means: Means, asked: CommandArguments[Name]) => unknown } = {
  ping: ({ agent }) => ({ host: agent.status().host }),
  status: ({ agent }) => agent.status(),
  cluster: ({ agent }) => agent.cluster(),
  peers: ({ agent }) => ({ peers: agent.peers() }) satisfies PeersResult,
  metrics: async ({ metrics }) => ({ text: await metrics() }) satisfies MetricsResult,
  pages: ({ agent }, { countMax }) => ({ pages: agent.pages(countMax) }) satisfies PagesResult,
  history: ({ agent }, { countMax }) => ({ handoffs: agent.history().slice(0, countMax) }) satisfies HistoryResult,
  audit: async ({ agent }, { countMax }) => ({ records: await agent.audit(countMax) }) satisfies AuditResult,
  examine: ({ agent, gone }, { to }) => agent.examine(to, gone),
  acceptPeer: ({ agent }, { name, peerId }) => agent.acceptPeer(name, peerId),
  invite: ({ agent }, asked) => agent.invite(asked),
  keys: ({ agent }, asked) => agent.keys(
    asked.action === 'install' ? { ...asked, key: Buffer.from(asked.key, 'base64url') } : asked,
  ),
  held: ({ agent }, { guest }) => agent.held(guest),
  recover: ({ agent, signal, onProgress }, { guest }) => agent.recover({ guest, signal }).on('progress', onProgress),
  migrate,
  evacuate: ({ agent, signal, onProgress }, asked) => agent.evacuate({ ...asked, signal, onNews: onProgress }),
  tunnel,
  settle: ({ agent }, { guest, decision }) => agent.settle(guest, decision),
  cancel,
}

/** Carries out the commands that an agent answers. */
export function createRequestHandler({ agent, metrics }: CommandComponents): RequestHandler {
  return async (request, context) => {
    const carry = CARRIERS[request.command] as (means: Means, asked: unknown) => unknown
    return await carry({ ...context, agent, metrics }, 'arguments' in request ? request.arguments : undefined)
  }
}

function migrate({ agent, signal, onProgress }: Means, { dryRun, ...asked }: MigrateArguments): Promise<unknown> {
  if (dryRun === true) return agent.estimate({ ...asked, signal })
  return agent.migrate({ ...asked, signal }).on('progress', onProgress)
}

/** Stays open until the client cancels it or hangs up, or the agent stops. */
async function tunnel({ agent, signal, gone, onProgress }: Means, asked: TunnelArguments): Promise<object> {
  const opened = await agent.tunnel({ ...asked, onNews: onProgress })
  onProgress({ event: 'listening' })
  await Promise.race([aborted(signal), aborted(gone), opened.closed])
  await opened.close()
  return {}
}

async function cancel({ agent }: Means, { guest = '' }: { guest?: string }): Promise<CancelResult> {
  const { status, result } = await agent.cancel(guest)
  return { guest, status, ...(result.reason === undefined ? {} : { reason: result.reason }), result }
}

function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve()
  return new Promise((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }))
}
