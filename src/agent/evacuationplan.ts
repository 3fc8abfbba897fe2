/** Where the guests of a host go when all of them leave, and in which order. Pure. */
import { waitingAt, type HostSummary } from './summary.ts'

/** A guest that is to leave. */
export interface Evacuee {
  guest: string
  ramBytes: number
}

/** A host where a QEMU waits for the guest, and what was found there of its pages. */
export interface Candidate {
  host: string
  distinctPages: number
  pagesAtDestination: number
}

/** Memory that guests on their way to a host will take there, bytes, by host. */
export type Claims = Map<string, number>

/** Hosts besides the chosen one that are named. */
const OTHERS_SHOWN = 3

/**
 * Hosts that a guest may go to, or why there is none. `isOnly`: its QEMU waits on one host alone, so that there is
 * nothing to choose, whoever has room.
 */
export type Choice = { hosts: string[]; isOnly: boolean } | { code: 'no-waiting-guest' | 'no-room'; reason: string }

/**
 * Hosts where a QEMU of this name waits and whose memory has room for it, beside what is claimed. A QEMU that waits has
 * not touched its guest's memory yet.
 */
export function hostsFor({ guest, ramBytes }: Evacuee, hosts: readonly HostSummary[], claims: Claims): Choice {
  const waiting = hosts.filter((host) => waitingAt(host).includes(guest))
  if (waiting.length === 0) {
    const names = hosts.map(({ host }) => host).join(', ')
    const asked = hosts.length === 0 ? 'no other host answered' : `none does on ${names}`
    return {
      code: 'no-waiting-guest',
      reason: `No QEMU named ${guest} waits elsewhere with -incoming defer: ${asked}.`,
    }
  }
  const roomy = waiting.filter(({ host, memory }) => memory.availableBytes - (claims.get(host) ?? 0) >= ramBytes)
  if (roomy.length > 0) return { hosts: roomy.map(({ host }) => host), isOnly: waiting.length === 1 }
  return {
    code: 'no-room',
    reason: `The memory of ${guest}, ${mebibytes(ramBytes)}, has no room on ` +
      `${waiting.map(({ host, memory }) => `${host} (${mebibytes(memory.availableBytes)} available)`).join(', ')}.`,
  }
}

/** The host that has most of the guest's pages; among equals the one that least is claimed of. */
export function bestOf(candidates: readonly Candidate[], claims: Claims): Candidate | undefined {
  return candidates.toSorted((one, other) =>
    other.pagesAtDestination - one.pagesAtDestination ||
    (claims.get(one.host) ?? 0) - (claims.get(other.host) ?? 0) ||
    (one.host < other.host ? -1 : 1))[0]
}

/**
 * Why a guest goes to this host, as a sentence. What a host has of its pages is the host's own word, which a dry run
 * does not prove.
 */
export function whyChosen(best: Candidate, candidates: readonly Candidate[], { isOnly }: { isOnly: boolean }): string {
  if (isOnly) return `No other host has a QEMU that waits for it.`
  const others = candidates.filter(({ host }) => host !== best.host)
  if (others.length === 0) return 'No other host takes it.'
  const shown = others.toSorted((one, other) => other.pagesAtDestination - one.pagesAtDestination)
  const less = shown.slice(0, OTHERS_SHOWN).map((other) => `${other.host} ${shareOf(other)}`).join(', ')
  return `${best.host} says that it has ${shareOf(best)} of its pages, ${less}.`
}

/** Guests whose pages are known at their destination leave first: they free the host soonest. */
export function inOrder<Planned extends { guest: string; candidate: Candidate }>(
  planned: readonly Planned[],
): Planned[] {
  const missing = ({ candidate }: Planned): number => candidate.distinctPages - candidate.pagesAtDestination
  return planned.toSorted((one, other) => missing(one) - missing(other) || (one.guest < other.guest ? -1 : 1))
}

export function claim(claims: Claims, host: string, bytes: number): void {
  claims.set(host, (claims.get(host) ?? 0) + bytes)
}

function shareOf({ distinctPages, pagesAtDestination }: Candidate): string {
  return `${Math.floor((distinctPages === 0 ? 0 : pagesAtDestination / distinctPages) * 100)} %`
}

function mebibytes(bytes: number): string {
  return `${Math.round(bytes / 2 ** 20)} MiB`
}
