// What the browser build of MQTT.js sends and receives in a real Chromium, over WebSocket with
// and without TLS.
//
// Arguments: ws or wss, the port of the broker, the program of Chromium, an empty directory for
// its profile, and for wss the certificate of the broker.
'use strict'

const assert = require('node:assert')
const crypto = require('node:crypto')
const fs = require('node:fs')
const http = require('node:http')
const path = require('node:path')
const { chromium } = require('playwright-core')

const [scheme, port, executablePath, profile, certificate] = process.argv.slice(2)
const url = `${scheme}://localhost:${port}/mqtt`
const LIMIT_MS = 90000
const FLAGS = [
  '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--no-proxy-server',
  '--disable-background-networking', '--disable-component-update', '--disable-sync'
]

// A page with the library, and nothing else.
function serve() {
  const library = path.join(path.dirname(require.resolve('mqtt/package.json')), 'dist/mqtt.min.js')
  const page = '<!doctype html><title>weir</title><script src="/mqtt.min.js"></script>'
  const server = http.createServer((request, response) => {
    const isLibrary = request.url === '/mqtt.min.js'
    response.setHeader('Content-Type', isLibrary ? 'text/javascript' : 'text/html')
    response.end(isLibrary ? fs.readFileSync(library) : page)
  })
  return new Promise((resolve) => server.listen(0, '127.0.0.1', () => resolve(server)))
}

// Nobody has signed the certificate that Chromium knows, so it is told which key is good.
function trust() {
  if (!certificate) return []
  const { publicKey } = new crypto.X509Certificate(fs.readFileSync(certificate))
  const key = publicKey.export({ type: 'spki', format: 'der' })
  const hash = crypto.createHash('sha256').update(key).digest('base64')
  return [`--ignore-certificate-errors-spki-list=${hash}`]
}

// In the page: every QoS with small and large payloads, there and back.
async function exchange([url, protocolVersion]) {
  const options = { protocolVersion, reconnectPeriod: 0 }
  const receiver = await mqtt.connectAsync(url, { ...options, clientId: 'receiver' })
  const [granted] = await receiver.subscribeAsync('browser/#', { qos: 2 })
  if (granted.qos !== 2) throw new Error(`granted ${granted.qos}`)
  const sender = await mqtt.connectAsync(url, { ...options, clientId: 'sender' })
  for (const qos of [0, 1, 2]) {
    for (const size of [0, 1, 126, 65536, 1048576]) {
      const payload = new Uint8Array(size).map((_, index) => (index * 7 + qos) % 251)
      const topic = `browser/${qos}`
      // One at a time: what is sent at QoS 0 to a slow client may be dropped.
      const arrived = new Promise((resolve) => {
        receiver.once('message', (...message) => resolve(message))
      })
      await sender.publishAsync(topic, payload, { qos })
      const [came, bytes, packet] = await arrived
      const isSame = bytes.length === size && bytes.every((byte, at) => byte === payload[at])
      if (came !== topic || packet.qos !== qos || !isSame) {
        throw new Error(`${size} bytes to ${topic} came back changed: ${came}, ${bytes.length}`)
      }
    }
  }
  await sender.endAsync()
  await receiver.endAsync()
}

// In the page: a retained message waits for who comes later, and is taken away again.
async function retain([url, protocolVersion]) {
  const options = { protocolVersion, reconnectPeriod: 0 }
  const topic = `kept/${protocolVersion}`
  const sender = await mqtt.connectAsync(url, options)
  await sender.publishAsync(topic, 'for later', { qos: 1, retain: true })
  const receiver = await mqtt.connectAsync(url, options)
  const arrived = new Promise((resolve) => {
    receiver.once('message', (...message) => resolve(message))
  })
  await receiver.subscribeAsync(topic, { qos: 1 })
  const [, bytes, packet] = await arrived
  if (new TextDecoder().decode(bytes) !== 'for later' || !packet.retain) {
    throw new Error('the retained message came changed')
  }
  await sender.publishAsync(topic, '', { qos: 1, retain: true })
  await sender.endAsync()
  await receiver.endAsync()
}

// In the page: a client whose will is published when the page goes away.
async function leaveWill([url, protocolVersion]) {
  const will = { topic: 'will/page', payload: `gone ${protocolVersion}`, qos: 1, retain: false }
  const options = { protocolVersion, reconnectPeriod: 0, will }
  window.client = await mqtt.connectAsync(url, options)
}

// In another page: waits for that.
async function awaitWill([url, protocolVersion]) {
  const client = await mqtt.connectAsync(url, { protocolVersion, reconnectPeriod: 0 })
  window.will = new Promise((resolve) => {
    client.once('message', (_, bytes) => resolve(new TextDecoder().decode(bytes)))
  })
  await client.subscribeAsync('will/page', { qos: 1 })
}

async function closePage(context, at, open, version) {
  const watching = await open(context, at)
  await watching.evaluate(awaitWill, [url, version])
  const closing = await open(context, at)
  await closing.evaluate(leaveWill, [url, version])
  await closing.close()
  assert.strictEqual(await watching.evaluate(() => window.will), `gone ${version}`)
  await watching.close()
}

async function openPage(context, at) {
  const page = await context.newPage()
  page.on('pageerror', (error) => console.error(error))
  await page.goto(at)
  return page
}

async function main() {
  const server = await serve()
  const args = [...FLAGS, ...trust()]
  const context = await chromium.launchPersistentContext(profile, { executablePath, args })
  const at = `http://127.0.0.1:${server.address().port}/`
  for (const version of [4, 5]) {
    const page = await openPage(context, at)
    await page.evaluate(exchange, [url, version])
    await page.evaluate(retain, [url, version])
    await page.close()
    await closePage(context, at, openPage, version)
  }
  await context.close()
  server.close()
  console.log('the browser is done')
}

setTimeout(() => {
  console.error(`nothing for ${LIMIT_MS} ms`)
  process.exit(1)
}, LIMIT_MS).unref()
main().catch((error) => {
  console.error(error)
  process.exit(1)
})
