// Publish a message, and see what comes.

import { change, events, query, token } from './api.js'
import { h, keyed, set, tell, text } from './dom.js'
import { clock, count, payload } from './format.js'

const SHOWN_MAX = 200

export function publish() {
  const topic = h('input', { id: 'publish-topic', required: '', autocomplete: 'off', spellcheck: 'false', maxlength: 65535 })
  const body = h('textarea', { id: 'publish-payload', spellcheck: 'false' })
  const qos = h('select', { id: 'publish-qos' }, ...[0, 1, 2].map((one) => h('option', { value: one }, one)))
  qos.value = '1'
  const retain = h('input', { type: 'checkbox' })
  const wrong = h('p', { class: 'wrong', role: 'alert' })
  const send = h('button', { type: 'submit', class: 'main' }, 'Publish')
  const form = h('form', { class: 'fields' },
    h('div', {}, h('label', { for: 'publish-topic' }, 'Topic'), topic),
    h('div', {}, h('label', { for: 'publish-payload' }, 'Payload'), body),
    h('div', { class: 'row' }, h('div', {}, h('label', { for: 'publish-qos' }, 'QoS'), qos), h('label', { class: 'check' }, retain, 'Retain'), h('span', { class: 'grow' }), send), wrong)

  const filter = h('input', { id: 'subscribe-filter', required: '', value: '#', autocomplete: 'off', spellcheck: 'false', maxlength: 65535 })
  const start = h('button', { type: 'submit', class: 'main' }, 'Subscribe')
  const problem = h('p', { class: 'wrong', role: 'alert' })
  const state = h('p', { class: 'soft', role: 'status' }, 'Not subscribed.')
  const list = h('ul', { class: 'messages', tabindex: 0, 'aria-label': 'Messages that came' })
  const clear = h('button', { type: 'button', class: 'quiet' }, 'Clear')
  const watch = h('form', { class: 'fields' },
    h('div', { class: 'row' }, h('div', { class: 'grow' }, h('label', { for: 'subscribe-filter' }, 'Topic filter'), filter), start, clear), problem, state)
  const needs = h('p', { class: 'notice' }, 'To publish and subscribe a token is needed.')
  const element = h('div', {}, h('div', { class: 'head' }, h('h2', {}, 'Publish and subscribe')), needs,
    h('div', { class: 'grid' },
      h('section', { class: 'panel' }, h('h3', {}, 'Publish'), form),
      h('section', { class: 'panel' }, h('h3', {}, 'Subscribe'), watch, list)))

  let running = null
  let messages = []
  let received = 0
  let missed = 0
  let waiting = false

  form.addEventListener('submit', async (event) => {
    event.preventDefault()
    text(wrong, '')
    try {
      await change('POST', 'publish', { topic: topic.value, payload: body.value, qos: Number(qos.value), retain: retain.checked })
      tell(`Published to “${topic.value}”.`)
    } catch (error) {
      text(wrong, error.message)
    }
  })

  watch.addEventListener('submit', (event) => {
    event.preventDefault()
    if (running) stop()
    else run(filter.value)
  })

  clear.addEventListener('click', () => {
    messages = []
    received = 0
    missed = 0
    draw()
  })

  function stop(why = '') {
    running?.abort()
    running = null
    text(start, 'Subscribe')
    set(filter, 'readonly', null)
    text(problem, why)
    draw()
  }

  async function run(wanted) {
    const mine = (running = new AbortController())
    text(problem, '')
    text(start, 'Unsubscribe')
    set(filter, 'readonly', '')
    draw()
    try {
      await events(query('subscribe', { filter: wanted }), mine.signal, (name, data) => {
        if (data.missed) missed += data.missed
        if (data.topic !== undefined) {
          received += 1
          messages.unshift({ ...data, id: received, at_ms: data.received_at_ms ?? Date.now() })
          if (messages.length > SHOWN_MAX) messages.length = SHOWN_MAX
        }
        draw()
      })
      if (mine === running) stop('The broker has ended the subscription.')
    } catch (error) {
      if (mine === running) stop(error.message)
    }
  }

  function draw() {
    if (waiting) return
    waiting = true
    requestAnimationFrame(() => {
      waiting = false
      const came = `${count(received)} ${received === 1 ? 'message' : 'messages'} came${missed ? `, ${count(missed)} more were too many for this page` : ''}.`
      text(state, running ? `Subscribed to ${filter.value}. ${came}` : received ? `Not subscribed any more. ${came}` : 'Not subscribed.')
      keyed(list, messages, (one) => one.id,
        (one) => h('li', {}, h('time', {}, clock(one.at_ms)), h('span', { class: 't' }, one.topic, one.retain ? ' (retained)' : ''), h('span', { class: 'p' }, payload(one))), () => {})
    })
  }

  function drawToken() {
    needs.hidden = Boolean(token())
    for (const button of [send, start]) set(button, 'disabled', token() ? null : '')
  }

  drawToken()
  return {
    element,
    enter([wanted]) {
      if (wanted) topic.value = wanted
    },
    tokenChanged() {
      if (!token()) stop()
      drawToken()
    },
  }
}
