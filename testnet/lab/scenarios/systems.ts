/** What many scenarios are made of. */

/** Up in seconds, with nothing to do: where it does not matter what a guest is. */
export const SMALL = { system: 'busybox', work: 'idle', memoryMiB: 128 } as const

/** Half of its memory is like no other's, so that its migration takes a while on a slow link. */
export const RANDOM = { system: 'busybox', work: 'random', memoryMiB: 256 } as const

/** A Debian that serves; it takes most of a minute to boot where it is emulated. */
export const DEBIAN = { system: 'debian', memoryMiB: 512 } as const

/** Pages count as popular after two scans: five seconds apart rather than a minute. */
export const SCANS_OFTEN = { census: { intervalSeconds: 5 } } as const
