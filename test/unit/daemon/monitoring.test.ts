import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'

import { parse } from 'yaml'

import { createMetrics } from '../../../src/agent/metrics.ts'
import { createProcessMetrics } from '../../../src/daemon/processmetrics.ts'
import { STATUS } from '../../support/fakeagent.ts'

const FOLDER = new URL('../../../src/daemon/monitoring/', import.meta.url)
/** Prometheus makes it of each scrape. */
const PROMETHEUS_OWN = 'up'
/** Words of PromQL that stand where a metric could. */
const KEYWORDS = new Set(['and', 'or', 'unless', 'on', 'ignoring', 'by', 'without', 'bool', 'offset', 'group_left'])

interface Panel {
  id: number
  title: string
  description: string
  gridPos: { x: number; y: number; w: number; h: number }
  targets: { expr: string }[]
}

interface Rule {
  alert: string
  expr: string
  labels: { severity: string }
  annotations: { summary: string; description: string }
}

/** The metrics that an expression reads. Pure. */
function metricsIn(expression: string): string[] {
  const bare = expression.replace(/\{[^}]*\}|\[[^\]]*\]|"[^"]*"/g, ' ')
    .replace(/\b(by|on|without|ignoring) *\([^)]*\)/g, ' ')
  const words = [...bare.matchAll(/\b[a-zA-Z_:][a-zA-Z0-9_:]*\b(?! *\()/g)].map(([word]) => word)
  return words.filter((word) => !KEYWORDS.has(word))
}

async function told(): Promise<{ names: Set<string>; labels: Map<string, Set<string>> }> {
  const ended = [{ direction: 'outgoing', driver: 'qmp', manager: null, status: 'failed', count: 1 }] as const
  const status = { ...STATUS, ended: [...ended] }
  const text = await createMetrics(() => status, { metrics: { guestNames: true } })() + await createProcessMetrics()()
  const names = new Set([...text.matchAll(/^# TYPE (\S+)/gm)].map(([, name = '']) => name))
  const labels = new Map<string, Set<string>>()
  for (const [, name = '', inside = ''] of text.matchAll(/^(\w+)(?:\{(.*)\})? \S+$/gm)) {
    const known = labels.get(name) ?? new Set()
    labels.set(name, known)
    for (const [, label = ''] of inside.matchAll(/(\w+)="/g)) known.add(label)
  }
  return { names, labels }
}

async function expressions(): Promise<{ where: string; expr: string }[]> {
  const { panels } = await readDashboard()
  return [
    ...(await readRules()).map(({ alert, expr }) => ({ where: alert, expr })),
    ...panels.flatMap(({ title, targets }) => targets.map(({ expr }) => ({ where: title, expr }))),
  ]
}

async function readDashboard(): Promise<{ panels: Panel[] }> {
  return JSON.parse(await readFile(new URL('dashboard.json', FOLDER), 'utf8')) as { panels: Panel[] }
}

async function readRules(): Promise<Rule[]> {
  const { groups } = parse(await readFile(new URL('alerts.yaml', FOLDER), 'utf8')) as { groups: { rules: Rule[] }[] }
  return groups.flatMap(({ rules }) => rules)
}

describe('dashboard and alerts', () => {
  it('read metrics that there are, by labels that they have', async () => {
    const { names, labels } = await told()
    const all = await expressions()
    assert.ok(all.length > 25)
    for (const { where, expr } of all) {
      const read = metricsIn(expr)
      assert.ok(read.length > 0, `${where} reads a metric`)
      for (const name of read) assert.ok(name === PROMETHEUS_OWN || names.has(name), `${where}: there is no ${name}`)
      for (const [, name = '', matchers = ''] of expr.matchAll(/(\w+)\{([^}]*)\}/g)) {
        for (const [, label = ''] of matchers.matchAll(/(\w+) *(?:=~|=|!=|!~)/g)) {
          const known = ['job', 'instance'].includes(label) || labels.get(name)?.has(label) === true
          assert.ok(known, `${where}: ${name} has no label ${label}`)
        }
      }
      for (const [, list = ''] of expr.matchAll(/\bby \(([^)]*)\)/g)) {
        const known = new Set(read.flatMap((name) => [...labels.get(name) ?? []]).concat('job', 'instance'))
        for (const label of list.split(/, */)) assert.ok(known.has(label), `${where}: nothing has the label ${label}`)
      }
    }
  })

  it('read all that says that a guest may be at stake', async () => {
    const rules = await readRules()
    const read = new Set(rules.flatMap(({ expr }) => metricsIn(expr)))
    for (const name of [
      'pagemesh_guests_held', 'pagemesh_digest_mismatches_total', 'pagemesh_popularity_view_age_seconds',
      'nodejs_eventloop_lag_p99_seconds',
    ]) assert.ok(read.has(name), name)
    for (const { alert, labels, annotations } of rules) {
      assert.match(alert, /^Pagemesh[A-Z][A-Za-z]+$/)
      assert.ok(['critical', 'warning'].includes(labels.severity), alert)
      assert.match(annotations.description, /\.$/, alert)
    }
  })

  it('are laid out so that no panel lies on another', async () => {
    const { panels } = await readDashboard()
    const taken = new Map<string, string>()
    assert.equal(new Set(panels.map(({ id }) => id)).size, panels.length)
    for (const { title, description, gridPos: { x, y, w, h } } of panels) {
      assert.match(description, /\.$/, title)
      assert.ok(x + w <= 24, title)
      for (let row = y; row < y + h; row++) {
        for (let column = x; column < x + w; column++) {
          assert.equal(taken.get(`${row},${column}`), undefined, `${title} lies on another`)
          taken.set(`${row},${column}`, title)
        }
      }
    }
  })

  it('are understood by this test', () => {
    const ratio = 'sum by (a, b) (rate(x_total{c="d"}[$__rate_interval])) / on (e) y > 0.5'
    assert.deepEqual(metricsIn(ratio), ['x_total', 'y'])
    assert.deepEqual(metricsIn('x and on (job) y unless z'), ['x', 'y', 'z'])
  })
})
