import type { Agent, HandoffEstimate, HandoffProgress, HandoffResult } from '../../index.ts'
import { asPagemeshError } from '../../runtime/errors.ts'
import type { CancelResult, ControlRequest, MigrateArguments, PagesResult } from './protocol.ts'

export interface RequestContext {
  /** Aborts when the client asks to cancel what it waits for. */
  signal: AbortSignal
  onProgress(progress: HandoffProgress): void
}

/** Does what a client asks; rejects with what goes back as an error. */
export type RequestHandler = (request: ControlRequest, context: RequestContext) => Promise<unknown>

/** The commands that an agent answers. */
export function createRequestHandler(agent: Agent): RequestHandler {
  /** The handoffs asked for here, by guest, so that a cancel can wait for the end of what it cancels. */
  const running = new Map<string, Promise<HandoffResult | HandoffEstimate>>()

  const migrate = async ({ dryRun, ...request }: MigrateArguments, context: RequestContext): Promise<unknown> => {
    const asked = { ...request, signal: context.signal }
    const handoff = dryRun === true ? agent.estimate(asked) : agent.migrate(asked).on('progress', context.onProgress)
    // A second request for a guest that moves already is refused at once, and must not hide the first.
    const isFirst = !running.has(request.guest)
    if (isFirst) running.set(request.guest, handoff)
    try {
      return await handoff
    } finally {
      if (isFirst) running.delete(request.guest)
    }
  }

  const cancel = async (guest: string): Promise<CancelResult> => {
    agent.cancel(guest)
    const outcome = await running.get(guest)?.catch(asPagemeshError)
    if (outcome === undefined || !('status' in outcome)) return { guest, status: 'cancelled' }
    const { status, reason } = outcome
    return { guest, status, ...(reason === undefined ? {} : { reason }) }
  }

  return async (request, context) => {
    switch (request.command) {
      case 'ping':
        return { host: agent.status().host }
      case 'status':
        return agent.status()
      case 'pages':
        return { pages: agent.pages(request.arguments.countMax) } satisfies PagesResult
      case 'migrate':
        return await migrate(request.arguments, context)
      case 'cancel':
        return await cancel(request.arguments.guest ?? '')
    }
  }
}
