"""Ten thousand QoS 2 messages in each direction between clients of paho-mqtt 2."""

import sys
import threading

import paho.mqtt.client as mqtt

PORT = int(sys.argv[1])
COUNT = 10_000
LIMIT_S = 150


class Client:
    def __init__(self, name, protocol):
        self.name = name
        self.received = []
        self.complete = threading.Event()
        self.subscribed = threading.Event()
        self.client = mqtt.Client(
            mqtt.CallbackAPIVersion.VERSION2, client_id=name, protocol=protocol
        )
        self.client.max_queued_messages_set(0)
        self.client.on_subscribe = lambda *_: self.subscribed.set()
        self.client.on_message = self.take
        self.client.connect("127.0.0.1", PORT)
        self.client.loop_start()
        self.client.subscribe(f"to/{name}", qos=2)
        assert self.subscribed.wait(LIMIT_S), "no SUBACK"

    def take(self, _client, _data, message):
        self.received.append(int(message.payload))
        if len(self.received) == COUNT:
            self.complete.set()

    def leave(self):
        self.client.disconnect()
        self.client.loop_stop()


def move(directions, ordered):
    """Publishes for each pair of a sender and a receiver, all at once."""
    last = []
    for number in range(COUNT):
        last = [
            sender.client.publish(f"to/{receiver.name}", str(number), qos=2)
            for sender, receiver in directions
        ]
    for _, receiver in directions:
        assert receiver.complete.wait(LIMIT_S), f"{len(receiver.received)} of {COUNT} came"
        received = receiver.received if ordered else sorted(receiver.received)
        assert received == list(range(COUNT)), "not each once and in order"
    for info in last:
        info.wait_for_publish(LIMIT_S)


# paho counts a QoS 2 message that it has received as one of its own that is complete. A client
# that does both has more messages under way than it means to, and may send one before another
# that waits.
here = Client("here", mqtt.MQTTv311)
there = Client("there", mqtt.MQTTv311)
move([(here, there), (there, here)], ordered=False)
here.leave()
there.leave()

# In 5.0 it would exceed the Receive Maximum of the broker, so each does one thing here.
sender = Client("sender", mqtt.MQTTv5)
receiver = Client("receiver", mqtt.MQTTv5)
move([(sender, receiver)], ordered=True)
sender.leave()
receiver.leave()
