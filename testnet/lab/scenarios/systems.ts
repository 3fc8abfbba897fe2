/** Systems that several scenarios use. */

/** Boots in seconds and stays idle: for scenarios in which the guest's contents do not matter. */
export const SMALL = { system: 'busybox', work: 'idle', memoryMiB: 128 } as const

/** Half of its memory is random, so that its migration takes a while on a slow link. */
export const RANDOM = { system: 'busybox', work: 'random', memoryMiB: 256 } as const

/** A Debian with a service; under emulation it boots in most of a minute. */
export const DEBIAN = { system: 'debian', memoryMiB: 512 } as const

/** Pages count as popular after two scans: scans every five seconds instead of every minute. */
export const SCANS_OFTEN = { census: { intervalSeconds: 5 } } as const
