import { Counter, Gauge, Registry } from 'prom-client'

import { addHandoffMetrics } from './handoffmetrics.ts'
import { valueOf, type AgentOptions } from './options.ts'
import type { AgentStatus, Traffic } from './status.ts'

/** Prometheus metrics of one agent, in its own registry, from the snapshot that status shows. */
export function createMetrics(
  status: () => AgentStatus, options: Pick<AgentOptions, 'census' | 'metrics'>,
): () => Promise<string> {
  const intervalSeconds = valueOf(options, 'census.intervalSeconds')
  const guestNames = valueOf(options, 'metrics.guestNames')
  const registry = new Registry()
  const registers = [registry]
  const gauge = (name: string, help: string, value: (status: AgentStatus) => number): void => {
    new Gauge({ name, help, registers, collect() { this.set(value(status())) } })
  }
  const counter = (name: string, help: string, value: (status: AgentStatus) => number): void => {
    new Counter({ name, help, registers, collect() { this.reset(); this.inc(value(status())) } })
  }
  addInfo(registers, status)
  addGuests(gauge)
  addPages(gauge, counter, intervalSeconds)
  addRefusals(gauge, counter)
  addKeys(gauge)
  addHandoffMetrics(registers, status, { guestNames })
  addTraffic(registers, status, gauge)
  if (guestNames) addNamedGuests(registers, status)
  return async () => await registry.metrics()
}

type Add = (name: string, help: string, value: (status: AgentStatus) => number) => void

function addInfo(registers: Registry[], status: () => AgentStatus): void {
  new Gauge({
    name: 'pagemesh_info', help: 'The version that runs, and the kernel that hashes pages.', registers,
    labelNames: ['version', 'kernel'],
    collect() {
      const { version, kernel } = status()
      this.set({ version, kernel }, 1)
    },
  })
}

function addGuests(gauge: Add): void {
  gauge('pagemesh_peers', 'Members of the mesh that this host is connected to.', ({ peers }) => peers.length)
  gauge('pagemesh_guests', 'Guests of this host.', ({ guests }) => guests.length)
  gauge('pagemesh_guests_unusable', 'QEMUs of this host that are refused as guests.', ({ unusable }) => unusable.length)
  gauge('pagemesh_guests_held', 'Guests held here, paused, until it is decided whether they may run.',
    ({ held }) => held.length)
  gauge('pagemesh_guests_held_oldest_seconds', 'For how long the first of them has been held.',
    ({ held }) => Math.max(0, ...held.map(({ sinceMs }) => sinceMs)) / 1000)
  gauge('pagemesh_settled', 'Whether every guest was scanned since it appeared.', ({ settled }) => (settled ? 1 : 0))
}

function addPages(gauge: Add, counter: Add, intervalSeconds: number): void {
  gauge('pagemesh_census_distinct_pages', 'Distinct pages resident here.', ({ census }) => census.distinctPages)
  gauge('pagemesh_census_bytes', 'Memory that the census takes.', ({ census }) => census.bytes)
  gauge('pagemesh_census_omitted_pages', 'Pages left out of a full census.', ({ census }) => census.omittedPages)
  gauge('pagemesh_census_interval_seconds', 'Time between two scans of a guest, as configured.', () => intervalSeconds)
  counter('pagemesh_census_scans_total', 'Whole scans of guests.', ({ census }) => census.scans)
  gauge('pagemesh_popularity_pages', 'Pages known to be popular in the mesh.', ({ popularity }) => popularity.pages)
  gauge('pagemesh_popularity_bytes', 'Memory that popularity takes.', ({ popularity }) => popularity.bytes)
  gauge('pagemesh_popularity_view_age_seconds', 'How old the oldest part of what is known of popular pages is.',
    ({ popularity }) => popularity.viewAgeMs / 1000)
  gauge('pagemesh_placement_wanted_pages', 'Pages that this host should keep.', ({ placement }) => placement.wanted)
  gauge('pagemesh_placement_held_pages', 'Pages of them that it keeps.', ({ placement }) => placement.held)
  gauge('pagemesh_placement_pending_pages', 'Pages of them that are still to be fetched.',
    ({ placement }) => placement.pending)
  gauge('pagemesh_store_pages', 'Pages kept.', ({ store }) => store.pages)
  gauge('pagemesh_store_bytes', 'Disk that they take.', ({ store }) => store.bytes)
  gauge('pagemesh_store_limit_bytes', 'Disk that they may take, as configured.', ({ store }) => store.maxBytes)
  counter('pagemesh_store_damaged_pages_total', 'Pages found damaged in the store, and dropped.',
    ({ store }) => store.damagedPages)
}

function addRefusals(gauge: Add, counter: Add): void {
  counter('pagemesh_popularity_refused_total', 'Reports and news of popular pages that were refused.',
    ({ popularity }) => popularity.refused)
  counter('pagemesh_popularity_unproven_total', 'Reported pages whose holders did not prove that they hold them.',
    ({ popularity }) => popularity.unproven)
  counter('pagemesh_strangers_total', 'Peers dropped that did not prove the cluster key.', ({ strangers }) => strangers)
  counter('pagemesh_refused_offers_total', 'Offers of guests that were refused.',
    ({ refused }) => refused.offers)
  counter('pagemesh_refused_names_total', 'Refused hosts whose name belongs to another identity.',
    ({ refused }) => refused.names)
  gauge('pagemesh_intercept_active', 'Whether connections of managers to members pass through here.',
    ({ intercept }) => (intercept.active ? 1 : 0))
  counter('pagemesh_intercept_carried_total', 'Intercepted connections that were relayed to their member.',
    ({ intercept }) => intercept.carried)
  counter('pagemesh_intercept_direct_total', 'Intercepted connections that went direct, as without an agent.',
    ({ intercept }) => intercept.direct)
  counter('pagemesh_intercept_refused_total', 'Connections to the listeners that were closed.',
    ({ intercept }) => intercept.refused)
}

function addKeys(gauge: Add): void {
  gauge('pagemesh_cluster_keys', 'Cluster keys that this host accepts: two while they are exchanged.',
    ({ keys }) => keys.accepts.length)
  gauge('pagemesh_cluster_keys_lacking', 'Cluster keys that members have and this host lacks.',
    ({ keys }) => keys.lacks.length)
  gauge('pagemesh_cluster_key_strangers', 'Hosts whose cluster key is another, so that neither lets the other in.',
    ({ keys }) => keys.strangers.length)
}

function addTraffic(registers: Registry[], status: () => AgentStatus, gauge: Add): void {
  gauge('pagemesh_saved_bytes', 'Bytes saved by handoffs, compared with QEMU alone.', ({ ledger }) => ledger.savedBytes)
  gauge('pagemesh_net_saved_bytes', 'Bytes saved, minus bytes spent otherwise.', ({ ledger }) => ledger.netBytes)
  new Counter({
    name: 'pagemesh_traffic_bytes_total',
    help: 'Bytes on the wire by account and direction.',
    labelNames: ['account', 'direction'],
    registers,
    collect() {
      this.reset()
      for (const [account, { sentBytes, receivedBytes }] of Object.entries<Traffic>(status().traffic)) {
        this.inc({ account, direction: 'sent' }, sentBytes)
        this.inc({ account, direction: 'received' }, receivedBytes)
      }
    },
  })
}

/** A label for each guest of the host: as many as it has, and only where the operator asked for it. */
function addNamedGuests(registers: Registry[], status: () => AgentStatus): void {
  const gauge = (name: string, help: string, value: (guest: AgentStatus['guests'][number]) => number): void => {
    new Gauge({
      name, help, registers, labelNames: ['name'],
      collect() {
        this.reset()
        for (const guest of status().guests) this.set({ name: guest.name }, value(guest))
      },
    })
  }
  gauge('pagemesh_guest_resident_pages', 'Pages of a guest that are resident.', ({ residentPages }) => residentPages)
  gauge('pagemesh_guest_distinct_pages', 'Distinct pages of a guest.', ({ distinctPages }) => distinctPages)
}
