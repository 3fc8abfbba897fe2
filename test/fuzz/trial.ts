import assert from 'node:assert/strict'
import { getHeapStatistics } from 'node:v8'

import { PagemeshError } from '../../src/runtime/errors.ts'
import { DEFAULTS, type Target } from './target.ts'

/** Time that an input may take: something for a busy machine, and so much for each of its bytes. */
const TIME_MS = { base: 25, perByte: 0.0005 }
/**
 * An input that took too long, or too much memory, is tried so often, by this thread's own processor time: only what
 * does so each time is a fault.
 */
const AGAIN = 10
/** Fields of an object that tell one outcome from another. */
const FIELDS_MAX = 20

export interface Outcome {
  /** Tells this outcome from others: the refusal, or the shape of what was read. */
  signature: string
  wasTaken: boolean
  ms: number
  memoryBytes: number
}

/** Gives one input to a target. Throws an Error that says what is wrong with how it was read. */
export async function trial(target: Target, input: Buffer): Promise<Outcome> {
  const outcome = await tried(target, input)
  const msMax = (target.msMax ?? TIME_MS.base) + input.length * TIME_MS.perByte
  const memoryMax = (target.room ?? DEFAULTS.room) + input.length * (target.growth ?? DEFAULTS.growth)
  if (outcome.ms <= msMax && outcome.memoryBytes <= memoryMax) return outcome
  for (let times = 0; times < AGAIN; times++) {
    const used = process.threadCpuUsage()
    const again = await tried(target, input)
    const { user, system } = process.threadCpuUsage(used)
    outcome.ms = Math.min(outcome.ms, again.ms, (user + system) / 1000)
    outcome.memoryBytes = Math.min(outcome.memoryBytes, again.memoryBytes)
  }
  assert.ok(outcome.ms <= msMax, `${input.length} bytes take ${outcome.ms.toFixed(1)} ms`)
  assert.ok(outcome.memoryBytes <= memoryMax, `${input.length} bytes take ${outcome.memoryBytes} bytes of memory`)
  return outcome
}

async function tried(target: Target, input: Buffer): Promise<Outcome> {
  // A copy: what is read may be changed in place, and nothing may depend on what is beside it in memory.
  const bytes = Buffer.from(new Uint8Array(input).buffer)
  let signature = ''
  let wasTaken = true
  const before = heldBytes()
  const begunAt = performance.now()
  try {
    const result = target.decode(bytes)
    const read: unknown = result instanceof Promise ? await result : result
    const ms = performance.now() - begunAt
    const memoryBytes = heldBytes() - before
    wasTaken = read !== undefined
    return { signature: shapeOf(read, 3), wasTaken, ms, memoryBytes }
  } catch (error) {
    const ms = performance.now() - begunAt
    const memoryBytes = heldBytes() - before
    const isOwn = error instanceof PagemeshError && target.refusals?.includes(error.code) === true
    if (!isOwn) throw error
    signature = `${error.code}: ${error.message.replace(/\d+|".*"/g, '#').slice(0, 120)}`
    return { signature, wasTaken: false, ms, memoryBytes }
  }
}

/**
 * Grows with whatever is allocated, until garbage is collected: then an input is measured too small, never too large.
 */
function heldBytes(): number {
  const { used_heap_size: heap, external_memory: outside } = getHeapStatistics()
  return heap + outside
}

/** What a value is made of, to a depth: not which values it has. */
function shapeOf(value: unknown, depth: number): string {
  if (typeof value === 'string') return /^[a-z-]{0,40}$/.test(value) ? `"${value}"` : 'text'
  if (typeof value === 'number') return 'n'
  if (typeof value !== 'object' || value === null) return String(value)
  if (ArrayBuffer.isView(value)) return `bytes${sizeOf(value.byteLength)}`
  if (value instanceof Map || value instanceof Set) return `map${sizeOf(value.size)}`
  if (depth === 0) return 'o'
  if (Array.isArray(value)) return `[${sizeOf(value.length)}${value.length > 0 ? shapeOf(value[0], depth - 1) : ''}]`
  const fields = Object.entries(value).slice(0, FIELDS_MAX)
  return `{${fields.map(([key, item]) => `${key.slice(0, 20)}:${shapeOf(item, depth - 1)}`).join()}}`
}

function sizeOf(count: number): number {
  return 32 - Math.clz32(count)
}
