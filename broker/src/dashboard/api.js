// Requests to the API, with the token.

const KEY = 'weir-token'
const listeners = new Set()

/** What an answer says that is not what was asked for. */
export class ApiError extends Error {
  constructor(status, code, message) {
    super(message)
    this.status = status
    this.code = code
  }
}

/** The token of this tab, or null. */
export function token() {
  return sessionStorage.getItem(KEY)
}

/** Takes another token, or none. */
export function setToken(value) {
  if (value) sessionStorage.setItem(KEY, value)
  else sessionStorage.removeItem(KEY)
  listeners.forEach((listener) => listener())
}

/** Called whenever the token is another one. */
export function tokenChanged(listener) {
  listeners.add(listener)
}

/** Takes the token from the link that `weir dashboard` prints, and takes it out of the address. */
export function takeFromLink() {
  const part = location.hash.match(/[#&]token=([^&]*)/)
  if (!part) return
  if (part[1]) setToken(decodeURIComponent(part[1]))
  history.replaceState(null, '', `${location.pathname}#/overview`)
}

/** A request; answers the response when it is a good one. */
export async function ask(method, path, { body, signal, json } = {}) {
  const headers = {}
  const shown = token()
  if (shown) headers.Authorization = `Bearer ${shown}`
  if (json !== undefined) {
    headers['Content-Type'] = 'application/json'
    body = JSON.stringify(json)
  }
  let response
  try {
    response = await fetch(`/api/v1/${path}`, { method, headers, body, signal, cache: 'no-store' })
  } catch (error) {
    if (error.name === 'AbortError') throw error
    throw new ApiError(0, 'unreachable', 'The broker cannot be reached.')
  }
  if (response.ok) return response
  throw await problem(response)
}

async function problem(response) {
  const words = await response.text()
  try {
    const { code, message, help } = JSON.parse(words).error
    return new ApiError(response.status, code, help ? `${message}\n${help}` : message)
  } catch {
    return new ApiError(response.status, '', words.trim() || `The answer is ${response.status}.`)
  }
}

/** The JSON of an answer. */
export async function get(path, signal) {
  return (await ask('GET', path, { signal })).json()
}

/** Changes something; answers the text. */
export async function change(method, path, json) {
  return (await ask(method, path, { json })).text()
}

/** A name as a part of a path. */
export function part(name) {
  return encodeURIComponent(name)
}

/** A path with parameters; those that are empty are left out. */
export function query(path, parameters) {
  const given = Object.entries(parameters).filter(([, value]) => value !== '' && value != null)
  return given.length ? `${path}?${new URLSearchParams(given)}` : path
}

/** Events as they come, until `signal` ends it: calls `take(name, data)`. */
export async function events(path, signal, take) {
  const response = await ask('GET', path, { signal })
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader()
  let rest = ''
  for (;;) {
    const { done, value } = await reader.read()
    if (done) return
    const blocks = (rest + value).split('\n\n')
    rest = blocks.pop()
    for (const block of blocks) {
      let name = 'message'
      const data = []
      for (const line of block.split('\n')) {
        if (line.startsWith('event: ')) name = line.slice(7)
        else if (line.startsWith('data: ')) data.push(line.slice(6))
      }
      if (data.length) take(name, JSON.parse(data.join('\n')))
    }
  }
}
