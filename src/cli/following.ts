import { askAgent, type ControlRequest } from '../daemon/control/index.ts'
import type { HandoffEstimate, HandoffProgress, HandoffResult } from '../index.ts'
import { systemClock } from '../runtime/clock.ts'
import { asPagemeshError, describeError, type PagemeshError } from '../runtime/errors.ts'
import { printable } from '../text/printable.ts'
import type { AgentFlags } from './arguments.ts'
import { complain, EXIT, stopWaiting, writeJson } from './exit.ts'
import { renderEstimate, renderResult } from './handofftext.ts'
import { ProgressLine } from './progressline.ts'
import { onStopSignal } from './stopsignal.ts'

/** What is known of a handoff from the command line, before the agent's first news. */
export type AboutHandoff = Pick<HandoffResult, 'guest'> & Partial<Pick<HandoffResult, 'to' | 'mode'>>

/** What is known of a handoff without a result. */
type LostHandoff = AboutHandoff & Pick<HandoffResult, 'status'> & Partial<HandoffResult>

/**
 * Asks the agent for a handoff and shows its progress and result. Ctrl-C asks for it to be cancelled. Sets the exit
 * status.
 */
export async function followHandoff(request: ControlRequest, about: AboutHandoff, flags: AgentFlags): Promise<void> {
  const progress = new ProgressLine({ output: process.stderr, clock: systemClock })
  let last: HandoffProgress | undefined
  const { cancel, restore } = cancelOnSignal(progress, flags.json === true ? about : undefined)
  try {
    const outcome = await askAgent<HandoffResult | HandoffEstimate>({
      path: flags.control, request, cancel,
      onProgress: (news) => {
        if ('event' in news) return
        last = news
        progress.show(news)
      },
    })
    progress.end()
    if ('dryRun' in outcome) show(outcome, renderEstimate(printable(outcome)), flags)
    else showResult(outcome, flags)
  } catch (error) {
    progress.end()
    const lost = { ...lostHandoff(about, asPagemeshError(error), last), ...refusalOf(request, asPagemeshError(error)) }
    complain(lost.reason ?? '')
    if (flags.json === true) writeJson(lost)
    process.exitCode = exitStatusOf(lost.status)
  } finally {
    restore()
  }
}

function showResult(result: HandoffResult, flags: AgentFlags): void {
  process.exitCode = exitStatusOf(result.status)
  if (result.status === 'completed') {
    show(result, renderResult(printable(result)), flags)
    return
  }
  if (flags.json === true) writeJson(result)
  const { guest, to, status, reason = 'The agent gave no reason; see its log.' } = result
  const where = to === '' ? '' : ` to ${to}`
  complain(`The handoff of ${guest}${where} ${status === 'cancelled' ? 'was cancelled' : status}: ${reason}`)
}

function show(value: unknown, text: string, flags: AgentFlags): void {
  if (flags.json === true) writeJson(value)
  else process.stdout.write(`${text}\n`)
}

/** The result to show when the agent refused, died or was not running. Pure. */
function lostHandoff(about: AboutHandoff, error: PagemeshError, last: HandoffProgress | undefined): LostHandoff {
  const to = about.to ?? last?.to
  const reason = error.code === 'agent-ended'
    ? `The agent on this host ended during the handoff of ${about.guest}${to === undefined ? '' : ` to ${to}`}. ` +
      'Start it again: `pagemesh status` and `pagemesh history` then say on both hosts what became of the guest. ' +
      'Until then end neither of its QEMUs.'
    : describeError(error)
  return {
    ...about, reason,
    status: error.fault === 'cancelled' ? 'cancelled' : 'failed',
    code: error.code,
    ...(last === undefined ? {} : {
      from: last.from, to: last.to, mode: last.mode,
      totalMs: last.elapsedMs, qemuBytes: last.qemuBytes, wireBytes: last.wireBytes,
    }),
  }
}

/** What a dry run says besides, where the handoff would be refused. */
function refusalOf(
  request: ControlRequest, error: PagemeshError,
): Partial<Pick<HandoffEstimate, 'dryRun' | 'obstacles'>> {
  if (request.command !== 'migrate' || request.arguments.dryRun !== true) return {}
  return { dryRun: true, obstacles: [{ code: error.code, reason: describeError(error) }] }
}

/**
 * The first Ctrl-C asks the agent to cancel and waits for the result; the second ends the wait, and with `--json` says
 * what of.
 */
function cancelOnSignal(
  progress: ProgressLine, about: AboutHandoff | undefined,
): { cancel: AbortSignal; restore: () => void } {
  const abort = new AbortController()
  const say = (text: string): void => progress.say(text)
  const restore = onStopSignal((count) => {
    if (count > 1) stopWaiting(say, '`pagemesh status` shows whether the handoff still runs.', about)
    progress.say('Asked to cancel; QEMU decides whether it is too late. Waiting for the outcome.')
    abort.abort()
  })
  return { cancel: abort.signal, restore }
}

function exitStatusOf(status: HandoffResult['status']): number {
  if (status === 'completed') return EXIT.done
  return status === 'cancelled' ? EXIT.cancelled : EXIT.failed
}
