// What waits for whom.

import { change, part, token } from './api.js'
import { chart } from './chart.js'
import { action, h, keyed, pairs, set, tell, text } from './dom.js'
import { age, bytes, count, rate, reason, span } from './format.js'
import { showState } from './overview.js'

export function upstreams() {
  const none = h('p', { class: 'panel empty' }, 'Nothing is forwarded: the configuration has no [upstream.NAME].')
  const list = h('div', { class: 'grid' })
  const fleet = pairs(['Name', 'Server', 'Boxes', 'Waiting', 'Sent', 'Received', 'Last error'])
  const fleetPanel = h('section', { class: 'panel' }, h('h3', {}, 'Fleet'), fleet.element)
  const element = h('div', { class: 'flow' }, h('div', { class: 'head' }, h('h2', {}, 'Upstreams')), none, list, fleetPanel)

  function make(upstream) {
    const state = h('span')
    const figures = pairs(['Waiting', 'Oldest', 'Empty in', 'Acknowledged'], 'figures')
    const more = pairs(['Waiting bytes', 'By priority', 'Sent', 'Received', 'Dropped', 'Last error'])
    const backlog = chart(`Waiting for ${upstream.name}`, [['Waiting', 'depth']], { height: 'low', write: count })
    const drain = action('Drain now', '', async () => {
      const answer = await change('POST', `upstreams/${part(upstream.name)}/drain`)
      tell(words(answer) || `${upstream.name} is connected to now, and gets what waits.`)
    })
    const panel = h('section', { class: 'panel flow' },
      h('div', { class: 'line' }, h('h3', {}, upstream.name), state, drain), figures.element, backlog.svg, more.element)
    panel.parts = { state, figures, more, backlog, drain }
    return panel
  }

  function update(panel, upstream, { rates, at, past }) {
    const { state, figures, more, backlog, drain } = panel.parts
    showState(state, upstream)
    drain.hidden = !token()
    const pace = rates.upstreams[upstream.name] ?? {}
    text(figures.values[0], count(upstream.depth))
    text(figures.values[1], upstream.depth ? age(upstream.oldest_at_ms, at) : '–')
    text(figures.values[2], upstream.depth ? span(upstream.empty_in_s) : '–')
    text(figures.values[3], `${rate(pace.acknowledged)}/s`)
    text(more.values[0], bytes(upstream.depth_bytes))
    text(more.values[1], listOf(upstream.depth_by_priority))
    text(more.values[2], `${count(upstream.sent)}, of which ${count(upstream.acknowledged)} acknowledged`)
    text(more.values[3], count(upstream.received))
    text(more.values[4], listOf(upstream.dropped, reason))
    text(more.values[5], upstream.last_error ?? 'none')
    set(more.values[5], 'class', upstream.last_error && upstream.state !== 'connected' ? 'wrong' : null)
    backlog.show(past.map((point) => ({ at_ms: point.at_ms, depth: point.depths?.[upstream.name] ?? NaN })), at)
  }

  return {
    element,
    update(last) {
      const { status } = last
      none.hidden = status.upstreams.length > 0
      keyed(list, status.upstreams, (one) => one.name, make, (panel, one) => update(panel, one, last))
      fleetPanel.hidden = !status.fleet
      if (!status.fleet) return
      const { fleet: it } = status
      const values = [it.name, it.is_connected ? 'connected' : 'not reached',
        it.boxes.map((box) => `${box.name}${box.is_here ? '' : ' (away)'}`).join(', ') || 'none',
        `${count(it.depth)}, ${bytes(it.depth_bytes)}`, count(it.sent), count(it.received), it.last_error ?? 'none']
      values.forEach((value, place) => text(fleet.values[place], value))
    },
  }
}

function listOf(counts, name = (one) => one) {
  const found = Object.entries(counts ?? {}).filter(([, number]) => number > 0)
  return found.map(([key, number]) => `${count(number)} ${name(key)}`).join(', ') || 'none'
}

/** What an answer says, whether it is text or JSON. */
export function words(answer) {
  try {
    const { message } = JSON.parse(answer)
    return message ?? ''
  } catch {
    return answer.trim()
  }
}
