/** Whether all tests of libvirt run, as `npm run test:libvirt` has it, or as many as CI has time for. */
export const IS_WHOLE = process.env['PAGEMESH_LIBVIRT'] === 'whole'

/** How often the guest goes there and back. */
export const JOURNEYS = Number(process.env['PAGEMESH_JOURNEYS'] ?? 1)
