"""What each lab image is for, seen to work: its server answers, its compiler compiles."""

from __future__ import annotations

import urllib.request
from collections.abc import Callable

from labkit.lab import Lab

GO = 'package main\n\nimport "fmt"\n\nfunc main() { fmt.Println("hello") }\n'
C = '#include <stdio.h>\nint main(void) { puts("hello"); }\n'
SLOW = 120.0  # seconds: a CPU may be emulated


def web(lab: Lab) -> str:
    box = lab.run("web", name="web", ports=[80]).wait_port(80)
    page = urllib.request.urlopen(box.url(80)).read().decode()
    assert "GET / HTTP/1.1" in box.wait_log("GET /")  # its log is the container's
    return str(page)


def postgres(lab: Lab) -> str:
    box = lab.run("postgres", name="postgres")
    box.wait_log("ready to accept connections", timeout=SLOW)
    assert box.exec("stat -c %U /var/lib/postgresql/data/PG_VERSION").stdout == "postgres\n"
    return box.exec(["psql", "-U", "postgres", "-Atc", "select 1"], timeout=SLOW).stdout


def redis(lab: Lab) -> str:
    box = lab.run("redis", name="redis").wait_port(6379)
    return box.exec("redis-cli PING").stdout


def registry(lab: Lab) -> str:
    box = lab.run("registry", name="registry", ports=[5000]).wait_port(5000)
    with urllib.request.urlopen(f"{box.url(5000)}/v2/") as answer:
        return str(answer.headers["Docker-Distribution-Api-Version"])


def golang(lab: Lab) -> str:
    box = lab.run("golang", name="golang")
    box.put("/src/main.go", GO)
    return box.exec(["sh", "-c", "go build -o /hello main.go && /hello"], timeout=SLOW).stdout


def gcc(lab: Lab) -> str:
    box = lab.run("gcc", name="gcc")
    box.put("/src/main.c", C)
    build = "gcc -static -o /hello main.c && /hello"
    return box.exec(["sh", "-c", build], timeout=SLOW).stdout


# By the name of the image: what is done with it, and what is in the answer.
SERVICES: dict[str, tuple[Callable[[Lab], str], str]] = {
    "web": (web, "Welcome to nginx"),
    "postgres": (postgres, "1\n"),
    "redis": (redis, "PONG\n"),
    "registry": (registry, "registry/2.0"),
    "golang": (golang, "hello\n"),
    "gcc": (gcc, "hello\n"),
}
