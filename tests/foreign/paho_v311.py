"""What paho-mqtt 1.6 finds of MQTT 3.1.1 at the broker on the given port."""

import queue
import sys

import paho.mqtt.client as mqtt

PORT = int(sys.argv[1])
LIMIT_S = 20


class Client:
    def __init__(self, name, clean=True, will=None):
        self.messages = queue.Queue()
        self.events = queue.Queue()
        self.client = mqtt.Client(name, clean_session=clean, protocol=mqtt.MQTTv311)
        self.client.on_connect = lambda c, u, flags, code: self.events.put(
            ("connected", flags["session present"], code)
        )
        self.client.on_disconnect = lambda c, u, code: self.events.put(("disconnected", code))
        self.client.on_subscribe = lambda c, u, mid, granted: self.events.put(
            ("subscribed", list(granted))
        )
        self.client.on_publish = lambda c, u, mid: self.events.put(("published",))
        self.client.on_message = lambda c, u, message: self.messages.put(message)
        if will is not None:
            self.client.will_set(will, b"gone", qos=2, retain=True)
        self.client.connect("127.0.0.1", PORT, keepalive=30)
        self.client.loop_start()
        _, self.session_present, code = self.event("connected")
        assert code == 0, code

    def event(self, kind):
        event = self.events.get(timeout=LIMIT_S)
        assert event[0] == kind, (kind, event)
        return event

    def subscribe(self, *filters):
        self.client.subscribe(list(filters))
        return self.event("subscribed")[1]

    def publish(self, topic, payload=b"x", qos=1, retain=False):
        self.client.publish(topic, payload, qos=qos, retain=retain)
        self.event("published")

    def message(self):
        return self.messages.get(timeout=LIMIT_S)

    def leave(self):
        self.client.disconnect()
        self.event("disconnected")
        self.client.loop_stop()

    def die(self):
        self.client.loop_stop()
        self.client.socket().close()


def every_quality():
    client = Client("quality")
    assert client.subscribe(("q/0", 0), ("q/1", 1), ("q/2", 2)) == [0, 1, 2]
    for qos in (0, 1, 2):
        for granted in (0, 1, 2):
            client.publish(f"q/{granted}", b"%d" % qos, qos)
            message = client.message()
            assert message.qos == min(qos, granted), message
            assert message.payload == b"%d" % qos
    client.leave()


def an_overlap_is_delivered_once():
    client = Client("overlap")
    client.subscribe(("v/#", 0), ("v/+", 2), ("v/1", 1))
    client.publish("v/1", qos=2)
    client.publish("v/end/end", b"end", qos=0)
    assert client.message().qos == 2
    assert client.message().payload == b"end"
    client.leave()


def a_session_goes_on():
    client = Client("session", clean=False)
    assert not client.session_present
    client.subscribe(("s/#", 2))
    client.leave()
    other = Client("other")
    for number in range(100):
        other.publish("s/1", str(number), qos=1 + number % 2)
    other.leave()
    client = Client("session", clean=False)
    assert client.session_present
    found = [client.message() for _ in range(100)]
    # paho gives a QoS 2 message away at PUBREL, so only each quality has its order.
    for qos in (1, 2):
        numbers = [int(message.payload) for message in found if message.qos == qos]
        assert numbers == list(range(qos - 1, 100, 2)), numbers
    client.leave()
    client = Client("session", clean=True)
    assert not client.session_present
    client.leave()


def a_will_is_kept():
    watcher = Client("watcher")
    watcher.subscribe(("will/#", 2))
    Client("dies", will="will/dies").die()
    message = watcher.message()
    assert (message.payload, message.qos, message.retain) == (b"gone", 2, 0), message
    late = Client("late")
    late.subscribe(("will/#", 1))
    message = late.message()
    assert (message.payload, message.qos, message.retain) == (b"gone", 1, 1), message
    late.leave()
    watcher.leave()


def large_payloads():
    client = Client("large")
    client.subscribe(("l/#", 2))
    for size in (0, 1, 127, 128, 16_383, 16_384, 65_536, 1_900_000):
        payload = bytes(size % 251 for _ in range(size))
        client.publish("l/1", payload, qos=2)
        assert client.message().payload == payload, size
    client.leave()


for check in (
    every_quality,
    an_overlap_is_delivered_once,
    a_session_goes_on,
    a_will_is_kept,
    large_payloads,
):
    print(check.__name__, flush=True)
    check()
