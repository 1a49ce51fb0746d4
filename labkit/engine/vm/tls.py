"""The certificates of the guest's two entrances, made once per cache folder.

QEMU forwards ports of the loopback interface only, never a Unix socket
(https://gitlab.com/qemu-project/qemu/-/issues/347, so in 7.2 and 10.0), and loopback is every
user's. So both entrances speak TLS and want a certificate of ours. The folder is 0700; the key of
the authority is thrown away as soon as it has signed.
"""

from __future__ import annotations

import os
import ssl
import subprocess
import tempfile
from pathlib import Path

from labkit.debian import need
from labkit.errors import EngineError
from labkit.lock import locked

DAYS = "3650"
SERVER = ("ca.pem", "server.pem", "server-key.pem")  # what the guest gets
_CA = "basicConstraints=critical,CA:TRUE", "keyUsage=critical,keyCertSign"
_LEAF = "basicConstraints=critical,CA:FALSE", "keyUsage=critical,digitalSignature"


def certificates(cache: Path) -> Path:
    """Return the folder with ca.pem, cert.pem, key.pem (what Docker's clients look for)."""
    folder = cache / "tls"
    cache.mkdir(parents=True, exist_ok=True, mode=0o700)
    with locked(cache / "tls.lock", timeout=60):
        if folder.exists():
            return folder
        need("openssl")
        with tempfile.TemporaryDirectory(prefix="tls-", dir=cache) as work:
            _sign(Path(work), "ca", "/CN=labkit", *_CA)
            issuer = ("-CA", "ca.pem", "-CAkey", "ca-key.pem")
            _sign(
                Path(work),
                "server",
                "/CN=localhost",
                *_LEAF,
                "extendedKeyUsage=serverAuth",
                "subjectAltName=IP:127.0.0.1,DNS:localhost",
                issuer=issuer,
            )
            _sign(
                Path(work),
                "client",
                "/CN=client",
                *_LEAF,
                "extendedKeyUsage=clientAuth",
                issuer=issuer,
            )
            (Path(work) / "ca-key.pem").unlink()
            (Path(work) / "client.pem").rename(Path(work) / "cert.pem")
            (Path(work) / "client-key.pem").rename(Path(work) / "key.pem")
            Path(work).rename(folder)
            Path(work).mkdir()  # for the context manager to remove
    return folder


def client_context(folder: Path) -> ssl.SSLContext:
    """Return the context of a client that holds our certificate and trusts our authority alone."""
    context = ssl.create_default_context(cafile=str(folder / "ca.pem"))
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    return context


def _sign(
    folder: Path, name: str, subject: str, *extensions: str, issuer: tuple[str, ...] = ()
) -> None:
    """Make NAME.pem and NAME-key.pem with openssl-req(1)."""
    # An empty configuration: the machine's own would add extensions that contradict ours.
    argv = [
        "openssl",
        "req",
        "-x509",
        "-config",
        "/dev/stdin",
        "-subj",
        subject,
        "-days",
        DAYS,
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-nodes",
        "-keyout",
        f"{name}-key.pem",
        "-out",
        f"{name}.pem",
        *issuer,
    ]
    for extension in extensions:
        argv += ["-addext", extension]
    config = (
        "[req]\ndistinguished_name=dn\nx509_extensions=ext\n[dn]\n[ext]\n"
        "subjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid:always\n"
    )
    done = subprocess.run(
        argv,
        cwd=folder,
        input=config,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "LC_ALL": "C"},
    )
    if done.returncode:
        raise EngineError(
            "No certificate could be made.",
            seen=done.stderr.strip()[-300:],
            do="OpenSSL 3 or newer is needed: openssl version",
        )
    (folder / f"{name}-key.pem").chmod(0o600)
