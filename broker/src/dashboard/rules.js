// The rules, and the live window of one of them.

import { change, part, token } from './api.js'
import { last, listen } from './connection.js'
import { chart } from './chart.js'
import { action, cells, confirm, h, keyed, pairs, row, set, table, tell, text } from './dom.js'
import { bytes, clock, count, ms, ns, number, payload, rate } from './format.js'
import { words } from './upstreams.js'

const SENT_MAX = 60
const LINES_MAX = 5

export function rules({ rewish }) {
  const columns = [['Rule', 'cut'], ['In/s', 'n'], ['Out/s', 'n'], ['Late', 'n'], ['Errors', 'n'], ['Groups', 'n hide-small'], ['State', 'hide-small']]
  const list = table('Rules, with what they read and send per second', columns)
  const none = h('p', { class: 'empty' }, 'No rule runs. Rules are named by `rules` in the configuration.')
  const live = h('div', { class: 'flow' })
  const element = h('div', {}, h('div', { class: 'head' }, h('h2', {}, 'Rules')),
    h('div', { class: 'flow' }, h('section', { class: 'panel', 'aria-label': 'List of rules' }, none, list.scroll), live))
  let chosen = null
  let shown = null

  function make(rule) {
    const line = row(columns)
    line.cellsOf[0].append(h('a', { href: `#/rules/${part(rule.name)}` }, rule.name))
    return line
  }

  function update(line, rule, rates) {
    const pace = rates.rules[rule.name] ?? {}
    cells(line, [undefined, rate(pace.matched), rate(pace.emitted), count(rule.late), count(rule.errors), count(rule.keys), rule.paused ? 'paused' : 'runs'])
    set(line.cellsOf[4], 'class', rule.errors > 0 ? 'n wrong' : 'n')
    set(line, 'class', rule.name === chosen ? 'chosen' : null)
    set(line.querySelector('a'), 'aria-current', rule.name === chosen ? 'true' : null)
  }

  function choose(name) {
    chosen = name
    shown = name ? view(name) : null
    live.replaceChildren(...(shown ? [shown.element] : []))
  }

  listen('rule', (data) => {
    if (data.rule === chosen) shown?.take(data)
  })

  return {
    element,
    wish: () => (chosen ? { rule: chosen } : {}),
    enter([name]) {
      const first = last.status?.rules[0]?.name ?? null
      if (name !== undefined ? name !== chosen : !chosen) choose(name ?? first)
    },
    update({ status, rates, at }) {
      none.hidden = status.rules.length > 0
      list.scroll.hidden = status.rules.length === 0
      if (!chosen && status.rules.length) {
        choose(status.rules[0].name)
        rewish()
      }
      keyed(list.body, status.rules, (one) => one.name, make, (line, rule) => update(line, rule, rates))
      shown?.update(status.rules.find((one) => one.name === chosen), rates.rules[chosen], at)
    },
    tokenChanged() {
      if (chosen) choose(chosen)
    },
  }
}

/** The live window of a rule. */
function view(name) {
  const traffic = chart('Messages per second', [['Read', 'matched'], ['Sent', 'emitted'], ['Late', 'late']], { height: 'mid' })
  const lag = chart('Watermark behind', [['Behind', 'lag_ms']], { height: 'low', write: ms })
  const figures = pairs(['Read', 'Sent', 'Watermark behind', 'Too late', 'Errors', 'Groups'], 'figures')
  const more = pairs(['Not let through by where', 'Went into no result', 'State', 'Payload bytes', 'Handling of a message', 'Until durable', 'Last sent'])
  const errors = table('Errors by code', [['Code'], ['Messages', 'n']])
  const errorPanel = h('section', { class: 'panel' }, h('h3', {}, 'Errors by code'), errors.scroll,
    h('p', { class: 'soft' }, 'A message that cannot be used goes to the dead letters of the rule with the reason.'))
  const gone = h('p', { class: 'panel empty' }, `There is no rule “${name}” any more.`)
  const sent = h('ul', { class: 'messages', tabindex: 0, 'aria-label': 'What it has sent last' })
  const noneSent = h('p', { class: 'empty' }, 'Nothing since this page looks.')
  const values = h('div')
  const valuePanel = h('section', { class: 'panel' }, h('div', { class: 'line' }, h('h3', {}, 'Values that it sends')), values)
  const told = h('pre', { tabindex: 0, 'aria-label': 'Explanation' })
  const toldPanel = h('section', { class: 'panel wide' }, h('h3', {}, 'Explanation'), told)
  const pause = act('Pause', 'pause')
  const resume = act('Resume', 'resume')
  const reset = action('Reset', '', async () => {
    const sure = await confirm(`Reset “${name}”?`, 'What it has computed and not sent is gone: windows, groups and alerts begin anew.', 'Reset')
    if (sure) tell(words(await change('POST', `rules/${part(name)}/reset`)))
  })
  const explain = action('Explain', '', async () => {
    text(told, words(await change('POST', `rules/${part(name)}/explain`)))
    toldPanel.hidden = false
    told.focus()
  })
  const buttons = h('div', { class: 'tools' }, pause, resume, reset, explain)
  const state = h('span', { class: 'soft' })
  const sentPanel = h('section', { class: 'panel' }, h('h3', {}, 'Sent last'), noneSent, sent)
  const grid = h('div', { class: 'grid' },
    h('section', { class: 'panel two3' }, h('div', { class: 'line' }, h('h3', {}, 'Input and emissions per second'), traffic.legend), traffic.svg),
    h('section', { class: 'panel one3' }, h('div', { class: 'line' }, h('h3', {}, 'Watermark'), lag.legend), lag.svg),
    valuePanel, sentPanel, h('section', { class: 'panel' }, h('h3', {}, 'More'), more.element), errorPanel, toldPanel)
  toldPanel.hidden = true
  valuePanel.hidden = true
  const element = h('section', { class: 'flow', 'aria-label': `Live window of ${name}` },
    h('div', { class: 'head' }, h('h3', {}, name), state, buttons), gone, figures.element, grid)
  element.querySelector('.head').style.marginBottom = '0'

  const lines = new Map()
  const messages = []
  let lineChart = null

  function act(label, command) {
    return action(label, '', async () => tell(words(await change('POST', `rules/${part(name)}/${command}`))))
  }

  function update(rule, pace = {}, at) {
    gone.hidden = Boolean(rule)
    if (!rule) return
    text(state, rule.paused ? 'paused: it takes no messages' : '')
    buttons.hidden = !token()
    pause.hidden = rule.paused
    resume.hidden = !rule.paused
    const past = last.past.map((point) => ({ at_ms: point.at_ms, ...point.rules?.[name], lag_ms: point.lags?.[name] ?? NaN }))
    traffic.show(past, at)
    lag.svg.parentElement.hidden = rule.watermark_lag_ms === null
    set(traffic.svg.parentElement, 'class', rule.watermark_lag_ms === null ? 'panel wide' : 'panel two3')
    lag.show(past, at)
    const numbers = [`${rate(pace.matched)}/s`, `${rate(pace.emitted)}/s`, ms(rule.watermark_lag_ms), count(rule.late), count(rule.errors), count(rule.keys)]
    numbers.forEach((value, place) => text(figures.values[place], value))
    set(figures.values[4], 'class', rule.errors > 0 ? 'bad' : null)
    const facts = [count(rule.filtered), count(rule.dropped), bytes(rule.state_bytes), `${bytes(rule.bytes_in)} in, ${bytes(rule.bytes_out)} out`,
      `${ns(rule.handling_p50_ns)} half of them, ${ns(rule.handling_p99_ns)} for 99 of 100`,
      rule.commit_lag_p50_ms === null ? 'nothing to wait for' : `${ms(rule.commit_lag_p50_ms)} half of them, ${ms(rule.commit_lag_p99_ms)} for 99 of 100`,
      rule.last_sent_at_ms ? clock(rule.last_sent_at_ms) : 'never']
    facts.forEach((value, place) => text(more.values[place], value))
    const codes = Object.entries(rule.errors_by_code).filter(([, times]) => times > 0)
    errorPanel.hidden = codes.length === 0
    keyed(errors.body, codes, ([code]) => code, () => row([[''], ['', 'n']]), (line, [code, times]) => cells(line, [code, count(times)]))
    if (lineChart) lineChart.show(merged(), at)
    sentPanel.hidden = !token()
  }

  /** What the rule has sent: the last ones as a list, and their first number over time. */
  function take(data) {
    for (const message of data.messages) {
      messages.push({ ...message, id: (take.id = (take.id ?? 0) + 1) })
      if (!message.dead_letter) note(message)
    }
    messages.splice(0, Math.max(0, messages.length - SENT_MAX))
    noneSent.hidden = messages.length > 0
    keyed(sent, [...messages].reverse(), (one) => one.id,
      (one) => h('li', {}, h('time', {}, clock(one.at_ms)), h('span', { class: 't' }, one.topic, one.upstream ? ` → ${one.upstream}` : '', one.dead_letter ? ' (dead letter)' : ''), h('span', { class: 'p' }, payload(one))),
      () => {})
  }

  function note(message) {
    const value = number(message.payload)
    if (value === null) return
    if (!lines.has(message.topic)) {
      if (lines.size >= LINES_MAX) return
      lines.set(message.topic, [])
      drawLines()
    }
    const points = lines.get(message.topic)
    points.push({ at_ms: message.at_ms, value })
    if (points.length > 300) points.shift()
  }

  function drawLines() {
    const names = [...lines.keys()]
    lineChart = chart('Values that it sends', names.map((topic) => [topic, topic]), { height: 'mid', write: (value) => String(Number(value.toPrecision(4))), area: false })
    lineChart.legend.style.flexWrap = 'wrap'
    values.replaceChildren(lineChart.svg, lineChart.legend)
    valuePanel.hidden = false
  }

  function merged() {
    const all = [...lines].flatMap(([topic, points]) => points.map(({ at_ms, value }) => ({ at_ms, [topic]: value })))
    return all.sort((one, other) => one.at_ms - other.at_ms)
  }

  return { element, update, take }
}
