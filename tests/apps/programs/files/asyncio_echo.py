# SPDX-License-Identifier: BSD-2-Clause
"""asyncio_echo.py server PORT | client PORT HOST CONNECTIONS ROUNDS"""

import asyncio
import hashlib
import sys


async def serve(reader, writer):
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    writer.close()


async def server(port):
    async with await asyncio.start_server(serve, ['127.0.0.1', '::1'], port, backlog=2000) as listener:
        await listener.serve_forever()


async def talk(host, port, nr, rounds, all_open):
    reader, writer = await asyncio.open_connection(host, port)
    await all_open.wait()
    for i in range(rounds):
        data = hashlib.sha256(b'%d/%d' % (nr, i)).digest() * (1 + i * (nr % 50))
        writer.write(data)
        await writer.drain()
        assert await reader.readexactly(len(data)) == data
    writer.write_eof()
    assert await reader.read() == b''
    writer.close()


async def client(port, host, connections, rounds):
    all_open = asyncio.Event()
    tasks = [asyncio.create_task(talk(host, port, nr, rounds, all_open)) for nr in range(connections)]
    await asyncio.sleep(0.1)
    all_open.set()
    await asyncio.gather(*tasks)
    print(host, connections, 'connections', rounds, 'rounds, all the same')


if sys.argv[1] == 'server':
    asyncio.run(server(int(sys.argv[2])))
else:
    asyncio.run(client(int(sys.argv[2]), sys.argv[3], int(sys.argv[4]), int(sys.argv[5])))
