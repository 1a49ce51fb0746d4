"""Connections to the engine itself: by Unix socket, TCP or TLS."""

from __future__ import annotations

import asyncio
import socket
import ssl
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

from labkit.engine.endpoint import Endpoint

CHUNK = 256 << 10  # bytes that are read at once
ROOM = 1 << 20  # bytes that may be on their way: fewer turns for a large file
CONNECT = 20.0  # seconds


class Pipe(Protocol):
    """Two directions of bytes, of which one can end before the other."""

    async def read(self) -> bytes: ...
    async def write(self, data: bytes) -> None: ...
    async def half_close(self) -> None: ...
    def break_off(self) -> None: ...
    def close(self) -> None: ...


class PlainPipe:
    """A connected socket, without asyncio's streams: these copy all that passes twice more."""

    def __init__(self, connected: socket.socket) -> None:
        connected.setblocking(False)
        connected.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, ROOM)
        self._socket = connected
        self._loop = asyncio.get_running_loop()

    async def read(self) -> bytes:
        """Some bytes; none at the end."""
        return await self._loop.sock_recv(self._socket, CHUNK)

    async def write(self, data: bytes) -> None:
        """Write all, and wait while the other side does not read."""
        await self._loop.sock_sendall(self._socket, data)
        await asyncio.sleep(0)  # who never has to wait lets the others have their turn

    async def half_close(self) -> None:
        """Say that nothing more will be written."""
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_WR)

    def break_off(self) -> None:
        """End both directions; who reads sees the end, and closes."""
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """End both directions; nobody waits for it any more."""
        # Before its number is another's: who was cancelled takes his watch back only later.
        self._loop.remove_reader(self._socket)
        self._loop.remove_writer(self._socket)
        self._socket.close()


class TlsPipe:
    """TLS over a connection; unlike asyncio's own it can end one direction and read on.

    Docker's clients end a program's standard input so. Source: RFC 8446, 6.1, close_notify.
    """

    def __init__(self, plain: PlainPipe, context: ssl.SSLContext, host: str) -> None:
        self._plain = plain
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._in, self._out, server_hostname=host)

    async def shake_hands(self) -> None:
        """Agree on keys. Raises ssl.SSLError, OSError."""
        while True:
            try:
                self._tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                await self._flush()
                await self._fill()
        await self._flush()

    async def read(self) -> bytes:
        """Some bytes; none at the end."""
        while True:
            try:
                parts = [self._tls.read(CHUNK)]
                with suppress(ssl.SSLError):  # a record holds 16 KiB: take all that are here
                    while len(parts) < 16:
                        parts.append(self._tls.read(CHUNK))
                return b"".join(parts)
            except ssl.SSLWantReadError:
                await self._flush()
                if not await self._fill():
                    return b""
            except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
                return b""

    async def write(self, data: bytes) -> None:
        """Write all, and wait while the other side does not read."""
        self._tls.write(data)
        await self._flush()

    async def half_close(self) -> None:
        """Say that nothing more will be written."""
        with suppress(ssl.SSLError, OSError):  # it wants the other side's word, which comes later
            self._tls.unwrap()
        with suppress(OSError):
            await self._flush()

    def break_off(self) -> None:
        """End both directions; who reads sees the end, and closes."""
        self._plain.break_off()

    def close(self) -> None:
        """End both directions."""
        self._plain.close()

    async def _flush(self) -> None:
        if data := self._out.read():
            await self._plain.write(data)

    async def _fill(self) -> bool:
        data = await self._plain.read()
        if data:
            self._in.write(data)
        else:
            self._in.write_eof()
        return bool(data)


class Upstream:
    """Opens connections to one engine."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._context: ssl.SSLContext | None = None

    async def open(self) -> Pipe:
        """A new connection. Raises OSError."""
        async with asyncio.timeout(CONNECT):
            path = self._endpoint.socket_path
            if path is not None:
                return PlainPipe(await _connected(socket.AF_UNIX, str(path)))
            address = urlsplit(self._endpoint.url)
            host, port = address.hostname or "127.0.0.1", address.port or 2375
            plain = PlainPipe(await _dialled(host, port))
            if self._endpoint.cert_path is None:
                return plain
            secure = TlsPipe(plain, self._tls(Path(self._endpoint.cert_path)), host)
            try:
                await secure.shake_hands()
            except BaseException:
                plain.close()
                raise
            return secure

    def _tls(self, folder: Path) -> ssl.SSLContext:
        if self._context is None:
            made = ssl.create_default_context(cafile=folder / "ca.pem")
            made.load_cert_chain(folder / "cert.pem", folder / "key.pem")
            self._context = made
        return self._context


async def _connected(family: int, address: Any) -> socket.socket:
    """Raises OSError."""
    made = socket.socket(family)
    made.setblocking(False)
    try:
        await asyncio.get_running_loop().sock_connect(made, address)
    except BaseException:
        made.close()
        raise
    return made


async def _dialled(host: str, port: int) -> socket.socket:
    """By whichever of its addresses answers. Raises OSError."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    for family, *_, address in found[:-1]:
        with suppress(OSError):
            return await _connected(family, address)
    family, *_, address = found[-1]
    return await _connected(family, address)
