import type { Churn } from './placementchurn.ts'
import type { Found } from './placementmeasure.ts'
import type { Budget, Trial } from './placementtrial.ts'

const WAYS = ['none', 'random', 'recent', 'policy', 'optimum'] as const
const NAMES: Record<(typeof WAYS)[number], string> = {
  none: 'nothing kept', random: 'random popular pages', recent: 'most recent guests', policy: 'Pagemesh',
  optimum: 'optimum',
}

/** The report for people. Pure. */
export function formatTrial({ budgets, settings, migrations, popularPages, ...rest }: Trial): string {
  return [
    `${rest.hosts} hosts, ${rest.guests} guests each, ${rest.pages} non-zero pages each; ${popularPages} pages are ` +
      `popular; ${migrations} migrations`,
    `found of the stable non-zero pages of a guest that migrates (head share ${rest.headShare}, ` +
      `tail copies ${rest.tailCopies})`,
    '',
    `${'budget'.padEnd(8)}${'kept'.padEnd(22)}${columns('destination', 'some peer', 'few peers', 'saved each')}`,
    ...budgets.flatMap(formatBudget),
    ...(settings.length === 0 ? [] : [
      '', `${'budget'.padEnd(8)}${'head share'.padEnd(12)}${'copies'.padEnd(10)}` +
        columns('destination', 'some peer', 'few peers', 'saved each'),
    ]),
    ...settings.map(({ budgetShare, headShare, tailCopies, found }) =>
      `${percent(budgetShare, 0).padEnd(8)}${String(headShare).padEnd(12)}${String(tailCopies).padEnd(10)}` +
      formatFound(found)),
  ].join('\n')
}

function formatBudget(budget: Budget): string[] {
  return [
    ...WAYS.map((way) => `${percent(budget.share, 0).padEnd(8)}${NAMES[way].padEnd(22)}${formatFound(budget[way])}`),
    `${''.padEnd(8)}if pages of one host might leave it: ${percent(budget.unboundAtPeer, 1)} at some peer, at most`,
  ]
}

function formatFound({ atDestination, atPeer, atFewPeers, savedBytes }: Found): string {
  return columns(percent(atDestination, 1), percent(atPeer, 1), percent(atFewPeers, 1),
    `${(savedBytes / 2 ** 10).toFixed(0)} KiB`)
}

function columns(...texts: string[]): string {
  return texts.map((text) => text.padStart(12)).join(' ')
}

export function formatChurn(churns: readonly Churn[]): string {
  return churns.map(({ budgetShare, intervals, fetchedPages, fetchedShare, fetchedAgainShare, ...found }) =>
    `${intervals} intervals of churn, budget ${percent(budgetShare, 0)}: a host fetches ` +
    `${fetchedPages.mean.toFixed(1)} pages an interval, ${percent(fetchedShare.mean, 2)} of its budget ` +
    `(${percent(fetchedShare.worst, 1)} at most), ${percent(fetchedAgainShare, 2)} for another time; ` +
    `in the end ${percent(found.atDestination, 1)} are found at the destination, ` +
    `optimally ${percent(found.optimalAtDestination, 1)}; for each guest that came or moved ` +
    `${found.fetchedPerEvent.toFixed(1)} pages are fetched; for each that moved ` +
    `${found.fetchedPerMigration.toFixed(1)}, and it finds ${found.savedPerMigration.toFixed(1)} more`).join('\n')
}

function percent(share: number, digits: number): string {
  return `${(share * 100).toFixed(digits)} %`
}
