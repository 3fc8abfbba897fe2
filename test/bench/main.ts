/**
 * Throughputs and memory per page, as ratios to a plain copy of the same bytes made in the same run.
 *
 *   npm run bench [-- --json] [--pages N] [--view-pages N] [--census-pages N] [--store-pages N]
 *                          [--inventory-pages N] [--swap-pages N] [--rounds N] [--seed N]
 *   npm run bench -- --disturbance [--json] [--rounds N]    what a guest feels of the census; takes minutes
 */
import { parseArgs } from 'node:util'

import { formatCensus, runCensusBench } from './census.ts'
import { formatChannels, runChannelsBench } from './channels.ts'
import { formatDisturbance, runDisturbance } from './disturbance.ts'
import { formatInventory, runInventoryBench } from './inventory.ts'
import { createMaterial } from './material.ts'
import { circumstances, formatCircumstances, formatReport } from './report.ts'
import { runBenches } from './run.ts'
import { formatStore, runStoreBench } from './store.ts'
import { formatSwap, runSwapBench } from './swap.ts'
import { formatView, runViewBench } from './view.ts'

const { values } = parseArgs({
  options: {
    json: { type: 'boolean', default: false },
    pages: { type: 'string', default: '32768' },
    'view-pages': { type: 'string', default: '4000000' },
    'census-pages': { type: 'string', default: '4000000' },
    'store-pages': { type: 'string', default: '4000000' },
    // The pages of 64 GiB.
    'inventory-pages': { type: 'string', default: '16777216' },
    'swap-pages': { type: 'string', default: '65536' },
    disturbance: { type: 'boolean', default: false },
    rounds: { type: 'string' },
    seed: { type: 'string', default: '1' },
  },
})

/** Twice a scan of that guest at the default rate. */
const WATCH_MS = 3_000

const given = process.argv.slice(2)
const about = circumstances(['npm run bench', ...(given.length > 0 ? ['--', ...given] : [])].join(' '))
const init = { rounds: Number(values.rounds ?? (values.disturbance ? 20 : 7)), seed: Number(values.seed) }
if (values.disturbance) {
  const disturbance = await runDisturbance({ rounds: init.rounds, watchMs: WATCH_MS })
  console.log(values.json
    ? JSON.stringify({ ...about, disturbance })
    : `${about.command}\n${formatCircumstances(about)}\n\n${formatDisturbance(disturbance)}`)
} else {
  const pages = Number(values.pages)
  const outcome = await runBenches({ ...init, pages })
  const channels = await runChannelsBench(createMaterial(pages, init.seed), [1, 2, 4])
  const view = await runViewBench({ ...init, viewPages: Number(values['view-pages']) })
  const census = await runCensusBench({ ...init, pages, distinctPages: Number(values['census-pages']) })
  const inventory = await runInventoryBench({ seed: init.seed, inventoryPages: Number(values['inventory-pages']) })
  const store = await runStoreBench({ ...init, pages, storedPages: Number(values['store-pages']) })
  const swap = await runSwapBench({ ...init, pages: Number(values['swap-pages']) })
  console.log(values.json
    ? JSON.stringify({ ...about, ...outcome, channels, view, census, inventory, store, swap })
    : [
      formatReport(outcome, about), formatChannels(channels), formatView(view), formatCensus(census),
      formatInventory(inventory), formatStore(store), formatSwap(swap),
    ].join('\n\n'))
}
