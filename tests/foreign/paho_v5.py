"""What paho-mqtt 2 finds of MQTT 5.0 at the broker on the given port."""

import queue
import sys
import time

import paho.mqtt.client as mqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

PORT = int(sys.argv[1])
LIMIT_S = 20


class Client:
    """A client whose events can be waited for."""

    def __init__(self, name, clean=True, expiry=None, receive_maximum=None, will=None):
        self.client = mqtt.Client(
            mqtt.CallbackAPIVersion.VERSION2, client_id=name, protocol=mqtt.MQTTv5
        )
        self.events = queue.Queue()
        self.messages = queue.Queue()
        self.client.on_connect = lambda c, u, flags, reason, properties: self.events.put(
            ("connected", flags.session_present, reason.value, properties)
        )
        self.client.on_disconnect = lambda c, u, flags, reason, properties: self.events.put(
            ("disconnected", reason.value)
        )
        self.client.on_subscribe = lambda c, u, mid, reasons, properties: self.events.put(
            ("subscribed", [reason.value for reason in reasons])
        )
        self.client.on_unsubscribe = lambda c, u, mid, reasons, properties: self.events.put(
            ("unsubscribed", [reason.value for reason in reasons])
        )
        self.client.on_publish = lambda c, u, mid, reason, properties: self.events.put(
            ("published", reason.value)
        )
        self.client.on_message = lambda c, u, message: self.messages.put(message)
        if will is not None:
            topic, delay = will
            properties = Properties(PacketTypes.WILLMESSAGE)
            properties.WillDelayInterval = delay
            self.client.will_set(topic, b"gone", qos=1, properties=properties)
        properties = Properties(PacketTypes.CONNECT)
        if expiry is not None:
            properties.SessionExpiryInterval = expiry
        if receive_maximum is not None:
            properties.ReceiveMaximum = receive_maximum
        self.client.connect(
            "127.0.0.1", PORT, clean_start=clean, properties=properties, keepalive=30
        )
        self.client.loop_start()
        _, self.session_present, reason, self.connack = self.event("connected")
        assert reason == 0, reason

    def event(self, kind):
        event = self.events.get(timeout=LIMIT_S)
        assert event[0] == kind, (kind, event)
        return event

    def subscribe(self, topic, properties=None, **options):
        self.client.subscribe(topic, options=SubscribeOptions(**options), properties=properties)
        return self.event("subscribed")[1]

    def publish(self, topic, payload=b"x", qos=1, retain=False, **properties):
        block = Properties(PacketTypes.PUBLISH)
        for name, value in properties.items():
            setattr(block, name, value)
        self.client.publish(topic, payload, qos=qos, retain=retain, properties=block)
        return self.event("published")[1]

    def message(self):
        return self.messages.get(timeout=LIMIT_S)

    def leave(self):
        self.client.disconnect()
        self.event("disconnected")
        self.client.loop_stop()

    def die(self):
        """Ends the connection without DISCONNECT."""
        self.client.loop_stop()
        self.client.socket().close()


def properties_round_trip():
    client = Client("round-trip")
    identifier = Properties(PacketTypes.SUBSCRIBE)
    identifier.SubscriptionIdentifier = 77
    assert client.subscribe("p/#", identifier, qos=2) == [2]
    for qos in (0, 1, 2):
        client.publish(
            "p/all",
            "21.5",
            qos,
            PayloadFormatIndicator=1,
            MessageExpiryInterval=60,
            ContentType="text/plain",
            ResponseTopic="answer/1",
            CorrelationData=b"\x00\xff",
            UserProperty=[("a", "1"), ("a", "2"), ("b", "")],
        )
        message = client.message()
        found = message.properties
        assert (message.qos, message.payload) == (qos, b"21.5"), message
        assert found.PayloadFormatIndicator == 1
        assert 0 < found.MessageExpiryInterval <= 60
        assert found.ContentType == "text/plain"
        assert found.ResponseTopic == "answer/1"
        assert found.CorrelationData == b"\x00\xff"
        assert found.UserProperty == [("a", "1"), ("a", "2"), ("b", "")], found.UserProperty
        assert found.SubscriptionIdentifier == [77], found.SubscriptionIdentifier
    client.leave()


def what_the_broker_announces():
    client = Client("announces")
    assert client.connack.ReceiveMaximum == 100, client.connack
    assert client.connack.MaximumPacketSize == 2 * 1024 * 1024, client.connack
    assert client.connack.TopicAliasMaximum == 10, client.connack
    client.leave()
    client = Client("")
    assert client.connack.AssignedClientIdentifier.startswith("auto-"), client.connack
    client.leave()


def session_expiry():
    client = Client("session", clean=False, expiry=3600)
    assert not client.session_present
    client.subscribe("s/#", qos=1)
    client.leave()
    other = Client("session-other")
    other.publish("s/1", b"kept")
    client = Client("session", clean=False, expiry=0)
    assert client.session_present
    assert client.message().payload == b"kept"
    client.leave()
    # It expired with the connection.
    client = Client("session", clean=False, expiry=0)
    assert not client.session_present
    client.leave()
    other.leave()


def receive_maximum():
    client = Client("window", receive_maximum=2)
    client.client.manual_ack_set(True)
    client.subscribe("w/#", qos=1)
    other = Client("window-other")
    for number in range(6):
        other.publish("w/1", str(number))
    for number in range(0, 6, 2):
        pair = [client.message(), client.message()]
        assert [message.payload for message in pair] == [
            b"%d" % number,
            b"%d" % (number + 1),
        ], pair
        # More than two may not be under way; what follows comes after the acknowledgement.
        other.publish("nobody/there")
        assert client.messages.empty()
        for message in pair:
            client.client.ack(message.mid, message.qos)
    client.leave()
    other.leave()


def will_delay():
    watcher = Client("watcher")
    watcher.subscribe("will/#", qos=1)
    # The will waits for its delay,
    start = time.monotonic()
    Client("delayed", expiry=60, will=("will/delayed", 1)).die()
    assert watcher.message().topic == "will/delayed"
    assert time.monotonic() - start >= 0.9
    # is not sent when the client is back before,
    Client("back", clean=False, expiry=60, will=("will/back", 2)).die()
    Client("back", clean=False, expiry=60).leave()
    # and is sent at the end of the session, if that is earlier.
    start = time.monotonic()
    Client("ends", expiry=1, will=("will/ends", 60)).die()
    assert watcher.message().topic == "will/ends"
    assert time.monotonic() - start < LIMIT_S / 2
    assert watcher.messages.empty()
    watcher.leave()


def reason_codes():
    client = Client("reasons")
    assert client.publish("nobody/listens") == 0x10
    assert client.publish("nobody/listens", qos=2) in (0x00, 0x10)
    client.client.unsubscribe("not/there")
    assert client.event("unsubscribed")[1] == [0x11]
    # Another client takes the name over. paho reads the reason only when properties follow it.
    other = Client("reasons")
    client.event("disconnected")
    client.client.loop_stop()
    other.leave()


def options_of_subscriptions():
    client = Client("options")
    client.subscribe("o/own", qos=1, noLocal=True)
    client.subscribe("o/flag", qos=1, retainAsPublished=True)
    client.publish("o/own")
    client.publish("o/flag", retain=True)
    message = client.message()
    assert (message.topic, message.retain) == ("o/flag", True), message
    client.subscribe("o/flag", qos=1, retainHandling=1)
    client.subscribe("o/flag", qos=1, retainHandling=2)
    client.subscribe("o/flag", qos=1, retainHandling=0)
    assert client.message().topic == "o/flag"
    client.publish("o/flag", b"", retain=True)
    assert client.message().payload == b""
    assert client.messages.empty()
    client.leave()


for check in (
    properties_round_trip,
    what_the_broker_announces,
    session_expiry,
    receive_maximum,
    will_delay,
    reason_codes,
    options_of_subscriptions,
):
    print(check.__name__, flush=True)
    check()
