import type { Agent, Clock, PopularPage } from '../../index.ts'
import { renderDocument } from './document.ts'
import { hostSectionsOf } from './hostsections.ts'
import { sectionsOf, type Section } from './sections.ts'

/** Popular pages that are shown, and how old they may be: to find them the agent looks at all that it knows of. */
const PAGES_MAX = 10
const PAGES_MS_MAX = 10_000

/** Where browsers hear what has changed. */
export const EVENTS = { cluster: '/events', host: '/host/events' } as const

/** The pages for people, drawn from what the agent says now. */
export class Pages {
  readonly #agent: Agent
  readonly #clock: Clock
  #popular: { at: number; pages: PopularPage[] } | undefined

  constructor({ agent, clock }: { agent: Agent; clock: Clock }) {
    this.#agent = agent
    this.#clock = clock
  }

  async cluster(): Promise<string> {
    const { host, version } = this.#agent.status()
    return renderDocument({
      title: 'Cluster', about: `as ${host} sees it, Pagemesh ${version}`, path: '/', events: EVENTS.cluster,
      sections: await this.clusterSections(),
    })
  }

  async clusterSections(): Promise<Section[]> {
    return sectionsOf({ view: await this.#agent.cluster(), pages: this.#popularPages() })
  }

  host(): string {
    const status = this.#agent.status()
    const { host, version, peerId, settled } = status
    return renderDocument({
      title: host, about: `Pagemesh ${version}, peer ${peerId}, ${settled ? 'settled' : 'not settled yet'}`,
      path: '/host', events: EVENTS.host, sections: hostSectionsOf(status),
    })
  }

  async hostSections(): Promise<Section[]> {
    return hostSectionsOf(this.#agent.status())
  }

  #popularPages(): PopularPage[] {
    const now = this.#clock.now()
    if (this.#popular === undefined || now - this.#popular.at >= PAGES_MS_MAX) {
      this.#popular = { at: now, pages: this.#agent.pages(PAGES_MAX) }
    }
    return this.#popular.pages
  }
}
