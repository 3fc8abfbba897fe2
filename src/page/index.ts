/**
 * What a page is: its size, its id, tables keyed by id, and sources of its bytes. All of this works in batches over
 * typed arrays, without an object for each page.
 */

export { closeUp } from './closeup.ts'
export { createPageHasher, type PageHasher, type PageVerifier } from './hasher.ts'
export { createStreamDigest, DIGEST_BYTES, type StreamDigest } from './digest.ts'
export { deliveryOver, descriptorOf, giveAway } from './kernel/giveaway.ts'
export {
  canPassDescriptors, connectedPair, kernelInUse, originalDestination, passDescriptor, peerProcess,
  type Delivery, type InstructionSet, type KernelInUse,
} from './kernel/kernel.ts'
export { FetchedPages } from './fetchedpages.ts'
export {
  answerPages, fetchedPages, Inventory, lastFirst, listPages, listTogether, orderOf, type ListedPages,
} from './inventory.ts'
export { warmUpInventory } from './inventorywarmup.ts'
export { looksPackable, pack, packNow, unpack } from './packing.ts'
export { PageBudget } from './pagebudget.ts'
export { PageColumns } from './pagecolumns.ts'
export { isStraight, placesOf, runEnd, type Places } from './places.ts'
export { idsOf, isAmong, prefixesAt, readPrefixes, writePrefixes, type Prefixes } from './prefixes.ts'
export { PrefixRun } from './prefixrun.ts'
export { PrefixTable } from './prefixtable.ts'
export {
  decodePrefixSet, encodePrefixSet, isInSet, prefixBitsFor, prefixHigh, prefixLow, PREFIX_SET_LIMITS, truncatePrefix,
  type PrefixSet,
} from './prefixset.ts'
export { readRising, RICE_MAX, riceFor, writeRising } from './rising.ts'
export { firstOf, idsAt, PageBatch, verified, type PageSource, type PageSourceKind } from './source.ts'
export {
  EPOCHS_MAX, PageScopes, PUBLIC_TENANT, SHARED_TENANT, TENANTS_MAX, type KeyEpoch, type PageScope,
  type ScopeName,
} from './scopes.ts'
export { BOUND_BYTES, NONCE_BYTES, SEAL_BYTES, type PageSealer, type SealedPages } from './sealed.ts'
export { createPageSealer } from './sealer.ts'
export type { SortedColumns } from './sortcolumns.ts'
export { SortedTable } from './sortedtable.ts'
export { ID_BYTES, PAGE_BYTES, PREFIX_BYTES } from './size.ts'
export { TableMerge } from './tablemerge.ts'
export { KeysVerifier } from './verifier.ts'
export { isZeroPage } from './zero.ts'
