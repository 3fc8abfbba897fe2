import { readFileSync } from 'node:fs'

import { parseMaps } from '../../../src/guest/maps.ts'
import type { Answer } from './fakeqemu.ts'

/** A guest that lives in this very process: its memory is a piece of its own. */
export interface OwnGuest {
  name?: string
  status?: string
  blockBytes?: number
}

/** What the QEMU of such a guest answers. */
export function answerAs(command: string, about: OwnGuest): Answer {
  if (command === 'query-name') return { value: about.name === undefined ? {} : { name: about.name } }
  if (command === 'query-status') return { value: { status: about.status ?? 'running' } }
  if (command === 'query-cpus-fast') return { value: [{ 'thread-id': process.pid }] }
  return { value: blockTable(about.blockBytes ?? 4096) }
}

function blockTable(bytes: number): string {
  const mapping = parseMaps(readFileSync('/proc/self/maps', 'utf8'))[0]!
  const size = `0x${bytes.toString(16).padStart(16, '0')}`
  return `Block Name PSize Offset Used Total HVA RO\n` +
    `pc.ram    4 KiB  0x0000000000000000 ${size} ${size} 0x${mapping.start.toString(16).padStart(16, '0')} rw\n`
}
