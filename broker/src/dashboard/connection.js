// The stream of events: opened with what the section that is shown wants, and again when it breaks.

import { events, query, token } from './api.js'

const AGAIN_MS = [500, 1000, 2000, 4000, 8000]
/** The broker says something every second. */
const SILENCE_MS = 6000

let wish = {}
let running = null
let failures = 0
let again = 0
const listeners = { state: [], status: [], past: [], topics: [], rule: [] }

/** What was said last. */
export const last = { status: null, rates: null, at: 0, past: [] }

/** Calls `listener` with each event of this name, and with `state`. */
export function listen(name, listener) {
  listeners[name].push(listener)
}

function say(name, data) {
  listeners[name]?.forEach((listener) => listener(data))
}

/** Lets the stream carry what is wanted now. */
export function want(wanted) {
  const next = token() ? wanted : {}
  if (running && JSON.stringify(next) === JSON.stringify(wish)) return
  wish = next
  restart()
}

/** Opens the stream anew. */
export function restart() {
  running?.abort()
  clearTimeout(again)
  running = new AbortController()
  run(running)
}

async function run(controller) {
  let watchdog = 0
  const alive = () => {
    clearTimeout(watchdog)
    watchdog = setTimeout(() => controller.abort(new Error('silent')), SILENCE_MS)
  }
  let why = 'It ended the stream.'
  let gone = false
  try {
    alive()
    await events(query('events', wish), controller.signal, (name, data) => {
      alive()
      failures = 0
      take(name, data)
    })
  } catch (error) {
    gone = error.status === 404 && Boolean(wish.rule)
    why = error.status === 401 || error.status === 403 ? error : error.message
  }
  clearTimeout(watchdog)
  // Another stream was opened in its place.
  if (controller !== running) return
  if (gone) {
    // The rule is no more; everything else is there.
    wish = {}
    return restart()
  }
  const wait = AGAIN_MS[Math.min(failures, AGAIN_MS.length - 1)]
  failures += 1
  if (why instanceof Error) say('state', { state: 'refused', error: why })
  else say('state', { state: 'lost', why, wait })
  again = setTimeout(restart, wait)
}

/** What the charts show of a moment. */
function point({ at_ms, rates, status }) {
  const of = (list, value) => Object.fromEntries(list.map((one) => [one.name, value(one)]))
  return {
    at_ms,
    ...rates,
    commit_p99: status.store.commit_p99_us / 1000,
    lags: of(status.rules, (rule) => rule.watermark_lag_ms),
    depths: of(status.upstreams, (upstream) => upstream.depth),
  }
}

function take(name, data) {
  if (name === 'status') {
    last.status = data.status
    last.rates = data.rates
    last.at = data.at_ms
    last.past.push(point(data))
    if (last.past.length > 180) last.past.shift()
    say('state', { state: 'live' })
  }
  if (name === 'past' && data.length) {
    // Of before this page looked, or of the time that it was away.
    const first = data[0].at_ms
    last.past = [...last.past.filter((one) => one.at_ms < first), ...data.map((one) =>
      last.past.find((known) => known.at_ms === one.at_ms) ?? one)]
  }
  say(name, data)
}
