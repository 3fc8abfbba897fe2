/** The `pagemesh` command, for what describes it elsewhere: the Debian package's manual pages and shell completion. */
export { createProgram } from './program.ts'
