// What MQTT.js sends and receives over plain TCP, TLS, WebSocket and both.
//
// Arguments: mqtt, mqtts, ws or wss, the port, and for TLS the files of the authority, of a
// certificate for the user node-7, and of its key.
'use strict'

const assert = require('node:assert')
const { once } = require('node:events')
const fs = require('node:fs')
const mqtt = require('mqtt')

const [scheme, port, ...files] = process.argv.slice(2)
const SIZES = [0, 1, 125, 126, 65535, 65536, 70000, 1500000]
const LIMIT_MS = 60000

function options(protocolVersion, clientId) {
  const [ca, cert, key] = files.map((file) => fs.readFileSync(file))
  // It does not change the name of the protocol by itself.
  const protocolId = protocolVersion === 3 ? 'MQIsdp' : 'MQTT'
  return { protocolVersion, protocolId, clientId, ca, cert, key, reconnectPeriod: 0 }
}

async function connect(version, name) {
  return mqtt.connectAsync(`${scheme}://localhost:${port}/mqtt`, options(version, name))
}

async function exchange(version) {
  const receiver = await connect(version, 'receiver')
  const [granted] = await receiver.subscribeAsync('node-7/#', { qos: 2 })
  assert.strictEqual(granted.qos, 2)
  const sender = await connect(version, 'sender')
  for (const qos of [0, 1, 2]) {
    for (const size of SIZES) {
      const payload = Buffer.alloc(size, `${version} ${qos} ${size}`)
      const topic = `node-7/${qos}`
      // One at a time: what is sent at QoS 0 to a slow client may be dropped.
      const arrived = once(receiver, 'message')
      await sender.publishAsync(topic, payload, { qos })
      const [came, bytes] = await arrived
      assert.strictEqual(came, topic)
      assert.ok(payload.equals(bytes), `${topic} with ${size} bytes came back changed`)
    }
  }
  await sender.endAsync()
  await receiver.endAsync()
}

async function main() {
  for (const version of [3, 4, 5]) {
    await exchange(version)
  }
}

setTimeout(() => {
  console.error(`nothing for ${LIMIT_MS} ms`)
  process.exit(1)
}, LIMIT_MS).unref()
main().catch((error) => {
  console.error(error)
  process.exit(1)
})
