/** Calls `onSignal` with how many times Ctrl-C or SIGTERM has come; returns how to end that. */
export function onStopSignal(onSignal: (count: number) => void): () => void {
  let count = 0
  const listener = (): void => onSignal(count += 1)
  process.on('SIGINT', listener).on('SIGTERM', listener)
  return () => process.off('SIGINT', listener).off('SIGTERM', listener)
}
