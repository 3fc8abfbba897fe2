import { collectDefaultMetrics, Registry } from 'prom-client'

/** A measure of the event loop wakes the process so often, ms; what it tells includes this time. */
const LOOP_MEASURED_MS = 50
/** Gauges under names of counters, which Prometheus' own checks refuse. Sums of what stands beside them. */
const MISNAMED = ['nodejs_active_handles_total', 'nodejs_active_requests_total', 'nodejs_active_resources_total']

/**
 * What Node says of this process: memory, processor time, garbage collection, and how late the event loop is, over the
 * time since it was asked last. The daemon's and no agent's: several agents may live in one process.
 */
export function createProcessMetrics(): () => Promise<string> {
  const registry = new Registry()
  collectDefaultMetrics({ register: registry, eventLoopMonitoringPrecision: LOOP_MEASURED_MS })
  for (const name of MISNAMED) registry.removeSingleMetric(name)
  return async () => await registry.metrics()
}
