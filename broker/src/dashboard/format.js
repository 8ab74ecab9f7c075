// How numbers, times and sizes are written.

const WHOLE = new Intl.NumberFormat('en', { maximumFractionDigits: 0 })
const PARTS = new Intl.NumberFormat('en', { maximumFractionDigits: 1 })
const SHORT = new Intl.NumberFormat('en', { notation: 'compact', maximumFractionDigits: 1 })

/** A count, whole up to a million. */
export function count(number) {
  if (number === null || number === undefined) return '–'
  return number < 1e6 ? WHOLE.format(number) : SHORT.format(number)
}

/** So many in a second. */
export function rate(number) {
  if (number === null || number === undefined) return '–'
  if (number === 0) return '0'
  if (number < 0.1) return number.toFixed(2)
  return number < 100 ? PARTS.format(number) : count(number)
}

/** Bytes with a unit. */
export function bytes(number) {
  if (number === null || number === undefined) return '–'
  const units = ['B', 'KB', 'MB', 'GB', 'TB']
  let at = 0
  while (number >= 1000 && at < units.length - 1) {
    number /= 1024
    at += 1
  }
  return `${at === 0 || number >= 100 ? WHOLE.format(number) : PARTS.format(number)} ${units[at]}`
}

/** A span of time, with its largest two units. */
export function span(seconds) {
  if (seconds === null || seconds === undefined) return '–'
  const whole = Math.max(0, Math.floor(seconds))
  const units = [['d', 86400], ['h', 3600], ['min', 60], ['s', 1]]
  const first = units.findIndex(([, size]) => whole >= size)
  if (first < 0) return '0 s'
  const [name, size] = units[first]
  const most = `${Math.floor(whole / size)} ${name}`
  if (first === units.length - 1) return most
  const [next, part] = units[first + 1]
  const rest = Math.floor((whole % size) / part)
  return rest ? `${most} ${rest} ${next}` : most
}

/** Since when, in short. */
export function age(atMs, nowMs = Date.now()) {
  if (!atMs) return '–'
  const seconds = (nowMs - atMs) / 1000
  return seconds < 1.5 ? 'now' : span(seconds)
}

/** Milliseconds. */
export function ms(number) {
  if (number === null || number === undefined) return '–'
  if (Math.abs(number) >= 10000) return `${number < 0 ? '-' : ''}${span(Math.abs(number) / 1000)}`
  return `${number < 10 && !Number.isInteger(number) ? number.toFixed(1) : WHOLE.format(number)} ms`
}

/** Nanoseconds. */
export function ns(number) {
  if (number === null || number === undefined) return '–'
  if (number < 1000) return `${number} ns`
  return number < 1e6 ? `${PARTS.format(number / 1000)} µs` : ms(number / 1e6)
}

/** The time of day. */
export function clock(atMs) {
  return new Date(atMs).toLocaleTimeString('en-GB')
}

/** A payload as it can be read; one that is not text in hexadecimal. */
export function payload({ payload: words, payload_base64: binary, payload_bytes: size }) {
  if (words !== undefined && words !== null) {
    if (words === '') return '(empty)'
    return words + (new TextEncoder().encode(words).length < size ? '…' : '')
  }
  if (binary === undefined || binary === null) return `(${bytes(size)})`
  const all = Array.from(atob(binary), (one) => one.charCodeAt(0).toString(16).padStart(2, '0'))
  return `0x${all.join(' ')}${all.length < size ? '…' : ''}`
}

/** The first number in a payload: itself, or of a field of an object. */
export function number(text) {
  if (text === undefined || text === null || text === '') return null
  const plain = Number(text)
  if (Number.isFinite(plain)) return plain
  if (!text.startsWith('{')) return null
  try {
    return Object.values(JSON.parse(text)).find((value) => Number.isFinite(value)) ?? null
  } catch {
    return null
  }
}

const REASONS = {
  acl: 'the receiver may not read the topic',
  disk_full: 'the store has no room',
  backlog_full: 'what waits for it was as much as may be',
  expired: 'the message expiry interval was over',
  late_or_limit: 'it came after its window was closed, or a limit of the rule was reached',
  queue_full: 'the queue of the session was full (max_queued_messages, max_queued_bytes)',
  refused: 'the receiver refused the message',
  retained_full: 'there are as many retained messages as may be (max_retained_messages)',
  slow_qos0: 'the client did not read fast enough for QoS 0 (max_send_buffer)',
  too_large: 'the message was larger than the receiver or the broker takes',
  unreadable: 'the store could not read the message back',
}

/** Why messages are dropped, in words. */
export function reason(name) {
  return REASONS[name] ?? name.replaceAll('_', ' ')
}
