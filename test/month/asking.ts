import type { ChildProcess, Serializable } from 'node:child_process'
import { once } from 'node:events'

/** Sends a child a message and resolves to its next one; rejects if it ends first. */
export async function ask<Answer>(child: ChildProcess, message: Serializable): Promise<Answer> {
  const ended = new AbortController()
  const end = (): void => ended.abort(new Error(`process ${child.pid} ended`))
  child.once('exit', end)
  try {
    const answer = once(child, 'message', { signal: ended.signal })
    child.send(message)
    return (await answer as [Answer])[0]
  } finally {
    child.off('exit', end)
  }
}
