"""mqtt-sn-12 as a client of the gateway: publishes and receives everything that it knows."""

import sys
import time

from mqttsn12.client.MqttSnClient import MqttSnClient, MqttSnListener
from mqttsn12.MqttSnConstants import MqttSnConstants
from mqttsn12.packets import PingReqPacket, PublishPacket

PORT = int(sys.argv[1])
LIMIT_S = 20


class Received(MqttSnListener):
    def __init__(self):
        self.messages = []

    def message_arrived(self, msg):
        self.messages.append((msg.get_topic_name(), bytes(msg.get_payload()), msg.get_retain()))


class Client(MqttSnClient):
    """Acknowledges QoS 1, which version 1.0.9 means to do and does not: it compares the quality
    with the flag."""

    def wait_for(self, blocking, msg_type):
        buffer = super().wait_for(blocking, msg_type)
        if buffer is not None and msg_type == MqttSnConstants.TYPE_PUBLISH:
            publish = PublishPacket()
            publish.decode(buffer)
            if publish.get_qos() == 1:
                self.send_puback(publish, MqttSnConstants.ACCEPTED)
        return buffer


def client(name, keep_alive=60, will=None):
    made = Client()
    made.set_client_id(name)
    made.set_timeout(5)
    made.set_keep_alive(keep_alive)
    if will is not None:
        made.set_will(*will)
    made.open("127.0.0.1", PORT)
    made.send_connect()
    return made


def wait_for(subscriber, received, count):
    end = time.monotonic() + LIMIT_S
    while len(received.messages) < count:
        assert time.monotonic() < end, f"{len(received.messages)} of {count}: {received.messages}"
        subscriber.polling()
        time.sleep(0.002)
    return received.messages


def connected_when_ready(name):
    """The gateway may still be on its way to its broker."""
    end = time.monotonic() + LIMIT_S
    while True:
        try:
            return client(name)
        except Exception:
            assert time.monotonic() < end, "never accepted"
            time.sleep(0.1)


def qualities():
    subscriber, publisher = connected_when_ready("subscriber"), client("publisher")
    received = Received()
    subscriber.send_subscribe("qos/topic", 1, received)
    for qos in (0, 1, 2):
        publisher.send_publish("qos/topic", b"quality %d" % qos, qos)
    messages = wait_for(subscriber, received, 3)
    assert [payload for _, payload, _ in messages] == [b"quality 0", b"quality 1", b"quality 2"], messages
    assert {topic for topic, _, _ in messages} == {"qos/topic"}
    subscriber.send_unsubscribe("qos/topic")
    for one in (subscriber, publisher):
        one.send_disconnect()
        one.close()


def wildcards_and_retained():
    publisher = client("publisher")
    publisher.send_publish("wild/a", b"kept", 1, True)
    publisher.send_publish("wild/b", b"", 1, False)
    subscriber, received = client("subscriber"), Received()
    subscriber.send_subscribe("wild/+", 1, received)
    wait_for(subscriber, received, 1)
    publisher.send_publish("wild/b", b"new", 1)
    messages = wait_for(subscriber, received, 2)
    assert messages[0][:2] == ("wild/a", b"kept") and messages[0][2], messages
    assert messages[1][:2] == ("wild/b", b"new") and not messages[1][2], messages
    publisher.send_publish("wild/a", b"", 1, True)


def short_and_predefined():
    subscriber, publisher = client("subscriber"), client("publisher")
    short, predefined = Received(), Received()
    subscriber.send_subscribe("ab", 1, short)
    subscriber.send_subscribe_predefined(7, 1, predefined)
    publisher.send_publish("ab", b"short", 1)
    wait_for(subscriber, short, 1)
    publisher.send_publish_predefined(7, b"predefined", 2)
    wait_for(subscriber, predefined, 1)
    # QoS -1 from someone who never connected.
    stranger = MqttSnClient()
    stranger.open("127.0.0.1", PORT)
    stranger.send_publish_predefined(7, b"stranger", MqttSnConstants.QOS_N1)
    messages = wait_for(subscriber, predefined, 2)
    assert [payload for _, payload, _ in messages] == [b"predefined", b"stranger"], messages
    stranger.close()


def will():
    subscriber, received = client("subscriber"), Received()
    subscriber.send_subscribe("will/topic", 1, received)
    client("dying", keep_alive=1, will=("will/topic", "died", 1, False))
    messages = wait_for(subscriber, received, 1)
    assert messages[0][1] == b"died", messages
    updated = client("updated", keep_alive=1, will=("will/other", "died", 1, False))
    updated.send_will_topic_update("will/topic")
    updated.send_will_message_update("updated")
    messages = wait_for(subscriber, received, 2)
    assert messages[1][1] == b"updated", messages


def sleep():
    sleeper, publisher = client("sleeper"), client("publisher")
    received = Received()
    sleeper.send_subscribe("sleep/topic", 1, received)
    sleeper.send_disconnect(60)
    for number in range(50):
        publisher.send_publish("sleep/topic", b"%d" % number, 1)
    for _ in range(50):
        sleeper.polling()
        time.sleep(0.002)
    assert received.messages == [], "it sleeps"
    ping = PingReqPacket()
    # Its own setter stores bytes, which its encoder does not take.
    ping.client_id = "sleeper"
    sleeper.send_packet(ping.encode())
    messages = wait_for(sleeper, received, 50)
    assert [payload for _, payload, _ in messages] == [b"%d" % number for number in range(50)]
    assert sleeper.wait_for(True, MqttSnConstants.TYPE_PINGRESP) is not None


def search():
    searcher = MqttSnClient()
    searcher.set_timeout(5)
    searcher.open("127.0.0.1", PORT)
    searcher.send_search_gateway(0)
    searcher.close()


if __name__ == "__main__":
    for check in (qualities, wildcards_and_retained, short_and_predefined, will, sleep, search):
        check()
        print(check.__name__, flush=True)
    # Threads of clients that were left to die would keep the program.
    sys.stdout.flush()
