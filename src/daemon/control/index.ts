/**
 * The control socket between this host's commands and its agent: `protocol.ts` defines the messages, the server is the
 * agent's end and `askAgent` the command's. It does not load the agent's code, so that commands start fast.
 */
export { askAgent, type AskInit } from './client.ts'
export {
  CONTROL_LIMITS, type AuditResult, type CancelResult, type ControlRequest, type ErrorAnswer, type HistoryResult,
  type EvacuateArguments, type KeysArguments, type MetricsResult, type MigrateArguments, type PagesResult,
  type PeersResult, type Progress, type TunnelArguments, type TunnelProgress,
} from './protocol.ts'
export { createControlServer, type ControlServer } from './server.ts'
export { requireNoAgent } from './socketfile.ts'
