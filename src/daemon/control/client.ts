import { connect, type Socket } from 'node:net'

import { pipe } from 'it-pipe'

import { LineCutter } from '../../bytes/linecutter.ts'
import { systemClock } from '../../runtime/clock.ts'
import { isErrorCode, PagemeshError, systemErrorCode } from '../../runtime/errors.ts'
import { withTimeout } from '../../runtime/wait.ts'
import {
  badAnswer, CONTROL_LIMITS, decodeAnswer, encodeRequest, type ControlRequest, type ErrorAnswer, type Progress,
} from './protocol.ts'

export interface AskInit {
  /** Path of the agent's control socket. */
  path: string
  request: ControlRequest
  onProgress?: (progress: Progress) => void
  /** On abort the agent is asked to cancel the request; the answer is still awaited. */
  cancel?: AbortSignal
  /** Limit of the wait for the answer; absent: none. */
  answerMsMax?: number
}

/**
 * Asks the agent of this host and resolves to its result. Throws the agent's own PagemeshError, or `no-agent`,
 * `control-denied`, `agent-ended` (it hung up before it answered), `bad-answer`, `timeout`.
 */
export async function askAgent<Result>(init: AskInit): Promise<Result> {
  const socket = connect(init.path)
  try {
    const answer = converse(socket, init)
    if (init.answerMsMax === undefined) return await answer as Result
    return await withTimeout(systemClock, answer, init.answerMsMax, {
      phase: 'answer', fault: 'host', message: `The agent did not answer within ${init.answerMsMax / 1000} s.`,
      advice: 'See its log; it may be overloaded.',
    }) as Result
  } finally {
    socket.destroy()
  }
}

/** An agent of another version may have codes that this command does not know. */
function errorOf({ code, message, ...details }: ErrorAnswer): PagemeshError {
  if (isErrorCode(code)) return new PagemeshError(code, message, details)
  return new PagemeshError('unexpected', message, { ...details, data: { code } })
}

async function converse(socket: Socket, { path, request, onProgress, cancel }: AskInit): Promise<unknown> {
  socket.write(encodeRequest(request))
  const sendCancel = (): void => {
    if (socket.writable) socket.write(encodeRequest({ command: 'cancel', arguments: {} }))
  }
  if (cancel?.aborted === true) sendCancel()
  cancel?.addEventListener('abort', sendCancel, { once: true })
  try {
    return await pipe(bytesOf(socket, path), linesOf, async (lines) => {
      for await (const line of lines) {
        const answer = decodeAnswer(line)
        if ('result' in answer) return answer.result
        if ('error' in answer) throw errorOf(answer.error)
        onProgress?.(answer.progress)
      }
      throw ended()
    })
  } finally {
    cancel?.removeEventListener('abort', sendCancel)
  }
}

/** Received bytes. Throws `no-agent` or `control-denied` while connecting, `agent-ended` when the connection breaks. */
async function* bytesOf(socket: Socket, path: string): AsyncGenerator<Buffer> {
  let isConnected = false
  socket.once('connect', () => { isConnected = true })
  try {
    for await (const bytes of socket) yield bytes as Buffer
  } catch (cause) {
    throw isConnected ? ended(cause) : unreachable(path, cause)
  }
}

async function* linesOf(pieces: AsyncIterable<Buffer>): AsyncGenerator<string> {
  const cutter = new LineCutter(CONTROL_LIMITS.answerBytesMax)
  for await (const bytes of pieces) {
    const lines = cutter.push(bytes)
    if (lines === 'too-long') throw badAnswer()
    yield* lines
  }
}

function unreachable(path: string, cause: unknown): PagemeshError {
  const code = systemErrorCode(cause)
  if (code === 'EACCES' || code === 'EPERM') {
    return new PagemeshError('control-denied', `The control socket ${path} may not be used by this user.`, {
      fault: 'usage', cause, advice: 'Run the command as the agent\'s user or as root.',
    })
  }
  return new PagemeshError('no-agent', `No agent answers at ${path} (${code ?? 'unknown cause'}).`, {
    fault: 'usage', cause,
    advice: 'Start it with `systemctl start pagemesh` or `pagemesh agent --config FILE`, or name its socket with ' +
      '--control. If it ends at once, its log says why: `journalctl -u pagemesh`.',
  })
}

function ended(cause?: unknown): PagemeshError {
  return new PagemeshError('agent-ended', 'The agent on this host ended before it answered.', {
    fault: 'host', ...(cause === undefined ? {} : { cause }), advice: 'See its log for why, and start it again.',
  })
}
