import { availableParallelism } from 'node:os'
import { join } from 'node:path'

import { createCensus, type Census } from '../census/index.ts'
import { discoverAll, type GuestDiscovery } from '../guest/index.ts'
import {
  createLibp2pMesh, Invitations, KeyRing, NamePins, replaceClusterKeys, Standing, type HeldKeys, type Mesh,
} from '../mesh/index.ts'
import { kernelInUse, SHARED_TENANT, type PageScopes, type PageVerifier } from '../page/index.ts'
import { PassageThreads, threadCount } from '../passage/index.ts'
import { createKeeper, Holders, type Keeper } from '../placement/index.ts'
import type { Popularity, PopularityView } from '../popularity/index.ts'
import { createPossession, type Possession } from '../possession/index.ts'
import { Rotation } from '../rotation/index.ts'
import { systemClock, type Clock } from '../runtime/clock.ts'
import { silentLog, type Log } from '../runtime/log.ts'
import { systemRandom, type Random } from '../runtime/random.ts'
import { createStore, type Store } from '../store/index.ts'
import { createSwap, type Swap } from '../swap/index.ts'
import type { PublicPages } from '../transfer/index.ts'
import type { Audit } from './audit.ts'
import { auditedHistory } from './auditedhistory.ts'
import { EndedTally } from './endedtally.ts'
import { createHistory, type History } from './history.ts'
import { HostInterception } from './interception.ts'
import { createJournal, type Journal } from './journal.ts'
import { KeyEpochs } from './keyepochs.ts'
import { auditOf } from './meshaudit.ts'
import { valueOf, type AgentOptions } from './options.ts'
import { PinFile } from './pinfile.ts'
import { createPublicPages } from './publicpages.ts'
import { PublicSamples } from './publicsamples.ts'
import { ownAddresses } from './relays.ts'
import { RemovedKeysFile } from './removedkeys.ts'
import { StartFile } from './startfile.ts'
import { createTenantPopularity, exceptPublic } from './tenantpopularity.ts'
import { createScopes } from './tenants.ts'
import { VERSION } from './version.ts'

/** An agent's ports to the world; tests and embedding programs may supply their own. */
export interface AgentComponents {
  clock?: Clock
  log?: Log
  random?: Random
  /** Replaces the libp2p mesh that the options describe. */
  mesh?: Mesh
}

/** What an agent is made of, besides what it makes when it starts. */
export interface Parts extends Membership, Knowledge, Exchange, Records {
  interception: HostInterception
  audit: Audit
  threads: PassageThreads
  startFile: StartFile
  rotation: Rotation
  epochs: KeyEpochs
}

type World = Required<Omit<AgentComponents, 'mesh'>>

interface Membership extends Required<AgentComponents> {
  ring: KeyRing
  pins: NamePins
  invitations: Invitations
}

interface Knowledge {
  census: Census
  popularity: Popularity
  /** What is popular of public pages; undefined where this host lacks the tenant. */
  publicView: PopularityView | undefined
  discovery: GuestDiscovery
  scopes: PageScopes
  /** Verifies pages of any scope. */
  hasher: PageVerifier
}

interface Exchange {
  store: Store
  possession: Possession
  swap: Swap
  holders: Holders
  keeper: Keeper
  publicPages: PublicPages
  publicSamples: PublicSamples
}

interface Records {
  ended: EndedTally
  history: History
  pinFile: PinFile
  journal: Journal
}

/** Makes the parts of an agent; nothing runs yet, and no file is written. */
export async function createParts(
  options: AgentOptions, components: AgentComponents, held: HeldKeys,
): Promise<Parts> {
  const ring = new KeyRing(held)
  const membership = createMembership(options, components, ring)
  const { clock, log, random } = membership
  const world = { clock, log, random }
  const interception = new HostInterception(membership, {
    ports: options.intercept?.ports ?? [], agentPorts: ownAddresses(options).ports,
  })
  const audit = auditOf(world, { ...membership, path: stateFile(options, 'audit') })
  const standing = new Standing(world)
  const startFile = await StartFile.read(world, stateFile(options, 'started'))
  const scopes = createScopes(ring.used.clusterKey, options.tenants ?? { default: SHARED_TENANT })
  const knowledge = createKnowledge(options, { ...membership, scopes, standing, startFile })
  const exchange = createExchange(options, { ...membership, ...knowledge, standing, audit })
  const epochs = new KeyEpochs({ ...membership, ...knowledge, ...exchange }, { intervalMs: intervalOf(options) })
  const rotation = await createRotation(options, { ...membership, ...knowledge, audit, epochs })
  const threads = new PassageThreads(world, {
    count: threadCount(valueOf(options, 'handoff.threads'), {
      cores: availableParallelism(), hasKernel: kernelInUse() !== 'package',
    }),
  })
  const records = createRecords(options, { ...membership, audit })
  return {
    ...membership, ...knowledge, ...exchange, ...records, interception, audit, threads, startFile, rotation, epochs,
  }
}

/** A file, or a directory, of this host's state. */
function stateFile(options: AgentOptions, what: string): string {
  return join(valueOf(options, 'store.path'), `${options.name}.${what}`)
}

/** Who this host is in the mesh, and whom it knows there. */
function createMembership(options: AgentOptions, components: AgentComponents, ring: KeyRing): Membership {
  const { clock = systemClock, log = silentLog, random = systemRandom } = components
  const world: World = { clock, log, random }
  const pins = new NamePins(world)
  const invitations = new Invitations(world, { keys: ring })
  const mesh = components.mesh ?? createLibp2pMesh(world, {
    name: options.name,
    keys: ring,
    identityPath: stateFile(options, 'identity'),
    listen: valueOf(options, 'listen'),
    ...(options.lane === undefined ? {} : { lane: options.lane }),
    announce: options.announce ?? [],
    bootstrap: options.bootstrap ?? [],
    version: VERSION,
    pins,
    invitations,
  })
  return { ...world, mesh, pins, invitations, ring }
}

function intervalOf(options: AgentOptions): number {
  return valueOf(options, 'census.intervalSeconds') * 1000
}

/** What is known of pages: those of this host's guests, and those that are popular in the mesh. */
function createKnowledge(
  options: AgentOptions,
  parts: Membership & { scopes: PageScopes; standing: Standing; startFile: StartFile },
): Knowledge {
  const { ring } = parts
  const { sliceKey } = ring.used.keys
  const intervalMs = intervalOf(options)
  const census = createCensus(parts, {
    pagesPerSecond: valueOf(options, 'census.pagesPerSecond'),
    intervalMs,
    bytesMax: valueOf(options, 'census.maxBytes'),
  })
  const { popularity, publicView } = createTenantPopularity({ ...parts, census }, {
    minHosts: valueOf(options, 'popularity.minHosts'),
    maxPages: valueOf(options, 'popularity.maxPages'),
    intervalMs,
    sliceKey,
    isRotating: () => ring.other !== undefined,
    startedAt: parts.startFile.startedAt,
  })
  const discovery = discoverAll(parts, { globs: options.guests ?? [], managed: valueOf(options, 'managed') })
  const { scopes } = parts
  return { census, popularity, publicView, discovery, scopes, hasher: scopes.verifier }
}

/** How pages are kept, and given to others and got from them. */
function createExchange(
  options: AgentOptions, parts: Membership & Knowledge & { standing: Standing; audit: Audit },
): Exchange {
  const { census, popularity, audit, ring } = parts
  const intervalMs = intervalOf(options)
  const store = createStore(parts, {
    path: stateFile(options, 'pages'), bytesMax: valueOf(options, 'store.maxBytes'),
  })
  const possession = createPossession({
    ...parts,
    resident: census.resident,
    namedHolders: (high, low) => popularity.view.holdersOf(high, low),
  }, {
    keys: () => ring.all.map(({ keys }) => keys.possessionKey), minHosts: valueOf(options, 'popularity.minHosts'),
    intervalMs,
  })
  const swap = createSwap({
    ...parts,
    sources: [census.resident, store.source],
    isPopular: (high, low) => popularity.view.hostsOf(high, low) > 0,
    confirm: exceptPublic(census, (pages, by) => possession.confirm(pages, by)),
    onServed: ({ name, peerId }, pages) => audit.note({ event: 'pages', member: name, peerId, pages }),
  }, { bytesPerSecondMax: valueOf(options, 'swap.maxBandwidth') })
  const holders = new Holders(parts)
  const keeper = createKeeper({ ...parts, store, swap, holders }, { intervalMs })
  const publicPages = createPublicPages({ census, store, view: parts.publicView })
  return { store, possession, swap, holders, keeper, publicPages, publicSamples: new PublicSamples(parts) }
}

/** How the cluster key is exchanged for another; what depends on the key in use follows it. */
async function createRotation(
  options: AgentOptions, parts: Membership & Knowledge & { audit: Audit; epochs: KeyEpochs },
): Promise<Rotation> {
  const { ring, popularity, audit, log, epochs } = parts
  const { clusterKey } = options
  const removed = await RemovedKeysFile.read({ log }, stateFile(options, 'removedkeys'))
  ring.onChange(() => {
    popularity.rekey(ring.used.keys.sliceKey)
    epochs.follow()
  })
  return new Rotation({ ...parts, removed }, {
    // Whoever gave the agent its key, and no file, keeps the keys as well.
    save: async (keys, before) => {
      if (typeof clusterKey === 'string') await replaceClusterKeys(clusterKey, keys, before)
    },
    onNews: (news) => audit.note(news),
  })
}

/** What is written down of handoffs and names. */
function createRecords(options: AgentOptions, parts: Membership & { audit: Audit }): Records {
  const ended = new EndedTally()
  const written = createHistory(parts, { path: stateFile(options, 'history') })
  return {
    ended,
    history: ended.over(auditedHistory(written, parts.audit)),
    pinFile: new PinFile(parts, { path: stateFile(options, 'pins') }),
    journal: createJournal(parts, { directory: stateFile(options, 'handoffs') }),
  }
}
