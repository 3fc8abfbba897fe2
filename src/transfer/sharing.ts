/**
 * Whether the two hosts of a transfer hash the guest's pages alike. The source says of which tenant the guest is, and
 * which key epochs it has; the destination answers by its own configuration. Only where they agree are pages sent as
 * references; otherwise both hash with a key that nothing else uses, and the guest moves without. An agent of a version
 * without tenants says and answers nothing: it has the shared tenant alone.
 *
 * Where they agree on another tenant than `public`, they may agree on public pages beside it: the source says that it
 * would refer to them, and the destination that it has some. Earlier versions say neither. Pure.
 */
import {
  createPageHasher, EPOCHS_MAX, PUBLIC_TENANT, SHARED_TENANT, type PageHasher, type PageScope, type PageScopes,
} from '../page/index.ts'
import { bad, isText } from './reading.ts'

/** What an offer says of the guest's pages. */
export interface OfferedPages {
  /** Absent: not known, because it is not known which guest it is; or none may be used. */
  tenant?: string
  /** The guest shares nothing. */
  isPrivate?: true
  /** The source would refer to public pages, too. */
  public?: true
  /** The one in use first. */
  epochs: string[]
}

/** What the destination answers: the scope, and whether it has public pages beside it; or why there is none. */
export type AnsweredPages = { tenant: string; epoch: string; public?: true } | { apart: string }

/** How one end hashes. `apart`: why no page is sent as a reference to what the destination has. */
export interface Sharing {
  hasher: PageHasher
  /** Hashes public pages, if the destination has some and the guest may be sent with references to them. */
  publicHasher?: PageHasher
  /** The tenant whose pages may be used. */
  tenant?: string
  apart?: string
}

const PRIVATE = 'the guest shares nothing: its memory must not be merged'
const TENANT_LENGTH_MAX = 64
const APART_LENGTH_MAX = 500
/** For streams without common pages: it only serves for digests, and for pages that the same stream brought before. */
const NOTHING_IN_COMMON = createPageHasher(new Uint8Array(32))

/** @param refers whether pages of the guest may be sent as references to what the destination has. */
export function offeredPages(
  scope: PageScope | 'private' | undefined, { epochs }: Pick<PageScopes, 'epochs'>, refers: boolean,
): OfferedPages {
  if (scope === 'private') return { isPrivate: true, epochs }
  if (scope === undefined) return { epochs }
  const { tenant } = scope
  return { tenant, ...(refers && tenant !== PUBLIC_TENANT ? { public: true } : {}), epochs }
}

/** Undefined if the offer has nothing of it. Throws PagemeshError `bad-offer` if it cannot be read. */
export function readOfferedPages(value: unknown): OfferedPages | undefined {
  if (value === undefined) return undefined
  const { tenant, isPrivate, public: isPublic, epochs } = objectOf(value)
  const areEpochs = Array.isArray(epochs) && epochs.length <= EPOCHS_MAX && epochs.every(isEpoch)
  if (!areEpochs || (tenant !== undefined && !isText(tenant, TENANT_LENGTH_MAX))) {
    throw bad('bad-offer', 'it does not say whose the pages are')
  }
  return {
    ...(tenant === undefined ? {} : { tenant }), ...(isPrivate === true ? { isPrivate } : {}),
    ...(isPublic === true ? { public: isPublic } : {}), epochs,
  }
}

/** Undefined if the answer has nothing of it. Throws PagemeshError `bad-answer` if it cannot be read. */
export function readAnsweredPages(value: unknown): AnsweredPages | undefined {
  if (value === undefined) return undefined
  const { tenant, epoch, public: isPublic, apart } = objectOf(value)
  if (isText(apart, APART_LENGTH_MAX)) return { apart }
  if (isText(tenant, TENANT_LENGTH_MAX) && isEpoch(epoch)) {
    return { tenant, epoch, ...(isPublic === true ? { public: isPublic } : {}) }
  }
  throw bad('bad-answer', 'it does not say whose the pages are')
}

/**
 * What the destination makes of an offer for `guest`, which shares nothing if its QEMU there `isPrivate`, and answers:
 * nothing to an agent that said nothing. `hasPublic`: whether it has public pages.
 */
export function shareAtDestination(
  scopes: PageScopes,
  { guest, isPrivate, hasPublic }: { guest: string | undefined; isPrivate: boolean; hasPublic: boolean },
  offered: OfferedPages | undefined,
): Sharing & { answer: AnsweredPages | undefined } {
  const own = isPrivate ? undefined : scopes.of(guest)?.tenant
  if (offered === undefined) {
    const { hasher } = scopes.oldest
    return own === SHARED_TENANT ? { hasher, tenant: own, answer: undefined }
      : { hasher, apart: isPrivate ? PRIVATE : 'the source runs a version without tenants', answer: undefined }
  }
  if (isPrivate || offered.isPrivate === true) return apart(PRIVATE)
  if (own === undefined || offered.tenant !== own) return apart(disagreement(own, offered.tenant))
  for (const epoch of offered.epochs) {
    const scope = scopes.find({ tenant: own, epoch })
    if (scope === undefined) continue
    const { hasher } = scope
    const isAsked = hasPublic && offered.public === true && own !== PUBLIC_TENANT
    // Only a host that has this tenant can verify what it keeps of it.
    const publicScope = isAsked ? scopes.find({ tenant: PUBLIC_TENANT, epoch }) : undefined
    if (publicScope === undefined) return { hasher, tenant: own, answer: { tenant: own, epoch } }
    return { hasher, publicHasher: publicScope.hasher, tenant: own, answer: { tenant: own, epoch, public: true } }
  }
  return apart('the two hosts have no cluster key in common')
}

/** What the source makes of the answer. `own`: the scope that the guest's pages were offered in. */
export function shareAtSource(
  scopes: PageScopes, own: PageScope | 'private' | undefined, answered: AnsweredPages | undefined,
): Sharing {
  if (answered === undefined) {
    const { oldest } = scopes
    const { hasher, tenant } = oldest
    if (own === oldest) return { hasher, tenant }
    return { hasher, apart: own === 'private' ? PRIVATE : 'the destination runs a version without tenants' }
  }
  if ('apart' in answered) return { hasher: NOTHING_IN_COMMON, apart: answered.apart }
  const agreed = scopes.find(answered)
  if (own === 'private' || agreed === undefined || agreed.tenant !== own?.tenant) {
    throw bad('bad-answer', 'it names pages of others')
  }
  if (answered.public === true && own.tenant === PUBLIC_TENANT) throw bad('bad-answer', 'it names public pages twice')
  const publicHasher = answered.public === true ? scopes.publicHasher(agreed.epoch) : undefined
  const both = publicHasher === undefined ? {} : { publicHasher }
  if (agreed === own) return { hasher: own.hasher, ...both, tenant: own.tenant }
  return { hasher: agreed.hasher, ...both, apart: 'the destination does not have the newest cluster key yet' }
}

function apart(why: string): Sharing & { answer: AnsweredPages } {
  return { hasher: NOTHING_IN_COMMON, apart: why, answer: { apart: why } }
}

function disagreement(own: string | undefined, offered: string | undefined): string {
  if (own === undefined || offered === undefined) {
    return 'it is not known which guest it is, and not all are of one tenant'
  }
  return `the guest is of tenant ${offered} at the source, and of tenant ${own} at the destination`
}

function objectOf(value: unknown): Record<string, unknown> {
  return typeof value === 'object' && value !== null ? value as Record<string, unknown> : {}
}

function isEpoch(value: unknown): value is string {
  return typeof value === 'string' && /^[0-9a-f]{16}$/.test(value)
}
