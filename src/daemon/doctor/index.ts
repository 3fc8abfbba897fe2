/**
 * `pagemesh doctor`: what an operator wants to know of a host when something is odd. `gather` looks, `judge` decides.
 * `pagemesh check` judges a configuration by itself; here it is one fact among others.
 */
export { judgeAddresses } from './addresschecks.ts'
export { writeArchive } from './archive.ts'
export { bugReport } from './bugreport.ts'
export type { Facts } from './facts.ts'
export type { Finding, Verdict } from './finding.ts'
export { gather, lookUpNames, type GatherInit } from './gather.ts'
export { judge } from './judge.ts'
