/** Whether all libvirt tests run, as with `npm run test:libvirt`, or only as many as CI has time for. */
export const IS_WHOLE = process.env['PAGEMESH_LIBVIRT'] === 'whole'

/** How often the guest moves there and back. */
export const JOURNEYS = Number(process.env['PAGEMESH_JOURNEYS'] ?? 1)
