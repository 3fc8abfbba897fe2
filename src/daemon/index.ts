/**
 * The agent as a service of its host: a configuration file, a control socket for the commands, a status page and
 * metrics. Uses only the library's public interface. `control/index.ts` exports the control socket.
 */
export { parseConfig, readConfig, type Config } from './config.ts'
export { runDaemon, type DaemonInit, type DaemonNews } from './daemon.ts'
export { makeNewHost, type NewHost, type NewHostInit } from './newhost.ts'
export { findSockets, readUsableConfig } from './usableconfig.ts'
