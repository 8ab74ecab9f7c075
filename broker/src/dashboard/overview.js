// What an operator wants to know first.

import { get, token } from './api.js'
import { chart } from './chart.js'
import { cells, h, keyed, pairs, row, set, table, text } from './dom.js'
import { bytes, count, rate, reason, span } from './format.js'

const DROPS_EVERY_MS = 5000

export function overview() {
  const traffic = chart('Messages per second', [['In', 'received'], ['Out', 'sent']])
  traffic.legend.classList.add('big')
  for (const one of traffic.legend.children) one.classList.add('big')
  const figures = pairs(['Connections', 'Sessions', 'Subscriptions', 'Retained', 'Waiting in the log', 'Dropped'], 'figures')
  const columns = [['Reason'], ['Where', 'hide-small'], ['Decided by', 'mono hide-small'], ['Messages', 'n']]
  const drops = table('Messages dropped since the start', columns)
  const noDrops = h('p', { class: 'empty' }, 'Nothing was dropped since the start.')
  const others = table('Refused and throttled', [['What'], ['Times', 'n']])
  const othersPanel = h('section', { class: 'panel' }, h('h3', {}, 'Refused and slowed down'), others.scroll)
  const rules = table('Rules', [['Rule'], ['In/s', 'n'], ['Out/s', 'n'], ['Errors', 'n'], ['State']])
  const rulesPanel = h('section', { class: 'panel' }, h('h3', {}, 'Rules'), rules.scroll)
  const upstreams = table('Upstreams', [['Upstream'], ['State'], ['Waiting', 'n'], ['Empty in', 'n']])
  const upstreamsPanel = h('section', { class: 'panel' }, h('h3', {}, 'Upstreams'), upstreams.scroll)
  const store = pairs(['Condition', 'Commits', 'Commit latency', 'Written', 'On disk'])
  const storePanel = h('section', { class: 'panel' }, h('h3', {}, 'Store'), store.element)
  const element = h('div', { class: 'flow' },
    h('h2', { class: 'unseen' }, 'Overview'),
    figures.element,
    h('section', { class: 'panel' }, h('div', { class: 'line' }, h('h3', {}, 'Messages per second'), traffic.legend), traffic.svg),
    h('div', { class: 'grid' }, rulesPanel, upstreamsPanel,
      storePanel, othersPanel,
      h('section', { class: 'panel wide' }, h('h3', {}, 'Dropped messages'), noDrops, drops.scroll)))

  let all = null
  let timer = 0

  function showFigures(status, rates) {
    const dropped = Object.values(status.messages.dropped).reduce((sum, one) => sum + one, 0)
    const numbers = [status.connections, status.sessions, status.subscriptions, status.retained, status.store.log_records, dropped]
    numbers.forEach((value, at) => text(figures.values[at], count(value)))
    set(figures.values[5], 'class', rates.dropped > 0 ? 'bad' : null)
  }

  /** From everywhere with where it was decided, for whoever has a token; else what the status has. */
  async function askForDrops() {
    clearTimeout(timer)
    if (!token()) {
      all = null
      return
    }
    try {
      all = (await get('drops')).drops
    } catch {
      all = null
    }
    timer = setTimeout(() => element.isConnected && askForDrops(), DROPS_EVERY_MS)
  }

  function showDrops(status) {
    const of = Object.entries(status.messages.dropped).filter(([, number]) => number > 0)
    const found = all ?? of.map(([name, number]) => ({ part: 'sessions', name: null, reason: name, count: number, decided_by: null }))
    found.sort((one, other) => other.count - one.count)
    noDrops.hidden = found.length > 0
    drops.scroll.hidden = found.length === 0
    keyed(drops.body, found, (one) => `${one.part} ${one.name} ${one.reason}`, () => row(columns.map(([, kind]) => ['', kind])),
      (line, one) => cells(line, [reason(one.reason), one.name ? `${one.part}: ${one.name}` : one.part, one.decided_by ?? '–', count(one.count)]))
    const more = [
      ['Wrong credentials', status.auth.refused],
      ['Credentials that were withdrawn', status.auth.revoked],
      ...Object.entries(status.refused).map(([name, number]) => [`Connections: ${name.replaceAll('_', ' ')}`, number]),
      ...Object.entries(status.throttled).map(([name, number]) => [`Slowed down: ${name}`, number]),
    ].filter(([, number]) => number > 0)
    othersPanel.hidden = more.length === 0
    set(storePanel, 'class', othersPanel.hidden ? 'panel wide' : 'panel')
    keyed(others.body, more, ([name]) => name, () => row([[''], ['', 'n']]),
      (line, [name, number]) => cells(line, [name, count(number)]))
  }

  function showRules(status, rates) {
    rulesPanel.hidden = status.rules.length === 0
    keyed(rules.body, status.rules.slice(0, 12), (rule) => rule.name,
      (rule) => {
        const line = row([['', 'cut'], ['', 'n'], ['', 'n'], ['', 'n'], ['']])
        line.cellsOf[0].append(h('a', { href: `#/rules/${encodeURIComponent(rule.name)}` }, rule.name))
        return line
      },
      (line, rule) => {
        const pace = rates.rules[rule.name] ?? {}
        cells(line, [undefined, rate(pace.matched), rate(pace.emitted), count(rule.errors), rule.paused ? 'paused' : 'runs'])
        set(line.cellsOf[3], 'class', rule.errors > 0 ? 'n wrong' : 'n')
      })
  }

  function showUpstreams(status) {
    upstreamsPanel.hidden = status.upstreams.length === 0
    keyed(upstreams.body, status.upstreams, (one) => one.name, () => row([['', 'cut'], [''], ['', 'n'], ['', 'n']]),
      (line, one) => {
        cells(line, [one.name, undefined, count(one.depth), one.depth ? span(one.empty_in_s) : '–'])
        showState(line.cellsOf[1], one)
      })
  }

  function showStore({ store: it }, rates) {
    const condition = it.status || 'ok'
    text(store.values[0], condition === 'ok' ? 'ok' : `${condition}: ${it.problem ?? ''}`)
    set(store.values[0], 'class', condition === 'ok' ? null : 'wrong')
    text(store.values[1], `${rate(rates.commits)} per second`)
    text(store.values[2], `${latency(it.commit_p50_us)} half of them, ${latency(it.commit_p99_us)} for 99 of 100`)
    text(store.values[3], `${bytes(rates.bytes_written)}/s, ${bytes(it.bytes_written)} since the start`)
    text(store.values[4], bytes(it.bytes))
  }

  return {
    element,
    enter: askForDrops,
    leave: () => clearTimeout(timer),
    tokenChanged: askForDrops,
    update({ status, rates, past, at }) {
      showFigures(status, rates)
      traffic.show(past, at)
      showDrops(status)
      showRules(status, rates)
      showUpstreams(status)
      showStore(status, rates)
    },
  }
}

/** Microseconds of a commit. */
export function latency(us) {
  return us < 1000 ? `${us} µs` : `${(us / 1000).toFixed(us < 10000 ? 1 : 0)} ms`
}

/** The state of an upstream, with a colour that says how good it is. */
export function showState(place, upstream) {
  const kind = { connected: 'good', idle: 'good', connecting: 'warn' }[upstream.state] ?? 'bad'
  if (!place.firstElementChild) place.append(h('span', {}, h('span', { 'aria-hidden': 'true' }), h('span')))
  const tag = place.firstElementChild
  set(tag, 'class', `tag ${kind}`)
  set(tag.firstElementChild, 'class', `dot ${kind}`)
  text(tag.lastElementChild, upstream.state)
}

