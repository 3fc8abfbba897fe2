import type { AgentStatus, PopularPage } from '../index.ts'
import { alignColumns } from './table.ts'

/** Popular pages as text, most popular first. Pure. */
export function renderPages(pages: readonly PopularPage[]): string {
  return alignColumns([
    ['PAGE', 'HOSTS', 'GUESTS', 'HERE', 'HOLDERS'],
    ...pages.map(({ prefix, hosts, guests, held, holders }) =>
      [prefix, String(hosts), String(guests), held ? 'yes' : 'no', listHolders(holders, hosts)]),
  ])
}

function listHolders(holders: readonly string[], hosts: number): string {
  if (holders.length === 0) return 'not known by name'
  const others = hosts - holders.length
  return others > 0 ? `${holders.join(' ')} and ${others} more` : holders.join(' ')
}

/** Why no popular page is known, and what to do, judged by the agent's status. Pure. */
export function explainNoPages({ peers, guests, census }: AgentStatus): string {
  const none = 'No page is known to be popular yet'
  if (peers.length === 0) {
    return `${none}: this host sees no other host, and a page is popular only if several hosts hold it. ` +
      'Check `bootstrap`, the cluster key, and that agents run on the other hosts.'
  }
  if (census.scans < 2 * guests.length) {
    return `${none}: a guest's pages count from its second scan on, and the guests here were not all scanned twice. ` +
      'Try again after two intervals (`census.intervalSeconds`).'
  }
  return `${none}: either too few hosts hold the same ones (\`popularity.minHosts\`), or the other hosts have not ` +
    'scanned their guests twice and reported. Try again after two intervals (`census.intervalSeconds`).'
}
