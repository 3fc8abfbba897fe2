/** The unprivileged user that attacks. */
export const NOBODY = { uid: 65534, gid: 65534 }
