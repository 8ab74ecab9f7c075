// The page: which section is shown, how the connection is, and the token.

import { setToken, takeFromLink, token, tokenChanged } from './api.js'
import { last, listen, restart, want } from './connection.js'
import { h, keyed, set, text } from './dom.js'
import { clock, count, span } from './format.js'
import { clients } from './clients.js'
import { devices } from './devices.js'
import { overview } from './overview.js'
import { publish } from './publish.js'
import { rules } from './rules.js'
import { store } from './store.js'
import { topics } from './topics.js'
import { upstreams } from './upstreams.js'

const $ = (id) => document.getElementById(id)
const PLACES = [
  { id: 'overview', name: 'Overview', make: overview },
  { id: 'clients', name: 'Clients', make: clients, count: (status) => status.connections },
  { id: 'topics', name: 'Topics', make: topics },
  { id: 'rules', name: 'Rules', make: rules, count: (status) => status.rules.length },
  { id: 'upstreams', name: 'Upstreams', make: upstreams, count: (status) => status.upstreams.length,
    alert: (status) => status.upstreams.some((one) => one.last_error && one.state !== 'connected') },
  { id: 'store', name: 'Store', make: store, count: (status) => status.store.status || 'ok',
    alert: (status) => !['', 'ok'].includes(status.store.status) },
  { id: 'devices', name: 'Devices', make: devices, hidden: (status) => !status.bridge },
  { id: 'publish', name: 'Publish', make: publish },
]
const made = {}
let shown = null

function section(id) {
  const place = PLACES.find((one) => one.id === id)
  return (made[id] ??= place.make({ rewish }))
}

function rewish() {
  if (shown) want(shown.wish?.() ?? {})
}

/** Shows what the address says. */
function route() {
  takeFromLink()
  const [id, ...rest] = location.hash.replace(/^#\/?/, '').split('/')
  const place = PLACES.find((one) => one.id === id) ?? PLACES[0]
  const next = section(place.id)
  if (next !== shown) {
    shown?.leave?.()
    $('view').replaceChildren(next.element)
    shown = next
    document.title = `${place.name} · Weir`
    for (const link of document.querySelectorAll('#places a')) {
      const isCurrent = link.getAttribute('href') === `#/${place.id}`
      set(link, 'aria-current', isCurrent ? 'page' : null)
      if (isCurrent) link.scrollIntoView({ block: 'nearest', inline: 'center' })
    }
  }
  next.enter?.(rest.map(decodeURIComponent))
  rewish()
  if (last.status) next.update?.(last)
}

function drawPlaces() {
  const current = PLACES.filter((place) => !(place.hidden && (!last.status || place.hidden(last.status))))
  keyed($('places'), current, (place) => place.id,
    (place) => h('li', {}, h('a', { href: `#/${place.id}`, 'aria-current': shown === made[place.id] && shown ? 'page' : null },
      h('span', {}, place.name), h('span', { class: 'count' }))),
    (item, place) => {
      const mark = item.querySelector('.count')
      const value = last.status && place.count ? place.count(last.status) : ''
      text(mark, typeof value === 'number' ? count(value) : value)
      set(mark, 'class', last.status && place.alert?.(last.status) ? 'count alert' : 'count')
    })
}

function drawStatus() {
  const { status } = last
  text($('about'), `${status.version} · up ${span(status.uptime_s)}${status.clock_unset ? ' · clock not set' : ''}`)
  drawPlaces()
  shown?.update?.(last)
}

function drawState({ state, why, error }) {
  const dot = document.querySelector('#link .dot')
  const isReady = last.status?.ready
  const words = state === 'live' ? (isReady ? 'Live' : 'Not ready') : state === 'refused' ? 'Refused' : 'Reconnecting'
  set(dot, 'class', `dot ${state === 'live' ? (isReady ? 'good' : 'warn') : 'bad'}`)
  text($('link-text'), words)
  $('lost').hidden = state !== 'lost'
  if (state === 'lost') {
    text($('lost-text'), `${why} Trying again.`)
    text($('lost-since'), last.at ? clock(last.at) : 'never')
  }
  if (state === 'refused') {
    // What it was wanted for is shown without it as far as may be.
    text($('token-wrong'), error.message)
    if (token() && !$('token-dialog').open) openToken()
    if (!token()) drawToken()
  }
}

function drawToken() {
  $('ask').hidden = Boolean(token())
  text($('token-button'), token() ? 'Token ✓' : 'Token')
  set($('token-button'), 'aria-label', token() ? 'Token: in use' : 'Token: none')
  $('token-forget').hidden = !token()
}

function openToken() {
  $('token-input').value = ''
  $('token-dialog').showModal()
  $('token-input').focus()
}

$('token-button').addEventListener('click', openToken)
$('ask-button').addEventListener('click', openToken)
$('token-cancel').addEventListener('click', () => $('token-dialog').close())
$('token-forget').addEventListener('click', () => {
  setToken(null)
  $('token-dialog').close()
})
$('token-form').addEventListener('submit', (event) => {
  event.preventDefault()
  const value = $('token-input').value.trim()
  // A link as `weir dashboard` prints it will do as well.
  const given = value.match(/#token=(.+)$/)?.[1] ?? value
  if (!/^[\x21-\x7e]+$/.test(given)) {
    text($('token-wrong'), 'That is not a token: it has no spaces and plain characters only.')
    return
  }
  text($('token-wrong'), '')
  setToken(given)
  $('token-dialog').close()
})
tokenChanged(() => {
  drawToken()
  for (const one of Object.values(made)) one.tokenChanged?.()
  rewish()
  restart()
})

const dark = matchMedia('(prefers-color-scheme: dark)')
function drawTheme() {
  const chosen = localStorage.getItem('weir-theme')
  const isDark = chosen ? chosen === 'dark' : dark.matches
  document.documentElement.dataset.theme = isDark ? 'dark' : 'light'
  set($('theme-button'), 'aria-pressed', isDark)
}
$('theme-button').addEventListener('click', () => {
  const isDark = document.documentElement.dataset.theme === 'dark'
  localStorage.setItem('weir-theme', isDark ? 'light' : 'dark')
  drawTheme()
})
dark.addEventListener('change', drawTheme)

drawTheme()
takeFromLink()
drawToken()
drawPlaces()
listen('state', drawState)
listen('status', drawStatus)
addEventListener('hashchange', route)
document.querySelector('.skip').addEventListener('click', (event) => {
  // The fragment of the address is the section.
  event.preventDefault()
  $('main').focus()
})
route()
