// Who is connected, or has a session, and what waits for them.

import { change, get, part, query, token } from './api.js'
import { action, cells, confirm, h, keyed, pairs, row, set, table, tell, text } from './dom.js'
import { age, bytes, count, reason, span } from './format.js'

const EVERY_MS = 2000
const PAGE = 100

export function clients() {
  const search = h('input', { type: 'search', placeholder: 'Client id begins with', 'aria-label': 'Client id begins with', maxlength: 1024 })
  const only = h('input', { type: 'checkbox' })
  const columns = [['Client', 'cut'], ['User', 'hide-small'], ['Address', 'hide-small'], ['Since', 'n'], ['Waiting', 'n'], ['In flight', 'n hide-small'], ['Received', 'n hide-small'], ['Sent', 'n hide-small'], ['Dropped', 'n']]
  const list = table('Clients and sessions', columns)
  const none = h('p', { class: 'empty' }, 'No client.')
  const back = h('button', { type: 'button' }, 'First page')
  const next = h('button', { type: 'button' }, 'Next page')
  const wrong = h('p', { class: 'wrong', role: 'alert' })
  const side = h('section', { class: 'panel side flow', 'aria-label': 'One client', tabindex: -1 })
  const split = h('div', { class: 'split' },
    h('section', { class: 'panel', 'aria-label': 'List of clients' }, wrong, none, list.scroll, h('div', { class: 'buttons start' }, back, next)))
  const element = h('div', {}, h('div', { class: 'head' }, h('h2', {}, 'Clients'),
    h('div', { class: 'tools' }, search, h('label', { class: 'check' }, only, 'Connected only'))), split)

  let after = null
  let following = null
  let timer = 0
  let asking = null
  let chosen = null
  let opener = null
  let details = null
  let largest = 1

  function restart() {
    clearTimeout(timer)
    asking?.abort()
    if (element.isConnected) ask()
  }

  async function ask() {
    const mine = (asking = new AbortController())
    if (token()) {
      try {
        const parameters = { prefix: search.value, connected: only.checked ? 'true' : '', limit: PAGE, after }
        const page = await get(query('clients', parameters), mine.signal)
        const one = chosen === null ? null : await get(`clients/${part(chosen)}`, mine.signal).catch((error) => error)
        if (mine !== asking) return
        show(page)
        if (one) details?.(one)
        text(wrong, '')
      } catch (error) {
        if (mine !== asking || error.name === 'AbortError') return
        text(wrong, error.message)
      }
    } else {
      show({ clients: [], next: null })
      text(none, 'The names of clients are shown to whoever has a token.')
    }
    timer = setTimeout(restart, EVERY_MS)
  }

  function show(page) {
    following = page.next
    next.hidden = !following
    back.hidden = !after
    none.hidden = page.clients.length > 0
    list.scroll.hidden = page.clients.length === 0
    text(none, search.value || only.checked ? 'No client like that.' : 'No client.')
    largest = Math.max(1, ...page.clients.map((one) => one.queued_messages))
    keyed(list.body, page.clients, (one) => one.client_id, make, update)
  }

  function make(client) {
    const line = row(columns)
    const open = h('button', { type: 'button', class: 'name', title: client.client_id }, client.client_id)
    open.addEventListener('click', () => choose(client.client_id, open))
    line.cellsOf[0].append(open)
    line.bar = h('i')
    line.waiting = h('span')
    line.cellsOf[4].append(h('span', { class: 'bar hide-small', 'aria-hidden': 'true' }, line.bar), line.waiting)
    return line
  }

  function update(line, client) {
    const dropped = Object.values(client.dropped).reduce((sum, one) => sum + one, 0)
    const since = client.connected ? age(client.since_ms) : 'away'
    cells(line, [undefined, client.user ?? '–', client.address ?? '–', since, undefined, count(client.inflight), count(client.received), count(client.sent), count(dropped)])
    text(line.waiting, count(client.queued_messages))
    line.bar.style.width = `${(client.queued_messages / largest) * 100}%`
    set(line.cellsOf[8], 'class', dropped > 0 ? 'n wrong' : 'n')
    set(line, 'class', client.client_id === chosen ? 'chosen' : null)
  }

  function choose(id, button) {
    chosen = id
    opener = button
    details = panel(id)
    split.classList.add('open')
    split.append(side)
    side.focus()
    restart()
  }

  function close() {
    chosen = null
    details = null
    side.remove()
    split.classList.remove('open')
    if (opener?.isConnected) opener.focus()
    else search.focus()
    restart()
  }

  function panel(id) {
    const facts = pairs(['State', 'User', 'Protocol', 'Listener', 'Address', 'Connected since', 'Keep alive', 'Session expiry', 'Waiting', 'In flight', 'Received', 'Sent'])
    const drops = table('Messages dropped for this client', [['Dropped because'], ['Messages', 'n']])
    const filters = table('Subscriptions', [['Topic filter'], ['QoS', 'n']], { shown: true })
    const more = h('p', { class: 'soft' }, 'There are more subscriptions.')
    const gone = h('p', { class: 'wrong', role: 'alert' })
    const cut = action('Disconnect', 'danger', async () => {
      const words = `“${id}” is told that an administrator ends its connection. It may connect again.`
      const sure = await confirm('Disconnect this client?', words, 'Disconnect', 'End its session too: subscriptions and what waits are gone')
      if (!sure) return
      await change('DELETE', query(`clients/${part(id)}`, { session: sure.more ? 'true' : '' }))
      tell(sure.more ? `“${id}” is disconnected and its session has ended.` : `“${id}” is disconnected.`)
      close()
    })
    const shut = h('button', { type: 'button', class: 'quiet' }, 'Close')
    shut.addEventListener('click', close)
    side.replaceChildren(h('h3', {}, id), gone, facts.element, drops.scroll, filters.scroll, more, h('div', { class: 'buttons' }, shut, cut))
    return (client) => {
      text(gone, client instanceof Error ? client.message : '')
      if (client instanceof Error) return
      const expiry = client.session_expiry_s
      const values = [client.connected ? 'connected' : 'away', client.user ?? 'none', `MQTT ${client.protocol}`, client.listener ?? '–', client.address ?? '–',
        client.since_ms ? new Date(client.since_ms).toLocaleString('en-GB') : '–', client.keep_alive_s ? `${client.keep_alive_s} s` : 'none',
        expiry === null ? 'never' : expiry === 0 ? 'with the connection' : span(expiry),
        `${count(client.queued_messages)}, ${bytes(client.queued_bytes)}`, count(client.inflight), count(client.received), count(client.sent)]
      values.forEach((value, at) => text(facts.values[at], value))
      const lost = Object.entries(client.dropped).filter(([, number]) => number > 0)
      drops.scroll.hidden = lost.length === 0
      keyed(drops.body, lost, ([name]) => name, () => row([[''], ['', 'n']]), (line, [name, number]) => cells(line, [reason(name), count(number)]))
      const found = client.filters ?? []
      filters.scroll.hidden = found.length === 0
      more.hidden = !client.filters_are_cut
      keyed(filters.body, found, (one) => one.filter, () => row([['', 'mono'], ['', 'n']]), (line, one) => cells(line, [one.filter, one.qos]))
    }
  }

  search.addEventListener('input', () => {
    after = null
    restart()
  })
  only.addEventListener('change', () => {
    after = null
    restart()
  })
  back.addEventListener('click', () => {
    after = null
    restart()
  })
  next.addEventListener('click', () => {
    after = following
    restart()
  })
  side.addEventListener('keydown', (event) => {
    if (event.key === 'Escape') close()
  })
  return {
    element,
    enter: restart,
    leave() {
      clearTimeout(timer)
      asking?.abort()
    },
    tokenChanged: restart,
  }
}
