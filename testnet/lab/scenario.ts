/**
 * A scenario as data: hosts, guests, steps, and expectations. Nothing here runs; `runner.ts` runs it, and `assertions/`
 * judge the record. So a scenario can be read, checked and printed without a lab.
 */
import type { MigrationMode } from '../../src/index.ts'
import type { GuestOptions } from '../index.ts'

export interface Scenario {
  /** Its name on the command line: lower case and dashes. */
  readonly name: string
  /** What happens, for the list: one sentence without a full stop. */
  readonly title: string
  readonly hosts: readonly HostPlan[]
  readonly guests: readonly GuestPlan[]
  readonly steps: readonly Step[]
  /** Expectations beyond those of every scenario. */
  readonly expect: readonly Expectation[]
}

export interface HostPlan {
  readonly name: string
  /** Rate of its link each way; default 1Gbit. */
  readonly rate?: string
  /** Further configuration of its agent, in the form of the configuration file. */
  readonly settings?: Readonly<Record<string, unknown>>
  /** Its agent is started by a step. */
  readonly joinsLater?: true
}

export interface GuestPlan extends Readonly<Pick<GuestOptions, 'name' | 'work' | 'system' | 'memoryMiB'>> {
  /** The host where it boots. */
  readonly host: string
  /** It is booted by a step. */
  readonly bootsLater?: true
}

export type Step =
  /** Waits until every running agent sees all others, has scanned its guests and fetched what it wants. */
  | { readonly do: 'settle' }
  | { readonly do: 'wait'; readonly seconds: number }
  /** Waits until the agent of `host` fulfils the condition. */
  | { readonly do: 'until'; readonly host: string; readonly sees: Condition; readonly seconds?: number }
  /** Waits until all running agents know the same popular pages, or the time is up; `views-agree` judges the result. */
  | { readonly do: 'converge'; readonly seconds: number }
  | { readonly do: 'boot'; readonly guest: string }
  | MigrateStep
  /** Starts the waiting QEMU ahead of a guest's migration. */
  | { readonly do: 'prepare'; readonly guest: string; readonly on: string }
  | { readonly do: 'cancel'; readonly guest: string }
  /** Moves every guest of `host`, to each of the others in turn; all at once or one after the other. */
  | { readonly do: 'evacuate'; readonly host: string; readonly to: readonly string[]; readonly atOnce?: true }
  /** Tracks that run in parallel, each with its steps in order; ends when all have. */
  | { readonly do: 'together'; readonly tracks: readonly (readonly Step[])[] }
  | { readonly do: 'shape'; readonly host: string; readonly rate: string }
  /** Only these hosts can still reach each other, or all again; no process is notified. */
  | { readonly do: 'cut' | 'restore'; readonly hosts: readonly string[] }
  | { readonly do: 'stop-agent' | 'kill-agent'; readonly host: string }
  | { readonly do: 'start-agent'; readonly host: string; readonly settings?: Readonly<Record<string, unknown>> }
  /** Cuts the link and kills agent and guests at once. Its guests count as lost. */
  | { readonly do: 'crash'; readonly host: string }

export interface MigrateStep {
  readonly do: 'migrate'
  readonly guest: string
  readonly to: string
  /** Default precopy. */
  readonly mode?: MigrationMode
  /** Further arguments of `pagemesh migrate`, such as `--timeout`. */
  readonly words?: readonly string[]
  /** The required status; default completed. */
  readonly ends?: MoveEnd
  /** Words that the reason must contain if the move does not complete, in upper or lower case. */
  readonly because?: string
  /** The guest is never stopped; by default it is stopped on its way until its memory was compared. */
  readonly unattended?: true
}

export type MoveEnd = 'completed' | 'failed' | 'cancelled'

export type Condition =
  /** The guest is leaving this host, and QEMU has written this many MB. */
  | { readonly is: 'moving'; readonly guest: string; readonly megabytes?: number }
  /** This many MB were fetched to be kept. */
  | { readonly is: 'swapping'; readonly megabytes: number }
  | { readonly is: 'keeping'; readonly pages: number }
  /** This many pages are known to be popular. */
  | { readonly is: 'knowing'; readonly pages: number }
  /** It sees exactly this many other hosts. */
  | { readonly is: 'joined'; readonly peers: number }

export type Expectation =
  /** At least this share of the bytes that QEMU wrote for the moved guests did not go over the wire. */
  | { readonly that: 'saved-at-least'; readonly share: number }
  /** No move sent more than this many times the bytes that QEMU wrote. */
  | { readonly that: 'no-worse-than-plain'; readonly ratio: number }
  | { readonly that: 'every-guest-moved'; readonly times: number }
  /** The moves that completed overlapped in time. */
  | { readonly that: 'moves-overlapped' }
  /** The last move got at least this many pages from the destination's store. */
  | { readonly that: 'filled-from-store'; readonly pages: number }
  /** The views of any two hosts share at least this part of their popular pages. */
  | { readonly that: 'views-agree'; readonly share: number }
  /** This host keeps at least one page, and no more than its limit. */
  | { readonly that: 'keeps-within-limit'; readonly host: string }
