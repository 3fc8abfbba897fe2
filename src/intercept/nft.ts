import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'

import type { PortRange } from '../net/portranges.ts'
import { kernelInUse } from '../page/index.ts'
import { LISTENER_HOSTS, LISTENER_PORTS } from './ports.ts'
import { createTable, explainNft } from './program.ts'

/** Paths of nft in distributions. PATH is not searched: the program runs with the agent's rights. */
const PLACES = ['/usr/sbin/nft', '/sbin/nft', '/usr/bin/nft', '/run/current-system/sw/bin/nft']
const ANSWER_MS_MAX = 5_000
const ANSWER_BYTES_MAX = 64 * 1024

/** Environment of nft: messages in English, no history file in a home directory, nothing else. */
export const NFT_ENVIRONMENT = { LC_ALL: 'C', HOME: '/nonexistent' }

/** Path of nft. Throws an Error whose message tells the operator what is missing. */
export function requireNft(places: readonly string[] = PLACES): string {
  if (kernelInUse() === 'package') {
    throw new Error('the C kernel, which reads the original destination of connections, was not compiled')
  }
  const nft = places.find((place) => existsSync(place))
  if (nft === undefined) throw new Error(`nft is missing (package nftables): none of ${places.join(', ')} is there`)
  return nft
}

/**
 * Why connections to these ports cannot be intercepted here, as a sentence; undefined if they can. The kernel checks
 * the table without adding it.
 */
export async function whyNoInterception(ports: readonly PortRange[]): Promise<string | undefined> {
  const port = LISTENER_PORTS.first
  const listeners = LISTENER_HOSTS.map((host) => ({ host, port }))
  try {
    return await whyRefused(requireNft(), createTable({ ports, listeners }))
  } catch (error) {
    return (error as Error).message
  }
}

/** Why nft or the kernel would refuse a program; undefined if they accept it. */
export function whyRefused(nft: string, program: string): Promise<string | undefined> {
  return new Promise((resolve) => {
    const limits = { timeout: ANSWER_MS_MAX, maxBuffer: ANSWER_BYTES_MAX, cwd: '/', env: NFT_ENVIRONMENT }
    execFile(nft, ['--check', program], limits, (error, _said, complaints) => {
      resolve(error === null ? undefined : explainNft(complaints === '' ? error.message : complaints))
    })
  })
}
