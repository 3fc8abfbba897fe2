/** What Prometheus says to the queries of the dashboard and of the alerts. */
import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'

import { parse } from 'yaml'

const MONITORING = new URL('../../src/daemon/monitoring/', import.meta.url)

export interface Expression {
  /** The panel, or the alert. */
  where: string
  expr: string
  isAlert: boolean
}

/** All expressions of the dashboard and of the alerts. */
export async function expressions(): Promise<Expression[]> {
  const [dashboard, alerts] = await Promise.all(
    ['dashboard.json', 'alerts.yaml'].map((name) => readFile(new URL(name, MONITORING), 'utf8')))
  const { panels } = JSON.parse(dashboard!) as { panels: { title: string; targets: { expr: string }[] }[] }
  const { groups } = parse(alerts!) as { groups: { rules: { alert: string; expr: string }[] }[] }
  return [
    ...panels.flatMap(({ title, targets }) => targets.map(({ expr }) => ({ where: title, expr, isAlert: false }))),
    ...groups.flatMap(({ rules }) => rules).map(({ alert, expr }) => ({ where: alert, expr, isAlert: true })),
  ]
}

/** A Prometheus that listens at this address. */
export class Prometheus {
  readonly #at: string

  constructor(at: string) {
    this.#at = at
  }

  /** What an expression comes to now, where Grafana would put in its variables. */
  async query(expr: string): Promise<{ value: [number, string] }[]> {
    const filled = expr.replaceAll('$instance', '.*').replaceAll(/\$__(?:rate_interval|range)/g, '5m')
    const { result } = await this.#ask<{ result: { value: [number, string] }[] }>(
      `query?query=${encodeURIComponent(filled)}`)
    return result
  }

  /** The value of the first, NaN if there is none. */
  async valueOf(expr: string): Promise<number> {
    return Number((await this.query(expr))[0]?.value[1])
  }

  /** The rules that it has loaded. */
  async rules(): Promise<{ name: string; health: string; state: string; lastError?: string }[]> {
    const { groups } = await this.#ask<{ groups: { rules: Awaited<ReturnType<Prometheus['rules']>> }[] }>('rules')
    return groups.flatMap(({ rules }) => rules)
  }

  /** Asks all the expressions; returns the panels and alerts without data. Throws if one is an error. */
  async withoutData(): Promise<Expression[]> {
    const empty: Expression[] = []
    for (const expression of await expressions()) {
      if ((await this.query(expression.expr)).length === 0) empty.push(expression)
    }
    return empty
  }

  async #ask<Data>(what: string): Promise<Data> {
    const { status, data, error } = await (await fetch(`${this.#at}/api/v1/${what}`)).json() as {
      status: string; data: Data; error?: string
    }
    assert.equal(status, 'success', `${decodeURIComponent(what)}: ${error}`)
    return data
  }
}
