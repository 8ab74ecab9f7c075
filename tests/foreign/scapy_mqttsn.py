"""MQTT-SN packets as Scapy reads and writes them.

Reads lines of the form `OCTETS KIND NAME=VALUE...`: octets in hexadecimal, the number of the kind,
and the fields with Scapy's names, numbers in decimal and text in hexadecimal. For each line prints
two: the same line as Scapy reads the octets, and the octets that Scapy makes of the fields.
"""

import sys

from scapy.contrib import mqttsn

TEXTS = {
    "gw_addr", "client_id", "will_topic", "will_msg", "topic_name", "short_topic", "data", "w_node_id"
}
DISCONNECT, ENCAPSULATED = 0x18, 0xFE


def layer_of(kind):
    """The class of the fields of a kind."""
    layers = (layer for fields, layer in mqttsn.MQTTSN.payload_guess if fields == {"type": kind})
    return next(layers)


def shown(value):
    if isinstance(value, (bytes, str)):
        value = value.encode() if isinstance(value, str) else value
        return value.hex()
    return str(value)


def read(octets):
    """A line for what Scapy takes the octets for."""
    packet = mqttsn.MQTTSN(octets)
    words = [octets.hex(), str(packet.type)]
    layer = packet.payload
    if layer.__class__ is layer_of(packet.type):
        for field in layer.fields_desc:
            value = layer.getfieldval(field.name)
            if value is not None and field.name != "resvd":
                words.append(f"{field.name}={shown(value)}")
        if packet.type == ENCAPSULATED:
            words.append(f"packet={bytes(layer.payload).hex()}")
    return " ".join(words)


def written(kind, fields):
    """The octets that Scapy makes of the fields."""
    inside = bytes.fromhex(fields.pop("packet", ""))
    header = mqttsn.MQTTSN(type=kind)
    if not fields:
        # Scapy adds fields to kinds that can do without; their header alone is the packet.
        return bytes([2, kind])
    values = {}
    for name, value in fields.items():
        values[name] = bytes.fromhex(value) if name in TEXTS else int(value)
    return bytes(header / layer_of(kind)(**values)) + inside


for line in sys.stdin:
    octets, kind, *pairs = line.split()
    print(read(bytes.fromhex(octets)))
    print(written(int(kind), dict(pair.split("=") for pair in pairs)).hex())
