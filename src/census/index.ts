/**
 * Which pages this host's guests hold: scans each guest when it appears and at an interval, in a worker thread with a
 * rate limit. It records one location for each distinct page.
 */
export type { Census, CensusTotals, GuestCensus } from './api.ts'
export { createCensus, type CensusInit } from './census.ts'
