import type { TunnelArguments, TunnelProgress } from '../daemon/control/index.ts'
import { formatBytes } from '../text/units.ts'
import { seconds } from './handofftext.ts'

/** An event of a tunnel as a line of text. Pure. */
export function renderTunnelNews(news: TunnelProgress, request: TunnelArguments): string {
  const { to, path, remotePath = path } = request
  switch (news.event) {
    case 'listening': return `Listening at ${path}, for ${remotePath} on ${to}.`
    case 'begun': return `${news.guest} begins to move to ${news.to}.`
    case 'refused': return `A connection was closed: ${news.reason}`
    case 'ended': {
      const { guest, status, reason, totalMs, qemuBytes, wireBytes, pages } = news.result
      return `${guest} to ${to}: ${status} after ${seconds(totalMs)}, ${formatBytes(wireBytes)} on the wire for ` +
        `QEMU's ${formatBytes(qemuBytes)}, ${pages.ref} of ${pages.total} pages as references.` +
        (reason === undefined ? '' : ` ${reason}`)
    }
  }
}
