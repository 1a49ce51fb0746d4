"""A Unix socket that leads to an engine elsewhere: what Docker Desktop has in a user's home.

python relay.py SOCKET tcp://ADDRESS:PORT CERTIFICATES
"""

from __future__ import annotations

import asyncio
import ssl
import sys
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit


async def relay(path: str, url: str, certificates: Path) -> None:
    """Serve for ever."""
    there = urlsplit(url)
    context = ssl.create_default_context(cafile=str(certificates / "ca.pem"))
    context.load_cert_chain(certificates / "cert.pem", certificates / "key.pem")

    async def serve(near: asyncio.StreamReader, to_near: asyncio.StreamWriter) -> None:
        far, to_far = await asyncio.open_connection(there.hostname, there.port, ssl=context)
        pumps = [asyncio.create_task(pump(*ends)) for ends in ((near, to_far), (far, to_near))]
        await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        for one in pumps:
            one.cancel()
        to_far.close()
        to_near.close()

    server = await asyncio.start_unix_server(serve, path)
    await server.serve_forever()


async def pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    """Hand on what comes, to its end."""
    with suppress(OSError):
        while data := await source.read(65536):
            sink.write(data)
            await sink.drain()


if __name__ == "__main__":
    asyncio.run(relay(sys.argv[1], sys.argv[2], Path(sys.argv[3])))
