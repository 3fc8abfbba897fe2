import type { Agent } from '../../index.ts'
import type {
  AuditResult, CancelResult, ControlRequest, HistoryResult, MetricsResult, MigrateArguments, PagesResult, PeersResult,
  Progress, TunnelArguments,
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

/** The commands that an agent answers; `metrics` are those of its process among them. */
export function createRequestHandler(
  { agent, metrics }: { agent: Agent; metrics: () => Promise<string> },
): RequestHandler {
  const migrate = async (asked: MigrateArguments, { signal, onProgress }: RequestContext): Promise<unknown> => {
    const { dryRun, ...request } = asked
    if (dryRun === true) return await agent.estimate({ ...request, signal })
    return await agent.migrate({ ...request, signal }).on('progress', onProgress)
  }

  /** Stays open until the client cancels it or hangs up, or the agent stops. */
  const tunnel = async (asked: TunnelArguments, { signal, gone, onProgress }: RequestContext): Promise<object> => {
    const opened = await agent.tunnel({ ...asked, onNews: onProgress })
    onProgress({ event: 'listening' })
    await Promise.race([aborted(signal), aborted(gone), opened.closed])
    await opened.close()
    return {}
  }

  const cancel = async (guest: string): Promise<CancelResult> => {
    const { status, result } = await agent.cancel(guest)
    return { guest, status, ...(result.reason === undefined ? {} : { reason: result.reason }), result }
  }

  return async (request, context) => {
    switch (request.command) {
      case 'ping':
        return { host: agent.status().host }
      case 'status':
        return agent.status()
      case 'cluster':
        return await agent.cluster()
      case 'metrics':
        return { text: await metrics() } satisfies MetricsResult
      case 'examine':
        return await agent.examine(request.arguments.to, context.gone)
      case 'pages':
        return { pages: agent.pages(request.arguments.countMax) } satisfies PagesResult
      case 'history':
        return { handoffs: agent.history().slice(0, request.arguments.countMax) } satisfies HistoryResult
      case 'audit':
        return { records: await agent.audit(request.arguments.countMax) } satisfies AuditResult
      case 'peers':
        return { peers: agent.peers() } satisfies PeersResult
      case 'acceptPeer':
        return agent.acceptPeer(request.arguments.name, request.arguments.peerId)
      case 'invite':
        return agent.invite(request.arguments)
      case 'held':
        return agent.held(request.arguments.guest)
      case 'migrate':
        return await migrate(request.arguments, context)
      case 'evacuate':
        return await agent.evacuate({ ...request.arguments, signal: context.signal, onNews: context.onProgress })
      case 'tunnel':
        return await tunnel(request.arguments, context)
      case 'recover': {
        const { guest } = request.arguments
        return await agent.recover({ guest, signal: context.signal }).on('progress', context.onProgress)
      }
      case 'cancel':
        return await cancel(request.arguments.guest ?? '')
      case 'settle':
        return await agent.settle(request.arguments.guest, request.arguments.decision)
    }
  }
}

function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve()
  return new Promise((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }))
}
