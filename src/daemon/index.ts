/**
 * The agent as a service of its host: a configuration file, a control socket for the commands, and a page with
 * metrics. Built on the embeddable face alone. The control socket has a face of its own, `control/index.ts`.
 */
export { parseConfig, readConfig, type Config } from './config.ts'
export { runDaemon, type DaemonInit } from './daemon.ts'
