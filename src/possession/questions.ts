/** Decides which hosts to challenge next about which pages. Pure. */

/** Pages with too few proven hosts, by their index in a batch, and the hosts that may be challenged about them. */
export interface OpenPages {
  places: readonly number[]
  /** Hosts that are said to hold a page and may be challenged. */
  namedOf: (place: number) => readonly string[]
  /** How many more hosts a page needs. */
  lackOf: (place: number) => number
  /** Whether a host was challenged about a page already. */
  wasAsked: (host: string, place: number) => boolean
  /** All other hosts that may be challenged, for pages that need more hosts than are named. */
  others: readonly string[]
}

/** Hosts, and the indices of the pages to ask each about. */
export type Questions = Map<string, number[]>

/**
 * The first round challenges one host about all pages: popular pages are mostly on most hosts, and one message is
 * cheapest. It is the host named for the most pages.
 */
export function firstQuestion({ places, namedOf }: OpenPages): Questions {
  const counts = new Map<string, number>()
  for (const place of places) for (const host of namedOf(place)) counts.set(host, (counts.get(host) ?? 0) + 1)
  let favourite: string | undefined
  for (const [host, count] of counts) if (favourite === undefined || count > counts.get(favourite)!) favourite = host
  return favourite === undefined ? new Map() : new Map([[favourite, [...places]]])
}

/** Every further round challenges as many named hosts of each page as it lacks, and others where too few are named. */
export function furtherQuestions({ places, namedOf, lackOf, wasAsked, others }: OpenPages): Questions {
  const questions: Questions = new Map()
  const ask = (host: string, place: number): void => {
    const asked = questions.get(host)
    if (asked === undefined) questions.set(host, [place])
    else asked.push(place)
  }
  for (const place of places) {
    const named = namedOf(place)
    const left = named.filter((host) => !wasAsked(host, place))
    const further = others.filter((host) => !named.includes(host) && !wasAsked(host, place))
    for (const host of [...left, ...further].slice(0, lackOf(place))) ask(host, place)
  }
  return questions
}
