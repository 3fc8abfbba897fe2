/** A worker thread: runs one passage at a time, with connections that the agent's thread hands over. */
import { parentPort } from 'node:worker_threads'

import { createPageHasher } from '../../page/index.ts'
import { assert } from '../../runtime/assert.ts'
import { systemClock } from '../../runtime/clock.ts'
import { systemRandom } from '../../runtime/random.ts'
import { warmUp } from '../warmup.ts'
import type { FromThread, ToThread } from './message.ts'
import { ThreadPassage } from './threadpassage.ts'

const port = parentPort
assert(port !== null, 'passages run in a worker thread')
const post = (message: FromThread): void => port.postMessage(message)
let passage: ThreadPassage | undefined

port.on('message', (message: ToThread) => {
  if (message.kind === 'lane') {
    passage = new ThreadPassage({ clock: systemClock, post }, message, () => {
      passage = undefined
      post({ kind: 'over' })
    })
  } else if (message.kind === 'warmUp') {
    const hasher = createPageHasher(new Uint8Array(32))
    // A failure is ignored: without warm-up passages are only slower, and a real fault will show in a passage.
    warmUp({ clock: systemClock, hasher, random: systemRandom }).catch(() => {}).finally(() => post({ kind: 'over' }))
  } else {
    passage?.hear(message)
  }
})
