"""Extended authentication of MQTT 5 with SCRAM-SHA-256. The words are those of scramp; the packets
are written here, because no client library for Python sends AUTH."""

import base64
import io
import socket
import struct
import sys

from scramp import ScramClient, ScramException

PORT = int(sys.argv[1])
LIMIT_S = 60
METHOD = "SCRAM-SHA-256"

CONNACK, DISCONNECT, AUTH = 2, 14, 15
SUCCESS, CONTINUE, AGAIN = 0x00, 0x18, 0x19
PROTOCOL_ERROR, BAD_CREDENTIALS, NOT_AUTHORIZED, BAD_METHOD = 0x82, 0x86, 0x87, 0x8C

# Properties that are numbers, and their length; what else there is here begins with its length.
NUMBERS = {0x11: 4, 0x13: 2, 0x21: 2, 0x22: 2, 0x24: 1, 0x25: 1, 0x27: 4}


def varint(number):
    out = bytearray()
    while True:
        number, byte = number >> 7, number & 0x7F
        out.append(byte | (0x80 if number else 0))
        if not number:
            return bytes(out)


def read_varint(read):
    number = shift = 0
    while True:
        byte = read(1)[0]
        number, shift = number | (byte & 0x7F) << shift, shift + 7
        if byte < 0x80:
            return number


def binary(data):
    return struct.pack(">H", len(data)) + data


def method_and_data(method, data):
    properties = b"\x15" + binary(method.encode()) + b"\x16" + binary(data.encode())
    return varint(len(properties)) + properties


class Connection:
    def __init__(self):
        self.socket = socket.create_connection(("127.0.0.1", PORT), timeout=LIMIT_S)

    def send(self, kind, body):
        self.socket.sendall(bytes([kind << 4]) + varint(len(body)) + body)

    def connect(self, data, method=METHOD):
        properties = method_and_data(method, data)
        self.send(1, binary(b"MQTT") + b"\x05\x02\x00\x00" + properties + binary(b""))

    def auth(self, reason, data, method=METHOD):
        self.send(AUTH, bytes([reason]) + method_and_data(method, data))

    def exactly(self, count):
        data = b""
        while len(data) < count:
            more = self.socket.recv(count - len(data))
            if not more:
                raise EOFError
            data += more
        return data

    def receive(self):
        """The kind, the reason and the properties of the next packet."""
        kind = self.exactly(1)[0] >> 4
        body = io.BytesIO(self.exactly(read_varint(self.exactly)))
        if kind == CONNACK:
            body.read(1)
        reason = (body.read(1) or b"\x00")[0]
        found = {}
        left = read_varint(body.read) if body.getbuffer().nbytes > body.tell() else 0
        end = body.tell() + left
        while body.tell() < end:
            name = body.read(1)[0]
            size = NUMBERS.get(name)
            found[name] = body.read(size or struct.unpack(">H", body.read(2))[0])
        return kind, reason, found

    def expect(self, kind, reason):
        got = self.receive()
        assert got[:2] == (kind, reason), f"{got} and not {kind} with {reason:#x}"
        return got[2]

    def expect_word(self, kind, reason):
        found = self.expect(kind, reason)
        assert found[0x15].decode() == METHOD, found
        return found[0x16].decode()

    def expect_end(self):
        try:
            more = self.socket.recv(1)
        except ConnectionResetError:
            more = b""
        assert more == b"", more

    def goes_on(self):
        self.send(12, b"")
        assert self.exactly(2) == b"\xd0\x00"


def client(user, password):
    return ScramClient([METHOD], user, password)


def connected(user, password):
    connection, scram = Connection(), client(user, password)
    connection.connect(scram.get_client_first())
    scram.set_server_first(connection.expect_word(AUTH, CONTINUE))
    connection.auth(CONTINUE, scram.get_client_final())
    # The broker shows that it knows the password too: scramp checks that.
    scram.set_server_final(connection.expect_word(CONNACK, SUCCESS))
    connection.goes_on()
    return connection


def shown_again(connection, user, password):
    scram = client(user, password)
    connection.auth(AGAIN, scram.get_client_first())
    scram.set_server_first(connection.expect_word(AUTH, CONTINUE))
    connection.goes_on()
    connection.auth(CONTINUE, scram.get_client_final())
    return scram


def a_user_is_let_in():
    connected("ann", "pencil")
    connected("odd,=name", "pen cil")


def a_user_shows_again_who_it_is():
    connection = connected("ann", "pencil")
    for _ in range(2):
        scram = shown_again(connection, "ann", "pencil")
        scram.set_server_final(connection.expect_word(AUTH, SUCCESS))
        connection.goes_on()


def a_broker_that_does_not_know_the_password_is_found_out():
    scram = client("ann", "pencil")
    scram.get_client_first()
    connection = Connection()
    connection.connect(client("ann", "pencil").get_client_first())
    try:
        scram.set_server_first(connection.expect_word(AUTH, CONTINUE))
    except ScramException:
        return
    raise AssertionError("the nonce of another exchange was taken")


def who_does_not_know_the_password_stays_out():
    for user, password in (("ann", "pencils"), ("eve", "pencil"), ("plain", "pencil")):
        connection, scram = Connection(), client(user, password)
        connection.connect(scram.get_client_first())
        scram.set_server_first(connection.expect_word(AUTH, CONTINUE))
        connection.auth(CONTINUE, scram.get_client_final())
        connection.expect(CONNACK, BAD_CREDENTIALS)
        connection.expect_end()


def who_cannot_show_it_again_has_to_leave():
    connection = connected("ann", "pencil")
    shown_again(connection, "ann", "pencils")
    connection.expect(DISCONNECT, NOT_AUTHORIZED)
    connection.expect_end()
    connection = connected("ann", "pencil")
    shown_again(connection, "odd,=name", "pen cil")
    connection.expect(DISCONNECT, NOT_AUTHORIZED)
    connection.expect_end()


def an_unknown_name_cannot_be_told_from_a_known_one():
    def challenge(user):
        connection = Connection()
        connection.connect(client(user, "x").get_client_first())
        word = connection.expect_word(AUTH, CONTINUE)
        _, salt, iterations = word.split(",", 2)
        return base64.b64decode(salt[2:]), iterations

    known, unknown = challenge("ann"), challenge("eve")
    assert challenge("eve") == unknown and challenge("ann") == known
    assert len(known[0]) == len(unknown[0]) and known[1] == unknown[1] == "i=4096"
    assert known[0] != unknown[0] != challenge("mallory")[0]


def what_is_not_offered_is_refused():
    connection = Connection()
    connection.connect("", "SCRAM-SHA-512")
    connection.expect(CONNACK, BAD_METHOD)
    connection.expect_end()
    for first in ("p=tls-unique,,n=ann,r=abc", "nonsense", ""):
        connection = Connection()
        connection.connect(first)
        connection.expect(CONNACK, BAD_CREDENTIALS)
        connection.expect_end()


def another_packet_than_auth_ends_the_exchange():
    connection = Connection()
    connection.connect(client("ann", "pencil").get_client_first())
    connection.expect_word(AUTH, CONTINUE)
    connection.send(12, b"")
    connection.expect(CONNACK, PROTOCOL_ERROR)
    connection.expect_end()


for check in (
    a_user_is_let_in,
    a_user_shows_again_who_it_is,
    a_broker_that_does_not_know_the_password_is_found_out,
    who_does_not_know_the_password_stays_out,
    who_cannot_show_it_again_has_to_leave,
    an_unknown_name_cannot_be_told_from_a_known_one,
    what_is_not_offered_is_refused,
    another_packet_than_auth_ends_the_exchange,
):
    print(check.__name__, flush=True)
    check()
