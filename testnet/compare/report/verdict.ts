/** Who won, in sentences; first of all where Pagemesh loses. Pure. */
import { WAY_TITLES } from '../cells.ts'
import { CONTESTS, type Contest, type Verdict } from '../results.ts'
import { CONTEST_TITLES, describeCell, formatMeasure, formatRatio } from './words.ts'

/** The report's first paragraph. */
export function lossesParagraph(verdicts: readonly Verdict[]): string {
  const cells = new Set(verdicts.map(({ cell }) => describeCell(cell))).size
  if (cells === 0) return 'No cell was measured with both Pagemesh and QEMU, so there is no winner.'
  const lost = verdicts.filter(({ isLost }) => isLost)
  const intro = 'The best of Pagemesh\'s ways stands against the best of QEMU\'s own, in each of ' +
    `${cells} cells and for each figure by itself.`
  if (lost.length === 0) return `Pagemesh loses in no cell. ${intro}`
  const sentences = CONTESTS.flatMap((contest) => lostSentence(contest, verdicts, lost))
  return `Pagemesh loses in some cells. ${sentences.join(' ')} ${intro}`
}

/** Where Pagemesh wins: the second paragraph. */
export function winsParagraph(verdicts: readonly Verdict[]): string {
  const sentences = CONTESTS.flatMap((contest) => {
    const won = verdicts.filter((verdict) => verdict.contest === contest && !verdict.isLost)
    if (won.length === 0) return []
    const ratios = won.map(ratioOf).sort((left, right) => left - right)
    const [low, high] = [formatRatio(ratios[0]!), formatRatio(ratios.at(-1)!)]
    const share = low === high ? low : `${low} to ${high}`
    return [`${capital(CONTEST_TITLES[contest])}: ${share} of the best QEMU way in ${won.length} of ` +
      `${verdicts.filter((verdict) => verdict.contest === contest).length} cells.`]
  })
  return sentences.length === 0 ? 'It wins in none.' : `Where it does not lose: ${sentences.join(' ')}`
}

/** `1.31`, or words where the other side's value is 0. */
export function formatVerdictRatio(verdict: Verdict): string {
  const ratio = ratioOf(verdict)
  return Number.isFinite(ratio) ? formatRatio(ratio) : '-'
}

function lostSentence(contest: Contest, verdicts: readonly Verdict[], lost: readonly Verdict[]): string[] {
  const losses = lost.filter((verdict) => verdict.contest === contest)
  if (losses.length === 0) return []
  const all = verdicts.filter((verdict) => verdict.contest === contest).length
  const [worst] = [...losses].sort((left, right) => ratioOf(right) - ratioOf(left))
  const { cell, ours, theirs } = worst!
  const where = losses.length === all ? `in all ${all} cells` : losses.length === 1
    ? `in one cell of ${all}` : `in ${losses.length} cells of ${all}`
  return [`${capital(CONTEST_TITLES[contest])}: more than the best of QEMU ${where}` +
    `${losses.length === 1 ? '' : ', at worst'} (${describeCell(cell)}): ` +
    `${formatMeasure(contest, ours.value)} by ${WAY_TITLES[ours.way]} against ` +
    `${formatMeasure(contest, theirs.value)} by ${WAY_TITLES[theirs.way]}.`]
}

function ratioOf({ ours, theirs }: Verdict): number {
  return ours.value === theirs.value ? 1 : ours.value / theirs.value
}

function capital(text: string): string {
  return text.slice(0, 1).toUpperCase() + text.slice(1)
}
