import { seededRandom } from '../support/random.ts'
import { readCorpus } from './corpus.ts'
import { Mutator } from './mutator.ts'
import { DEFAULTS, seedsOf, type Target } from './target.ts'
import { trial } from './trial.ts'

export interface CampaignInit {
  target: Target
  inputs: number
  seed: number
  /** Stops before all inputs were given, at this time of `performance.now`. */
  endAt?: number
}

export interface CampaignResult {
  name: string
  inputs: number
  taken: number
  refused: number
  ms: number
  /** Different outcomes: refusals, and shapes of what was read. */
  outcomes: number
  slowestMs: number
  /** Memory of the input that took most, for its length. */
  mostBytes: number
  fault?: { input: string; why: string }
  /** Inputs that were the first with their outcome. */
  found: Buffer[]
}

/** Inputs from which others are made: seeds, corpus, and the first with each outcome. */
const POOL_MAX = 200
/** So many damaged inputs are given even where time is over. */
const INPUTS_MIN = 50

/** Gives a target its corpus and then damaged inputs, until one is wrong. The same for the same seed. */
export async function campaign({ target, inputs, seed, endAt = Infinity }: CampaignInit): Promise<CampaignResult> {
  const pool = [...seedsOf(target), ...readCorpus(target.name)]
  const mutator = new Mutator({
    random: seededRandom(seed ^ hashOf(target.name)), words: target.words ?? [],
    bytesMax: target.bytesMax ?? DEFAULTS.bytesMax,
  })
  const seen = new Set<string>()
  const begunAt = performance.now()
  const result: CampaignResult = {
    name: target.name, inputs: 0, taken: 0, refused: 0, ms: 0, outcomes: 0, slowestMs: 0, mostBytes: 0, found: [],
  }
  const first = pool.length
  const least = first + INPUTS_MIN
  for (let count = 0; count < inputs && (count < least || performance.now() < endAt); count++) {
    const input = count < first ? pool[count]! : mutator.next(pool)
    try {
      const { signature, wasTaken, ms, memoryBytes } = await trial(target, input)
      result.inputs += 1
      result[wasTaken ? 'taken' : 'refused'] += 1
      result.slowestMs = Math.max(result.slowestMs, ms)
      result.mostBytes = Math.max(result.mostBytes, memoryBytes - input.length * (target.growth ?? DEFAULTS.growth))
      if (seen.has(signature)) continue
      seen.add(signature)
      if (count < first) continue
      result.found.push(input)
      if (pool.length < POOL_MAX) pool.push(input)
    } catch (error) {
      result.fault = { input: input.toString('base64'), why: String((error as Error).stack) }
      break
    }
  }
  return { ...result, outcomes: seen.size, ms: performance.now() - begunAt }
}

function hashOf(name: string): number {
  let hash = 0
  for (const letter of name) hash = Math.imul(hash ^ letter.charCodeAt(0), 0x9e3779b1)
  return hash >>> 0
}
