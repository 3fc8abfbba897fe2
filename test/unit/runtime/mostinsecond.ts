/** The most that lies in any window of a second that ends with one of the events. */
export function mostInSecond(events: readonly { at: number; bytes: number }[]): number {
  const sorted = [...events].sort((a, b) => a.at - b.at)
  let most = 0
  let sum = 0
  let first = 0
  for (const { at, bytes } of sorted) {
    sum += bytes
    while (sorted[first]!.at <= at - 1000) sum -= sorted[first++]!.bytes
    most = Math.max(most, sum)
  }
  return most
}
