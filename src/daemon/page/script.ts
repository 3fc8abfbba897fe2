/** Runs in the browser: replaces the sections that the agent sends, and keeps what its reader has open. */
export const SCRIPT = `(${live.toString()})()\n`

/** It is sent as text: it may use nothing else of this file. */
function live(): void {
  const state = document.getElementById('live')!
  const events = new EventSource(document.body.dataset.events!)
  events.onopen = () => say('on', 'Live')
  events.onerror = () => say('off', events.readyState === EventSource.CLOSED
    ? 'Not live: reload the page' : 'Connection lost, trying again')
  events.addEventListener('section', ({ data }: MessageEvent<string>) => {
    const { id, text } = JSON.parse(data) as { id: string; text: string }
    const place = document.getElementById(id)
    if (place !== null) replace(place, text)
  })

  function say(what: 'on' | 'off', text: string): void {
    state.className = what
    state.textContent = text
  }

  function replace(place: HTMLElement, text: string): void {
    const before = new Map(keyed(place).map((element) => [element.dataset.key, element]))
    const focused = document.activeElement !== null && place.contains(document.activeElement)
      ? document.activeElement.closest<HTMLElement>('[data-key]')?.dataset.key : undefined
    place.innerHTML = text
    for (const element of keyed(place)) {
      const old = before.get(element.dataset.key)
      if (old === undefined) continue
      if (element instanceof HTMLDetailsElement) element.open = (old as HTMLDetailsElement).open
      else element.scrollLeft = Number(old.dataset.left ?? 0)
      if (element.dataset.key !== focused) continue
      const target = element instanceof HTMLDetailsElement ? element.querySelector('summary')! : element
      target.focus({ preventScroll: true })
    }
  }

  function keyed(place: HTMLElement): HTMLElement[] {
    const all = [...place.querySelectorAll<HTMLElement>('[data-key]')]
    // An element that has left the page no longer knows how far it was scrolled.
    for (const element of all) element.dataset.left = String(element.scrollLeft)
    return all
  }
}
