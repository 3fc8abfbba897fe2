/** From this many processors on, a migration gets several channels and threads for them. */
export const CORES_TO_SPARE_MIN = 8
