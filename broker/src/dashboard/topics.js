// The tree of topics with the last value of each.

import { ask, change, get, part, query, token } from './api.js'
import { listen } from './connection.js'
import { spark } from './chart.js'
import { action, confirm, h, keyed, pairs, set, table, tell, text } from './dom.js'
import { age, bytes, count, number, payload, rate } from './format.js'

const ROWS_MAX = 300
const SPARK = 40
const RETAINED_MAX = 1000
const LEVELS_DEEP = 6

export function topics() {
  const search = h('input', { type: 'search', placeholder: 'Topic contains', 'aria-label': 'Topic contains', maxlength: 512 })
  const list = table('Topics, with what was published last', [['Topic'], ['Last value'], ['Age', 'n'], ['Per second', 'n'], ['Trend', 'hide-small']])
  list.element.classList.add('tree')
  const about = h('p', { class: 'soft' })
  const none = h('p', { class: 'empty' }, '')
  const more = h('p', { class: 'soft' })
  const side = h('section', { class: 'panel side flow', 'aria-label': 'One topic', tabindex: -1 })
  const split = h('div', { class: 'split' }, h('section', { class: 'panel', 'aria-label': 'Tree of topics' }, about, none, list.scroll, more))
  const element = h('div', {}, h('div', { class: 'head' }, h('h2', {}, 'Topics'), h('div', { class: 'tools' }, search)), split)

  let root = node('', '')
  const leaves = new Map()
  let chosen = null
  let opener = null
  let details = null
  let now = Date.now()
  let facts = { known: 0, others: 0, one_of: 1, waiting: 0 }
  let waiting = false

  function node(name, path) {
    return { name, path, below: new Map(), leaf: null, isOpen: undefined, count: 0 }
  }

  function take(message) {
    let leaf = leaves.get(message.topic)
    if (!leaf) {
      leaf = { values: [], isNumber: true, retained: false, messages: 0, shownAt: 0 }
      leaves.set(message.topic, leaf)
      let place = root
      place.count += 1
      let path = ''
      message.topic.split('/').forEach((level, depth) => {
        path = depth ? `${path}/${level}` : level
        if (!place.below.has(level)) place.below.set(level, node(level, path))
        place = place.below.get(level)
        place.count += 1
      })
      place.leaf = leaf
    }
    const isNew = (message.received_at_ms ?? 0) >= (leaf.last?.received_at_ms ?? 0)
    if (!isNew) return
    leaf.last = message
    if (message.messages) leaf.messages = message.messages
    if (message.retain) leaf.retained = message.payload !== ''
    const value = number(message.payload)
    if (value !== null) leaf.values.push(value)
    if (leaf.values.length > SPARK) leaf.values.shift()
  }

  listen('topics', (data) => {
    facts = data
    data.topics.forEach(take)
    draw()
  })

  async function readRetained() {
    if (!token()) return
    try {
      let page = await get(query('retained', { filter: '#', limit: RETAINED_MAX }))
      for (const one of page.messages) take({ ...one, retain: true, messages: 0 })
      draw()
    } catch {
      // The topics that are published are shown without.
    }
  }

  /** Nodes as rows: those that are open, or all that lead to what is looked for. */
  function rows() {
    const wanted = search.value
    const found = []
    let left = 0
    const walk = (place, depth) => {
      const names = [...place.below.keys()].sort((one, other) => one.localeCompare(other, 'en', { numeric: true }))
      for (const name of names) {
        // Levels that lead to one level only stand in one row.
        let one = place.below.get(name)
        let label = one.name
        while (!one.leaf && one.below.size === 1) {
          one = one.below.values().next().value
          label = `${label}/${one.name}`
        }
        if (wanted && !hasWanted(one, wanted)) continue
        if (found.length >= ROWS_MAX) {
          left += 1
          continue
        }
        found.push({ one, depth, label, key: `${depth} ${label.length} ${one.path}` })
        if (one.below.size && isOpen(one, depth, wanted)) walk(one, depth + 1)
      }
    }
    walk(root, 0)
    return [found, left]
  }

  function hasWanted(place, wanted) {
    return place.path.includes(wanted) || [...place.below.values()].some((one) => hasWanted(one, wanted))
  }

  function isOpen(one, depth, wanted) {
    if (wanted) return true
    return one.isOpen ?? (leaves.size <= 60 || (depth < 2 && one.below.size <= 12))
  }

  function draw() {
    if (waiting || !element.isConnected) return
    waiting = true
    requestAnimationFrame(() => {
      waiting = false
      drawNow()
    })
  }

  function drawNow() {
    const [found, left] = rows()
    none.hidden = found.length > 0
    list.scroll.hidden = found.length === 0
    text(none, token() ? (search.value ? 'No topic like that.' : 'Nothing was published since this page looks, and nothing is retained.') : 'Topics are shown to whoever has a token.')
    text(more, left ? `${count(left)} more: look for a part of the topic, or close some levels.` : '')
    text(about, note())
    about.hidden = !about.textContent
    keyed(list.body, found, ({ key }) => key, make, update)
    if (chosen) details?.()
  }

  function note() {
    const parts = []
    if (facts.one_of > 1) parts.push(`There is much to do: one of ${count(facts.one_of)} messages is looked at, so rates are estimates and a rare topic can be missed.`)
    if (facts.waiting > 0) parts.push(`${count(facts.waiting)} topics have news that come in a moment.`)
    if (facts.others > 0) parts.push(`${count(facts.others)} messages were on other topics: no more than ${count(facts.known_max)} are watched.`)
    return parts.join(' ')
  }

  function make({ one, depth, label }) {
    const twig = h('button', { type: 'button', class: 'twig', 'aria-label': `Levels below ${one.path}` })
    const gap = h('span', { class: 'gap' })
    const name = h('span', { title: one.path }, label || '(empty level)')
    const open = h('button', { type: 'button', class: 'name', title: one.path }, label || '(empty level)')
    const leaf = h('div', { class: `leaf d${Math.min(depth, LEVELS_DEEP)}` }, twig, gap, name, open)
    const value = h('td', { class: 'value' })
    const [when, pace] = [h('td', { class: 'n' }), h('td', { class: 'n' })]
    const line = spark()
    const element = h('tr', {}, h('th', { scope: 'row' }, leaf), value, when, pace, h('td', { class: 'hide-small' }, line.svg))
    twig.addEventListener('click', () => {
      one.isOpen = twig.getAttribute('aria-expanded') !== 'true'
      drawNow()
    })
    open.addEventListener('click', () => choose(one, open))
    Object.assign(element, { parts: { twig, gap, name, open, value, when, pace, line }, seen: 0, place: one })
    return element
  }

  function update(element, { one, depth }) {
    const { twig, gap, name, open, value, when, pace, line } = element.parts
    const { leaf } = one
    twig.hidden = one.below.size === 0
    gap.hidden = !twig.hidden
    set(twig, 'aria-expanded', String(isOpen(one, depth, search.value)))
    open.hidden = !leaf
    name.hidden = Boolean(leaf)
    set(element, 'class', one.path === chosen?.path ? 'chosen' : null)
    if (!leaf) {
      text(value, `${count(one.count)} ${one.count === 1 ? 'topic' : 'topics'}`)
      set(value, 'class', 'soft')
      return
    }
    const words = payload(leaf.last)
    text(value, words)
    set(value, 'title', words)
    if (element.seen !== leaf.last.received_at_ms) {
      set(value, 'class', element.seen ? 'value fresh' : 'value')
      element.seen = leaf.last.received_at_ms
    } else if (now - element.seen > 1500) {
      set(value, 'class', 'value')
    }
    text(when, age(leaf.last.received_at_ms, now))
    text(pace, rate(paceOf(leaf)))
    line.show(leaf.values)
  }

  /** What is not told of any more does not go on. */
  function paceOf(leaf) {
    const { rate: told } = leaf.last
    if (told === undefined || told === null) return null
    const silence = (now - leaf.last.received_at_ms) / 1000
    return silence > Math.max(5, 3 / Math.max(told, 0.001)) ? 0 : told
  }

  function choose(one, button) {
    chosen = one
    opener = button
    details = panel(one)
    split.classList.add('open')
    split.append(side)
    drawNow()
    side.focus()
  }

  function close() {
    chosen = null
    side.remove()
    split.classList.remove('open')
    if (opener?.isConnected) opener.focus()
    drawNow()
  }

  function panel({ path, leaf }) {
    const value = h('pre', { tabindex: 0, 'aria-label': 'Last value' })
    const info = pairs(['Received', 'Size', 'QoS', 'Retained', 'Messages seen', 'Per second'])
    const whole = action('Show all of the retained message', '', async () => {
      const answer = await ask('GET', `retained/${part(path)}`)
      const words = await answer.text()
      value.whole = words.length > 20000 ? `${words.slice(0, 20000)}…` : words
      text(value, value.whole)
    })
    const remove = action('Delete what is retained', 'danger', async () => {
      const sure = await confirm('Delete the retained message?', `What is retained on “${path}” is gone for everybody who subscribes from now on.`, 'Delete')
      if (!sure) return
      await change('DELETE', `retained/${part(path)}`)
      leaf.retained = false
      tell(`Nothing is retained on “${path}” any more.`)
      drawNow()
    })
    const publish = h('a', { href: `#/publish/${part(path)}` }, 'Publish to this topic')
    const shut = h('button', { type: 'button', class: 'quiet' }, 'Close')
    shut.addEventListener('click', close)
    side.replaceChildren(h('h3', { class: 'mono' }, path), value, info.element, publish, h('div', { class: 'buttons' }, shut, whole, remove))
    return () => {
      const { last } = leaf
      if (value.at !== last.received_at_ms) {
        value.at = last.received_at_ms
        text(value, pretty(last))
      }
      const values = [last.received_at_ms ? new Date(last.received_at_ms).toLocaleString('en-GB') : '–', bytes(last.payload_bytes), last.qos,
        leaf.retained ? 'yes' : 'no', count(leaf.messages), rate(paceOf(leaf))]
      values.forEach((one, at) => text(info.values[at], one))
      remove.hidden = !leaf.retained
      whole.hidden = !leaf.retained
    }
  }

  function pretty(message) {
    try {
      return JSON.stringify(JSON.parse(message.payload), null, 2)
    } catch {
      return payload(message)
    }
  }

  search.addEventListener('input', drawNow)
  side.addEventListener('keydown', (event) => {
    if (event.key === 'Escape') close()
  })
  return {
    element,
    wish: () => ({ topics: 'true' }),
    enter() {
      readRetained()
      draw()
    },
    leave() {
      // What was seen meanwhile nobody keeps, so it begins anew.
      root = node('', '')
      leaves.clear()
      if (chosen) close()
    },
    update({ at }) {
      now = at
      draw()
    },
    tokenChanged() {
      root = node('', '')
      leaves.clear()
      readRetained()
      draw()
    },
  }
}
