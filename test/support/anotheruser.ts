/** A user who owns nothing else. */
export const ANOTHER_USER = 54_320

/** Runs `work` as that user and group, for a test that runs as root; files are then used with that user's rights. */
export async function asAnotherUser<T>(work: () => Promise<T>): Promise<T> {
  process.setegid!(ANOTHER_USER)
  process.seteuid!(ANOTHER_USER)
  try {
    return await work()
  } finally {
    process.seteuid!(0)
    process.setegid!(0)
  }
}
