import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'

import type { PortRange } from '../net/portranges.ts'
import { kernelInUse } from '../page/index.ts'
import { LISTENER_HOSTS, LISTENER_PORTS } from './ports.ts'
import { createTable, explainNft } from './program.ts'

/** Where distributions have it. What somebody's PATH finds does not run with the agent's rights. */
const PLACES = ['/usr/sbin/nft', '/sbin/nft', '/usr/bin/nft', '/run/current-system/sw/bin/nft']
const ANSWER_MS_MAX = 5_000
const ANSWER_BYTES_MAX = 64 * 1024

/** Its messages in English, no file of its history in a home, and nothing else of ours. */
export const NFT_ENVIRONMENT = { LC_ALL: 'C', HOME: '/nonexistent' }

/** Where nft is. Throws an Error whose message is a sentence, for an operator, about what is missing. */
export function requireNft(places: readonly string[] = PLACES): string {
  if (kernelInUse() === 'package') {
    throw new Error('the kernel in C was not compiled here, which asks where a connection was meant to go')
  }
  const nft = places.find((place) => existsSync(place))
  if (nft === undefined) throw new Error(`nft is missing (package nftables): none of ${places.join(', ')} is there`)
  return nft
}

/**
 * Why connections to these ports cannot be intercepted here, as a sentence; undefined if they can. The kernel judges
 * the very table, and does not take it.
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

/** Why nft, or the kernel, would not take a program; undefined if they would. */
export function whyRefused(nft: string, program: string): Promise<string | undefined> {
  return new Promise((resolve) => {
    const limits = { timeout: ANSWER_MS_MAX, maxBuffer: ANSWER_BYTES_MAX, cwd: '/', env: NFT_ENVIRONMENT }
    execFile(nft, ['--check', program], limits, (error, _said, complaints) => {
      resolve(error === null ? undefined : explainNft(complaints === '' ? error.message : complaints))
    })
  })
}
