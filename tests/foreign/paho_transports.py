"""What paho-mqtt 2 sends and receives over plain TCP, TLS, WebSocket and both.

Arguments: mqtt, mqtts, ws or wss, the port, and for TLS the files of the authority, of a
certificate for the user node-7, and of its key.
"""

import queue
import sys

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

SCHEME, PORT, *FILES = sys.argv[1:]
LIMIT_S = 60
SIZES = [0, 1, 125, 126, 65535, 65536, 70000, 1500000]


class Client:
    def __init__(self, name, protocol):
        self.messages = queue.Queue()
        self.events = queue.Queue()
        transport = "websockets" if SCHEME in ("ws", "wss") else "tcp"
        self.client = mqtt.Client(
            CallbackAPIVersion.VERSION2, name, protocol=protocol, transport=transport
        )
        if FILES:
            authority, certificate, key = FILES
            self.client.tls_set(ca_certs=authority, certfile=certificate, keyfile=key)
        self.client.on_connect = lambda c, u, flags, reason, p: self.events.put(
            ("connected", reason.is_failure)
        )
        self.client.on_subscribe = lambda c, u, mid, reasons, p: self.events.put(
            ("subscribed", reasons[0].is_failure)
        )
        self.client.on_disconnect = lambda *_: self.events.put(("disconnected", False))
        self.client.on_message = lambda c, u, message: self.messages.put(message)
        self.client.connect("localhost", int(PORT), keepalive=30)
        self.client.loop_start()
        self.event("connected")

    def event(self, kind):
        event = self.events.get(timeout=LIMIT_S)
        assert event == (kind, False), (kind, event)

    def leave(self):
        self.client.disconnect()
        self.event("disconnected")
        self.client.loop_stop()


for protocol in (mqtt.MQTTv311, mqtt.MQTTv5):
    receiver = Client("receiver", protocol)
    receiver.client.subscribe("node-7/#", qos=2)
    receiver.event("subscribed")
    sender = Client("sender", protocol)
    sent = []
    for qos in (0, 1, 2):
        for size in SIZES:
            payload = bytes((size + n * n) % 251 for n in range(min(size, 4096)))
            payload = (payload * (size // 4096 + 1))[:size]
            sender.client.publish(f"node-7/{qos}", payload, qos=qos).wait_for_publish(LIMIT_S)
            sent.append((f"node-7/{qos}", payload))
            # One at a time: what is sent at QoS 0 to a slow client may be dropped.
            message = receiver.messages.get(timeout=LIMIT_S)
            assert (message.topic, message.payload) == sent[-1], (protocol, qos, size)
    sender.leave()
    receiver.leave()
