/**
 * `npm run fuzz -- [--inputs N] [--seconds S] [--seed S] [--only NAME] [--json] [--keep]`: damaged inputs for every
 * decoder, and what came of them. Ends with 1 if one was wrong, and prints the input.
 */
import { cpus } from 'node:os'
import { parseArgs } from 'node:util'

import { campaign, type CampaignResult } from './campaign.ts'
import { extendCorpus } from './corpus.ts'
import { DEFAULTS } from './target.ts'
import { TARGETS } from './targets.ts'

const { values } = parseArgs({
  options: {
    inputs: { type: 'string', default: '100000' }, seconds: { type: 'string' },
    seed: { type: 'string', default: String(Date.now() % 2 ** 31) }, only: { type: 'string' },
    json: { type: 'boolean', default: false }, keep: { type: 'boolean', default: false },
  },
})
const seed = Number(values.seed)
const targets = TARGETS.filter(({ name }) => values.only === undefined || name === values.only)
if (targets.length === 0) {
  throw new Error(`no target is called ${values.only}: ${TARGETS.map(({ name }) => name).join(', ')}`)
}

// Refusals are many, and their stacks tell nothing.
Error.stackTraceLimit = 4
const shares = targets.reduce((sum, { share = DEFAULTS.share }) => sum + share, 0)
const begunAt = performance.now()
const seconds = values.seconds === undefined ? Infinity : Number(values.seconds)
const results: Omit<CampaignResult, 'found'>[] = []
let spentShares = 0
for (const target of targets) {
  const { share = DEFAULTS.share } = target
  spentShares += share
  const inputs = Math.ceil(Number(values.inputs) * share / shares)
  // Each may use its share of the time, and what those before it left.
  const endAt = begunAt + seconds * 1000 * spentShares / shares
  const { found, ...result } = await campaign({ target, inputs, seed, endAt })
  if (values.keep) extendCorpus(target.name, found)
  results.push(result)
  if (!values.json) console.log(lineOf(result))
}
const inputs = results.reduce((sum, result) => sum + result.inputs, 0)
const faults = results.filter(({ fault }) => fault !== undefined)
const total = { seed, inputs, seconds: Math.round((performance.now() - begunAt) / 1000), faults: faults.length }
if (values.json) console.log(JSON.stringify({ ...total, machine: cpus()[0]?.model, targets: results }, undefined, 1))
else {
  const verdict = `${faults.length} of ${results.length} decoders at fault`
  console.log(`${inputs} inputs in ${total.seconds} s, seed ${seed}: ${verdict}`)
}
process.exitCode = faults.length > 0 ? 1 : 0

function lineOf(
  { name, inputs, taken, outcomes, ms, slowestMs, mostBytes, fault }: Omit<CampaignResult, 'found'>,
): string {
  const figures = `${inputs} inputs, ${taken} taken, ${outcomes} outcomes, ${Math.round(ms)} ms, ` +
    `slowest ${slowestMs.toFixed(1)} ms, most memory ${Math.round(mostBytes / 1024)} KiB`
  return fault === undefined ? `${name.padEnd(26)} ${figures}`
    : `${name}: ${fault.why}\n  input, base64: ${fault.input.slice(0, 2000)}`
}
