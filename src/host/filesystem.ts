/** What statfs(2) calls NFS. */
export const NFS = 0x6969
