/**
 * The control socket, by which the commands of this host reach its agent: `protocol.ts` is what they say, the server
 * is the agent's end and `askAgent` the command's. Loads nothing of the agent itself, so that commands start fast.
 */
export { askAgent, type AskInit } from './client.ts'
export {
  CONTROL_LIMITS, type AuditResult, type CancelResult, type ControlRequest, type ErrorAnswer, type HistoryResult,
  type MigrateArguments, type PagesResult, type PeersResult, type Progress, type TunnelArguments,
} from './protocol.ts'
export { createControlServer, type ControlServer } from './server.ts'
export { requireNoAgent } from './socketfile.ts'
