import { Counter, Gauge, type Registry } from 'prom-client'

import type { AgentStatus } from './status.ts'

/**
 * Metrics of handoffs. Where KubeVirt has a metric of the same meaning, ours has its words behind our prefix:
 * `pagemesh_migration_` for `kubevirt_vmi_migration_`, and a guest's name in the label `name`. Only a few guests move
 * at once, and their names are told only where the operator wants it.
 */
export function addHandoffMetrics(
  registers: Registry[], status: () => AgentStatus, { guestNames }: { guestNames: boolean },
): void {
  addEnded(registers, status)
  addPassages(registers, status)
  addMoving(registers, status, guestNames)
}

/** Handoffs by direction, driver and, if known, manager. */
function addEnded(registers: Registry[], status: () => AgentStatus): void {
  new Gauge({
    name: 'pagemesh_handoffs_running',
    help: 'Handoffs under way, driven by this agent over QMP or relayed for a manager.',
    labelNames: ['direction', 'driver'],
    registers,
    collect() {
      for (const direction of ['outgoing', 'incoming']) {
        for (const driver of ['qmp', 'relay']) this.set({ direction, driver }, 0)
      }
      for (const { direction, driver, phase } of status().handoffs) {
        if (phase !== 'queued') this.inc({ direction, driver })
      }
    },
  })
  new Gauge({
    name: 'pagemesh_handoffs_queued',
    help: 'Guests that wait for their turn to leave here.',
    registers,
    collect() { this.set(status().handoffs.filter(({ phase }) => phase === 'queued').length) },
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

/** What the streams of guests that left came to, counted when each handoff ends. */
function addPassages(registers: Registry[], status: () => AgentStatus): void {
  const byLabel = (name: string, help: string, label: string, counts: () => Record<string, number>): void => {
    new Counter({
      name, help, labelNames: [label], registers,
      collect() {
        this.reset()
        for (const [value, count] of Object.entries(counts())) this.inc({ [label]: value }, count)
      },
    })
  }
  byLabel('pagemesh_passage_pages_total', 'Pages of guests that left here, by how each travelled.', 'form',
    () => status().passages.pages)
  byLabel('pagemesh_passage_refs_total', 'References to pages of guests that left here, by what filled each.', 'source',
    () => ({ ...status().passages.refsFilledBy }))
  const sum = (name: string, help: string, value: () => number): void => {
    new Counter({ name, help, registers, collect() { this.reset(); this.inc(value()) } })
  }
  sum('pagemesh_passage_qemu_bytes_total', 'What source QEMUs here wrote.', () => status().passages.qemuBytes)
  sum('pagemesh_passage_wire_bytes_total', 'What this agent sent of it.', () => status().passages.wireBytes)
  sum('pagemesh_digest_mismatches_total', 'Handoffs whose destination did not write what the source read.',
    () => status().passages.digestMismatches)
}

/** Of guests that leave under this agent's own hand; of a manager's nobody here knows how much is left. */
function addMoving(registers: Registry[], status: () => AgentStatus, guestNames: boolean): void {
  const moving = () => status().handoffs.flatMap((handoff) =>
    (handoff.direction === 'outgoing' && handoff.driver === 'qmp' ? [handoff] : []))
  const gauge = (name: string, help: string, value: (handoff: ReturnType<typeof moving>[number]) => number): void => {
    new Gauge({
      name, help, registers, labelNames: guestNames ? ['name'] : [],
      collect() {
        this.reset()
        for (const handoff of moving()) this.inc(guestNames ? { name: handoff.guest } : {}, value(handoff))
      },
    })
  }
  gauge('pagemesh_migration_data_processed_bytes', 'What the QEMUs of guests that leave here have written so far.',
    ({ qemuBytes }) => qemuBytes)
  gauge('pagemesh_migration_data_remaining_bytes', 'What their QEMUs say is left.',
    ({ remainingBytes }) => remainingBytes)
  gauge('pagemesh_migration_wire_bytes', 'What this agent has sent of it so far.', ({ wireBytes }) => wireBytes)
}
