import { execFile } from 'node:child_process'
import { promisify } from 'node:util'

import type { DaemonNews } from '../daemon/index.ts'
import { describeError } from '../runtime/errors.ts'
import type { Log } from '../runtime/log.ts'

/** As sd_notify(3) has them. */
const WORDS: Record<DaemonNews, string> = { ready: 'READY=1', stopping: 'STOPPING=1' }
/** A service manager that is slower is stuck. */
const TELLING_MS_MAX = 5_000

/**
 * Tells the service manager how far the agent is, if one started it and waits to hear that. Node has no datagram
 * sockets of the UNIX family, so systemd's own program says it: unlike the kernel in C, it is wherever systemd is.
 */
export async function tellServiceManager(news: DaemonNews, log: Log): Promise<void> {
  if (process.env.NOTIFY_SOCKET === undefined) return
  try {
    await promisify(execFile)('systemd-notify', [WORDS[news]], { timeout: TELLING_MS_MAX })
  } catch (error) {
    log.warn('the service manager was not told', { news, error: describeError(error) })
  }
}
