/**
 * Which pages this host's guests hold: scans each guest when it appears and at an interval, in a worker
 * thread with a rate limit, and knows for each page one place where it is resident.
 */
export type { Census, CensusTotals, GuestCensus } from './api.ts'
export { createCensus, type CensusInit } from './census.ts'
