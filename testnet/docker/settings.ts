import type { GuestOptions, Work } from '../index.ts'
import { LabError } from '../laberror.ts'

/** The options that source and destination QEMU of a guest share. */
export type GuestSpec = Required<Pick<GuestOptions, 'name' | 'work' | 'memoryMiB'>>

/** A host's settings from its environment, see docker-compose.yml. */
export interface HostSettings {
  /** Its name, in the mesh and in the containers' network. */
  name: string
  /** Names of the other hosts. */
  peers: string[]
  /** The guests that it boots. */
  guests: GuestSpec[]
}

const DEFAULT_MEMORY_MIB = 320
const MEMORY_MIB_MIN = 192
const WORKS: readonly string[] = ['idle', 'web', 'database', 'compile', 'dirty', 'random'] satisfies Work[]

/**
 * Reads PEERS (`host-b host-c`), GUESTS (`web=web shop=database`: a name and its work each) and GUEST_MEMORY_MIB. Pure.
 * Throws LabError `bad-setting`.
 */
export function readSettings(name: string, environment: Record<string, string | undefined>): HostSettings {
  const memoryMiB = Number(environment['GUEST_MEMORY_MIB'] ?? DEFAULT_MEMORY_MIB)
  if (!Number.isInteger(memoryMiB) || memoryMiB < MEMORY_MIB_MIN) {
    throw badSetting('GUEST_MEMORY_MIB', `a whole number from ${MEMORY_MIB_MIN}`)
  }
  const guests = wordsOf(environment['GUESTS']).map((word): GuestSpec => {
    const [, guest, work] = /^([a-z][a-z0-9-]*)=([a-z]+)$/.exec(word) ?? []
    if (guest === undefined || work === undefined || !WORKS.includes(work)) {
      throw badSetting('GUESTS', `name=work, the work one of ${WORKS.join(', ')}`)
    }
    return { name: guest, work: work as Work, memoryMiB }
  })
  return { name, peers: wordsOf(environment['PEERS']), guests }
}

function wordsOf(text = ''): string[] {
  return text.split(/\s+/).filter((word) => word !== '')
}

function badSetting(name: string, wanted: string): LabError {
  return new LabError('bad-setting', `${name} should be ${wanted}.`, {
    advice: 'Correct it in docker-compose.yml.',
  })
}
