import { FAILED_THERE, sentenceOf, type OutgoingEnding } from '../conversation/index.ts'
import type { GuestState } from '../guest/index.ts'
import type { HandoffResult } from '../transfer/index.ts'

/** An ending as status, code, and a reason that says where the guest is. `here`: its state at the source. */
export function wordsOf(
  ending: OutgoingEnding,
  { guest, from, to, here }: { guest: string; from: string; to: string; here: GuestState | undefined },
): Pick<HandoffResult, 'status' | 'code' | 'reason' | 'arrivedState'> {
  switch (ending.as) {
    case 'completed':
      return { status: 'completed', arrivedState: ending.state }
    case 'estimated':
      return { status: 'completed', arrivedState: null }
    case 'unconfirmed':
      return failure('unconfirmed',
        `The source gave ${guest} up, but ${to} has not confirmed that it arrived. ` +
        `${to} holds the guest and lets it run as soon as it reaches ${from}: leave the source QEMU as it is, and ` +
        `see \`pagemesh status\` on ${to}.`)
    default: {
      const { code, fault } = ending.reason
      const said = `${code === FAILED_THERE ? `${to}: ` : ''}${sentenceOf(ending.reason)}`
      const words = failure(code, `${said} ${whereabouts(ending.as, { guest, from, to, here })}`)
      return ending.as === 'kept' && fault === 'cancelled' ? { ...words, status: 'cancelled' } : words
    }
  }
}

function failure(code: string, reason: string): Pick<HandoffResult, 'status' | 'code' | 'reason' | 'arrivedState'> {
  return { status: 'failed', code, reason, arrivedState: null }
}

function whereabouts(
  as: 'kept' | 'held' | 'cut' | 'lost' | 'undecided' | 'orphaned',
  { guest, from, to, here }: { guest: string; from: string; to: string; here: GuestState | undefined },
): string {
  switch (as) {
    case 'kept':
      if (here === 'running') return `The guest runs on at the source, ${from}.`
      return here === undefined ? `${from} keeps the guest, but its QEMU does not answer now or has ended.`
        : `The guest stays at the source, ${from}; its state is ${here}.`
    case 'held':
      return `${guest} runs nowhere. If ${to} holds its copy, \`pagemesh settle ${guest}\` there lets it run or ends ` +
        `it; only once that copy is no more, let the one at ${from} run (QMP \`cont\`).`
    case 'cut':
      return `${guest} had switched over: end neither QEMU. \`pagemesh recover ${guest}\` on ${from} resumes it.`
    case 'lost':
      return 'No whole copy of the guest is left.'
    case 'undecided':
      return `What became of ${guest} is not known: the source QEMU does not say. ${to} holds its copy, if it is ` +
        `whole, and asks ${from} again; \`pagemesh status\` on ${to} shows it.`
    case 'orphaned':
      return `If the copy at ${to} is whole it is the guest, and ${to} lets it run as soon as it reaches ${from}; ` +
        `see \`pagemesh status\` on ${to}.`
  }
}
