import { Counter, Gauge, Registry } from 'prom-client'

import type { AgentStatus, Traffic } from './status.ts'

/** Prometheus metrics of one agent, in its own registry, from the snapshot that status shows. */
export function createMetrics(status: () => AgentStatus): () => Promise<string> {
  const registry = new Registry()
  const registers = [registry]
  const gauge = (name: string, help: string, value: (status: AgentStatus) => number): void => {
    new Gauge({ name, help, registers, collect() { this.set(value(status())) } })
  }
  gauge('pagemesh_peers', 'Members of the mesh that this host is connected to.', ({ peers }) => peers.length)
  gauge('pagemesh_guests', 'Guests of this host.', ({ guests }) => guests.length)
  gauge('pagemesh_census_distinct_pages', 'Distinct pages resident here.', ({ census }) => census.distinctPages)
  gauge('pagemesh_census_bytes', 'Memory that the census takes.', ({ census }) => census.bytes)
  gauge('pagemesh_census_omitted_pages', 'Pages left out of a full census.', ({ census }) => census.omittedPages)
  gauge('pagemesh_popularity_pages', 'Pages known to be popular in the mesh.', ({ popularity }) => popularity.pages)
  gauge('pagemesh_popularity_bytes', 'Memory that popularity takes.', ({ popularity }) => popularity.bytes)
  gauge('pagemesh_settled', 'Whether every guest was scanned since it appeared.', ({ settled }) => (settled ? 1 : 0))
  const counter = (name: string, help: string, value: (status: AgentStatus) => number): void => {
    new Counter({ name, help, registers, collect() { this.reset(); this.inc(value(status())) } })
  }
  counter('pagemesh_census_scans_total', 'Whole scans of guests.', ({ census }) => census.scans)
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
  addHandoffs(registers, status)
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
  return async () => await registry.metrics()
}

/** Handoffs by direction, driver and, if known, manager. */
function addHandoffs(registers: Registry[], status: () => AgentStatus): void {
  new Gauge({
    name: 'pagemesh_handoffs_running',
    help: 'Handoffs under way, driven by this agent over QMP or relayed for a manager.',
    labelNames: ['direction', 'driver'],
    registers,
    collect() {
      for (const direction of ['outgoing', 'incoming']) {
        for (const driver of ['qmp', 'relay']) this.set({ direction, driver }, 0)
      }
      for (const { direction, driver } of status().handoffs) this.inc({ direction, driver })
    },
  })
  new Counter({
    name: 'pagemesh_handoffs_total',
    help: 'Handoffs that have ended, by outcome, as far as this host knows.',
    labelNames: ['direction', 'driver', 'manager', 'status'],
    registers,
    collect() {
      this.reset()
      // Prometheus treats an empty label as absent.
      for (const { count, manager, ...labels } of status().ended) this.inc({ ...labels, manager: manager ?? '' }, count)
    },
  })
}
