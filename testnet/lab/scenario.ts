/**
 * A scenario as data: hosts, guests, what happens, and what must hold of it. Nothing in it runs; `runner.ts` does, and
 * `assertions/` judge what was recorded. So a scenario can be read, checked and printed without a lab.
 */
import type { MigrationMode } from '../../src/index.ts'
import type { GuestOptions } from '../index.ts'

export interface Scenario {
  /** Its word on the command line: lower case and dashes. */
  readonly name: string
  /** What happens, for the list: one sentence without a full stop. */
  readonly title: string
  readonly hosts: readonly HostPlan[]
  readonly guests: readonly GuestPlan[]
  readonly steps: readonly Step[]
  /** What must hold beside what must hold of every scenario. */
  readonly expect: readonly Expectation[]
}

export interface HostPlan {
  readonly name: string
  /** What its link carries each way; default 1Gbit. */
  readonly rate?: string
  /** Further configuration of its agent, by the names of the configuration file. */
  readonly settings?: Readonly<Record<string, unknown>>
  /** Its agent starts with a step of its own. */
  readonly joinsLater?: true
}

export interface GuestPlan extends Readonly<Pick<GuestOptions, 'name' | 'work' | 'system' | 'memoryMiB'>> {
  /** Where it boots. */
  readonly host: string
  /** It boots with a step of its own. */
  readonly bootsLater?: true
}

export type Step =
  /** Until every running agent sees all others, has scanned its guests and fetched what it wants. */
  | { readonly do: 'settle' }
  | { readonly do: 'wait'; readonly seconds: number }
  /** Until the agent of `host` sees what is asked for. */
  | { readonly do: 'until'; readonly host: string; readonly sees: Condition; readonly seconds?: number }
  /** Until all running agents know the same popular pages, or the time is up: whether they do is `viewsAgree`'s. */
  | { readonly do: 'converge'; readonly seconds: number }
  | { readonly do: 'boot'; readonly guest: string }
  | MigrateStep
  /** Starts the QEMU that waits for a guest ahead of its migration. */
  | { readonly do: 'prepare'; readonly guest: string; readonly on: string }
  | { readonly do: 'cancel'; readonly guest: string }
  /** Moves every guest of `host`, to each of the others in turn; all of them at once or one after the other. */
  | { readonly do: 'evacuate'; readonly host: string; readonly to: readonly string[]; readonly atOnce?: true }
  /** Tracks that run side by side, each in turn; over when all are. */
  | { readonly do: 'together'; readonly tracks: readonly (readonly Step[])[] }
  | { readonly do: 'shape'; readonly host: string; readonly rate: string }
  /** These hosts reach each other, and none of the others any more; nobody is told. */
  | { readonly do: 'cut' | 'restore'; readonly hosts: readonly string[] }
  | { readonly do: 'stop-agent' | 'kill-agent'; readonly host: string }
  | { readonly do: 'start-agent'; readonly host: string; readonly settings?: Readonly<Record<string, unknown>> }
  /** Link, agent and guests are gone at once. Its guests count as lost with it. */
  | { readonly do: 'crash'; readonly host: string }

export interface MigrateStep {
  readonly do: 'migrate'
  readonly guest: string
  readonly to: string
  /** Default precopy. */
  readonly mode?: MigrationMode
  /** Further words of `pagemesh migrate`, such as `--timeout`. */
  readonly words?: readonly string[]
  /** How it must end; default completed. */
  readonly ends?: MoveEnd
  /** Words that the reason of a move that does not complete must contain, whatever their case. */
  readonly because?: string
  /** The guest runs all the way; by default it is stopped on its way and stands still until its memory was compared. */
  readonly unattended?: true
}

export type MoveEnd = 'completed' | 'failed' | 'cancelled'

export type Condition =
  /** The guest leaves this host, and QEMU has written as much, MB. */
  | { readonly is: 'moving'; readonly guest: string; readonly megabytes?: number }
  /** So much was fetched to be kept, MB. */
  | { readonly is: 'swapping'; readonly megabytes: number }
  | { readonly is: 'keeping'; readonly pages: number }
  /** So many pages are known to be popular. */
  | { readonly is: 'knowing'; readonly pages: number }
  /** It sees exactly so many other hosts. */
  | { readonly is: 'joined'; readonly peers: number }

export type Expectation =
  /** Of the bytes that QEMU wrote for the guests that moved, such a share never went over the wire. */
  | { readonly that: 'saved-at-least'; readonly share: number }
  /** No move took more than so many times the bytes that QEMU wrote. */
  | { readonly that: 'no-worse-than-plain'; readonly ratio: number }
  | { readonly that: 'every-guest-moved'; readonly times: number }
  /** The moves that completed overlapped in time. */
  | { readonly that: 'moves-overlapped' }
  /** The last move had so many pages from the store of the destination. */
  | { readonly that: 'filled-from-store'; readonly pages: number }
  /** The views of any two hosts have such a share of their popular pages in common. */
  | { readonly that: 'views-agree'; readonly share: number }
  /** This host keeps pages: more than none, and not more than its limit allows. */
  | { readonly that: 'keeps-within-limit'; readonly host: string }
