/** A host with so many processors has some to spare: a migration has several channels there, and threads for them. */
export const CORES_TO_SPARE_MIN = 8
