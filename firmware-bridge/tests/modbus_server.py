"""Modbus devices of pymodbus for the tests, over TCP or on one end of a pair of terminals.

Says where it is on its first line: a port, or the path of the other end. Unit 1 has 100 registers
and bits of each kind, unit 2 is never heard.
"""

import asyncio
import os
import pty
import sys
import threading
import tty

from pymodbus.datastore import (
    ModbusDeviceContext,
    ModbusSequentialDataBlock,
    ModbusServerContext,
)
from pymodbus.server import ModbusSerialServer, ModbusTcpServer


def device():
    # Register n holds 1000 + n; the places of a block are counted from 1.
    words = [1000 + n for n in range(100)]
    # 230.1 as a float and -123456 as a whole number, the high half first.
    words[20:22] = [0x4366, 0x199A]
    words[22:24] = [0xFFFE, 0x1DC0]
    words[24] = 0xFFFF
    bits = [n % 3 == 0 for n in range(100)]
    return ModbusDeviceContext(
        di=ModbusSequentialDataBlock(1, list(bits)),
        co=ModbusSequentialDataBlock(1, list(bits)),
        hr=ModbusSequentialDataBlock(1, list(words)),
        ir=ModbusSequentialDataBlock(1, list(words)),
    )


def terminals():
    """Two terminals, what goes into one comes out of the other; the paths of both."""
    pairs = [pty.openpty(), pty.openpty()]
    for _, slave in pairs:
        tty.setraw(slave)

    def carry(source, target):
        while True:
            os.write(target, os.read(source, 4096))

    masters = [master for master, _ in pairs]
    for source, target in (masters, masters[::-1]):
        threading.Thread(target=carry, args=(source, target), daemon=True).start()
    return [os.ttyname(slave) for _, slave in pairs]


def without_unit_2(place):
    """What is sent, or nothing where the byte at a place names unit 2."""
    return lambda sending, data: b"" if sending and data[place] == 2 else data


async def main(kind):
    context = ModbusServerContext(devices={1: device()}, single=False)
    if kind == "tcp":
        server = ModbusTcpServer(
            context, address=("127.0.0.1", 0), trace_packet=without_unit_2(6)
        )
        await server.serve_forever(background=True)
        print(server.transport.sockets[0].getsockname()[1], flush=True)
    else:
        near, far = terminals()
        server = ModbusSerialServer(
            context, port=far, baudrate=19200, trace_packet=without_unit_2(0)
        )
        await server.serve_forever(background=True)
        print(near, flush=True)
    # Until whoever started it is gone.
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


asyncio.run(main(sys.argv[1]))
