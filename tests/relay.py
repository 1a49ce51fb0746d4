"""A TCP port that leads to an engine's Unix socket: how an engine elsewhere is reached.

python relay.py SOCKET prints its port. With a FOLDER besides it speaks TLS, and makes the
certificates there: an authority's, the engine's and a client's (ca.pem, cert.pem and key.pem, as
Docker's clients want them).
"""

from __future__ import annotations

import asyncio
import ssl
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

LEAF = ("basicConstraints=critical,CA:FALSE", "keyUsage=critical,digitalSignature")
CONFIGURATION = (  # the machine's own would add extensions that contradict these
    "[req]\ndistinguished_name=dn\nx509_extensions=ext\n[dn]\n[ext]\n"
    "subjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid:always\n"
)


def certificates(folder: Path) -> None:
    """Make them, with openssl-req(1)."""
    ca = ("basicConstraints=critical,CA:TRUE", "keyUsage=critical,keyCertSign")
    sign(folder, "ca", *ca)
    issuer = ("-CA", "ca.pem", "-CAkey", "ca-key.pem")
    server = ("extendedKeyUsage=serverAuth", "subjectAltName=IP:127.0.0.1")
    sign(folder, "server", *LEAF, *server, issuer=issuer)
    sign(folder, "client", *LEAF, "extendedKeyUsage=clientAuth", issuer=issuer)
    (folder / "client.pem").rename(folder / "cert.pem")
    (folder / "client-key.pem").rename(folder / "key.pem")


def sign(folder: Path, name: str, *extensions: str, issuer: tuple[str, ...] = ()) -> None:
    """Make NAME.pem and NAME-key.pem."""
    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    files = ("-keyout", f"{name}-key.pem", "-out", f"{name}.pem")
    added = [word for one in extensions for word in ("-addext", one)]
    subprocess.run(
        ["openssl", "req", "-x509", "-config", "/dev/stdin", "-subj", f"/CN={name}",
         "-days", "30", *key, *files, *issuer, *added],
        cwd=folder, input=CONFIGURATION, text=True, check=True, stderr=subprocess.DEVNULL,
    )  # fmt: skip


@contextmanager
def relayed(path: str, folder: Path | None = None) -> Iterator[int]:
    """A process that serves; its port."""
    argv = [sys.executable, __file__, path, *([str(folder)] if folder else [])]
    process = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield int(process.stdout.readline())
    finally:
        process.kill()
        process.communicate()


def secured(folder: Path) -> ssl.SSLContext:
    """Who has no certificate of the authority's is refused."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.pem", folder / "server-key.pem")
    context.load_verify_locations(folder / "ca.pem")
    context.verify_mode = ssl.CERT_REQUIRED
    return context


async def relay(path: str, context: ssl.SSLContext | None) -> None:
    """Serve for ever."""

    async def serve(near: asyncio.StreamReader, to_near: asyncio.StreamWriter) -> None:
        far, to_far = await asyncio.open_unix_connection(path)
        await asyncio.gather(carry(near, to_far), carry(far, to_near))

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context, backlog=200)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


async def carry(source: asyncio.StreamReader, to: asyncio.StreamWriter) -> None:
    """Carry one direction to its end; asyncio's TLS has no half of a close."""
    with suppress(OSError):
        while data := await source.read(65536):
            to.write(data)
            await to.drain()
    with suppress(OSError, RuntimeError):
        if to.can_write_eof():
            to.write_eof()
        else:
            to.close()


if __name__ == "__main__":
    place, *folders = sys.argv[1:]
    for folder in map(Path, folders):
        certificates(folder)
    asyncio.run(relay(place, secured(Path(folders[0])) if folders else None))
