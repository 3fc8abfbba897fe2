import { askAgent, type AskInit } from '../daemon/control/index.ts'
import { printable } from '../text/printable.ts'
import { failAnswer, writeJson } from './exit.ts'

/**
 * Asks the agent and prints its answer: as JSON with `--json`, otherwise as the text that `render` returns. Reports
 * errors and sets the exit status; `judge` may set another for what was answered.
 */
export async function showAnswer<Answer>(
  ask: AskInit, json: true | undefined, render: (answer: Answer) => string | Promise<string>,
  judge: (answer: Answer) => void = () => undefined,
): Promise<void> {
  try {
    const answer = await askAgent<Answer>(ask)
    if (json === true) writeJson(answer)
    else process.stdout.write(`${await render(printable(answer))}\n`)
    judge(answer)
  } catch (error) {
    failAnswer(error, json === true)
  }
}
