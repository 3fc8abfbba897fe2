/**
 * Throughputs and memory a page, as ratios to a plain copy of the same bytes made in the same run.
 *
 *   npm run bench [-- --json] [--pages N] [--view-pages N] [--rounds N] [--seed N]
 */
import { parseArgs } from 'node:util'

import { circumstances, formatReport } from './report.ts'
import { runBenches } from './run.ts'
import { formatView, runViewBench } from './view.ts'

const { values } = parseArgs({
  options: {
    json: { type: 'boolean', default: false },
    pages: { type: 'string', default: '32768' },
    'view-pages': { type: 'string', default: '4000000' },
    rounds: { type: 'string', default: '7' },
    seed: { type: 'string', default: '1' },
  },
})

const given = process.argv.slice(2)
const about = circumstances(['npm run bench', ...(given.length > 0 ? ['--', ...given] : [])].join(' '))
const init = { rounds: Number(values.rounds), seed: Number(values.seed) }
const outcome = await runBenches({ ...init, pages: Number(values.pages) })
const view = await runViewBench({ ...init, viewPages: Number(values['view-pages']) })
console.log(values.json
  ? JSON.stringify({ ...about, ...outcome, view })
  : `${formatReport(outcome, about)}\n\n${formatView(view)}`)
