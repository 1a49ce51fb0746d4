"""The runner of the guest: runs the program that a client brings, one process per connection.

TLS, and only for clients whose certificate our own authority signed. A client sends one JSON
line, {"size": bytes, "argv": [...]}, then so many bytes of Python; from then on the connection
is the program's standard input and output. Its standard error goes to the serial log.
The process is forked from this one, whose modules are loaded: no interpreter has to start.
"""

import base64  # noqa: F401  loaded once, before the snapshot, for the programs that come
import contextlib
import ctypes  # noqa: F401
import fcntl  # noqa: F401
import json
import os
import re  # noqa: F401
import select
import signal
import socket
import ssl
import stat  # noqa: F401
import struct  # noqa: F401
import subprocess  # noqa: F401
import sys
import threading  # noqa: F401
import time  # noqa: F401
import traceback

PORT = 2377
HOME = "/run/labkit"


def read_exactly(stream: ssl.SSLSocket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        if not (part := stream.recv(size - len(data))):
            raise EOFError
        data += part
    return data


def read_line(stream: ssl.SSLSocket) -> bytes:
    line = b""
    while not line.endswith(b"\n") and len(line) < 65536:
        line += read_exactly(stream, 1)
    return line


def run(source: bytes, argv: list[str], end: socket.socket) -> None:
    """Become the program."""
    os.setsid()
    os.dup2(end.fileno(), 0)
    os.dup2(end.fileno(), 1)
    end.close()
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    sys.stdin, sys.stdout = open(0), open(1, "w")  # noqa: SIM115  they live as long as we do
    sys.argv = argv
    code = 0
    try:
        exec(compile(source, argv[0], "exec"), {"__name__": "__main__"})
    except SystemExit as end_of_program:
        code = end_of_program.code if isinstance(end_of_program.code, int) else 1
    except BaseException:
        traceback.print_exc()
        code = 1
    with contextlib.suppress(OSError):
        sys.stdout.flush()
    os._exit(code)


def pump(tls: ssl.SSLSocket, end: socket.socket) -> None:
    """Carry bytes both ways until the program has ended or the client has gone.

    One thread: an SSL object must not be read and written by two at once, SSL_read(3).
    """
    while True:
        ready = [tls] if tls.pending() else select.select([tls, end], [], [])[0]
        if tls in ready:
            tls.setblocking(False)
            try:
                data = tls.recv(65536)
            except ssl.SSLWantReadError:
                data = None
            tls.setblocking(True)
            if data == b"":
                return
            end.sendall(data or b"")
        if end in ready:
            if not (data := end.recv(65536)):
                tls.unwrap()
                return
            tls.sendall(data)


def serve(raw: socket.socket, context: ssl.SSLContext) -> None:
    raw.settimeout(30)
    raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    tls = context.wrap_socket(raw, server_side=True)
    head = json.loads(read_line(tls))
    source = read_exactly(tls, head["size"])
    tls.settimeout(None)
    ours, theirs = socket.socketpair()
    if (pid := os.fork()) == 0:
        ours.close()
        run(source, head["argv"], theirs)
    theirs.close()
    try:
        pump(tls, ours)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)


def main() -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(f"{HOME}/server.pem", f"{HOME}/server-key.pem")
    context.load_verify_locations(f"{HOME}/ca.pem")
    context.verify_mode = ssl.CERT_REQUIRED
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the kernel buries the children, wait(2)
    listener = socket.create_server(("0.0.0.0", PORT), backlog=64)
    while True:
        raw, _ = listener.accept()
        if os.fork() == 0:
            listener.close()
            with contextlib.suppress(OSError, EOFError, ValueError, KeyError):
                serve(raw, context)
            os._exit(0)
        raw.close()


main()
