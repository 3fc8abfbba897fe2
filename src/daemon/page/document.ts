import { html, NOTHING, type Html } from './html.ts'
import type { Section } from './sections.ts'

/** How often a browser without JavaScript asks for the page again. */
const REFRESH_SECONDS = 5

export interface Page {
  title: string
  about: string
  path: '/' | '/host'
  /** Where its sections come from when they change. */
  events: string
  sections: readonly Section[]
}

/** A whole page, with nothing from elsewhere. Pure. */
export function renderDocument({ title, about, path, events, sections }: Page): string {
  return html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>${title} - Pagemesh</title>
<link rel="icon" href="/icon.svg">
<link rel="stylesheet" href="/page.css">
<script src="/page.js" defer></script>
<noscript><meta http-equiv="refresh" content="${REFRESH_SECONDS}"></noscript>
</head>
<body data-events="${events}">
<a class="skip" href="#main">To the contents</a>
<header>
<h1>${title}</h1>
<p>${about} <span id="live" role="status"></span></p>
<nav aria-label="Pages"><a href="/"${current(path === '/')}>Cluster</a> <a href="/host"${current(path === '/host')}>This
host</a></nav>
</header>
<main id="main">
${sections.map(frame)}</main>
</body>
</html>
`.text
}

function current(isCurrent: boolean): Html {
  return isCurrent ? html` aria-current="page"` : NOTHING
}

function frame({ id, title, body }: Section): Html {
  if (id === 'spoken') return html`<p id="spoken" class="unseen" aria-live="polite">${body}</p>
`
  if (title === undefined) return html`<div id="${id}">${body}</div>
`
  return html`<section aria-labelledby="${id}-title">
<h2 id="${id}-title">${title}</h2>
<div id="${id}">
${body}
</div>
</section>
`
}
