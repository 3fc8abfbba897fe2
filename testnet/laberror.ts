/** What the lab, the comparison and the demonstration give up over. */
export type LabErrorCode =
  | 'lab-agent-ended' | 'lab-bad-accelerator' | 'lab-bad-host' | 'lab-bad-scenario' | 'lab-bad-usage'
  | 'lab-command-failed' | 'lab-guest-ended' | 'lab-guest-lost' | 'lab-host-ended' | 'lab-memory-not-found'
  | 'lab-migration-failed' | 'lab-not-cancelled' | 'lab-not-isolated' | 'lab-path-too-long' | 'lab-timeout'
  | 'bad-setting' | 'demo-failed' | 'host-absent' | 'host-refused'

/** An error of the lab itself, as opposed to one of the Pagemesh that runs in it. */
export class LabError extends Error {
  override readonly name = 'LabError'
  readonly code: LabErrorCode
  /** Of a command that failed: its exit status, the signal that ended it, or why it could not be started. */
  readonly status: number | string | undefined

  /** @param details.advice a whole sentence, which stands after the message. */
  constructor(
    code: LabErrorCode, message: string,
    { advice, cause, status }: { advice?: string; cause?: unknown; status?: number | string } = {},
  ) {
    super(advice === undefined ? message : `${message} ${advice}`, cause === undefined ? undefined : { cause })
    this.code = code
    this.status = status
  }
}
