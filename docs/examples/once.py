"""Takes each message of a gateway once, although it may come more than once.

    python3 once.py HOST PORT FILTER FILE.db

A message and its `id` are written to SQLite in one transaction, and it is acknowledged after that.
So one that comes again is known by its `id`, whenever this program or its machine has ended.
Needs paho-mqtt 2.
"""

import sqlite3
import sys

import paho.mqtt.client as mqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

host, port, topics, path = sys.argv[1:]
db = sqlite3.connect(path)
db.execute("CREATE TABLE IF NOT EXISTS message (id TEXT PRIMARY KEY, topic TEXT, payload BLOB)")


def on_connect(client, _data, _flags, reason, _properties):
    print("connected:", reason, flush=True)
    client.subscribe(topics, qos=1)


def on_message(client, _data, message):
    properties = dict(getattr(message.properties, "UserProperty", []))
    row = (properties["id"], message.topic, message.payload)
    with db:
        db.execute("INSERT OR IGNORE INTO message VALUES (?, ?, ?)", row)
    client.ack(message.mid, message.qos)


client = mqtt.Client(
    mqtt.CallbackAPIVersion.VERSION2, client_id="once", protocol=mqtt.MQTTv5, manual_ack=True
)
client.on_connect = on_connect
client.on_message = on_message
session = Properties(PacketTypes.CONNECT)
session.SessionExpiryInterval = 7 * 24 * 3600
client.connect(host, int(port), clean_start=False, properties=session)
client.loop_forever()
