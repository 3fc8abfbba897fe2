import type { Scenario } from '../scenario.ts'
import { alien } from './alien.ts'
import { cancelled } from './cancelled.ts'
import { chain } from './chain.ts'
import { crash } from './crash.ts'
import { dirtying } from './dirtying.ts'
import { empty } from './empty.ts'
import { full } from './full.ts'
import { killed } from './killed.ts'
import { leaving } from './leaving.ts'
import { newcomer } from './newcomer.ts'
import { opposite } from './opposite.ts'
import { partition } from './partition.ts'
import { rolling } from './rolling.ts'
import { same } from './same.ts'
import { slow } from './slow.ts'
import { waiting } from './waiting.ts'
import { working } from './working.ts'

/** All scenarios, in the order of the list. */
export const SCENARIOS: readonly Scenario[] = [
  rolling, opposite, crash, partition, waiting, dirtying, chain,
  same, working, slow, full, empty, newcomer, cancelled, leaving, alien, killed,
]
