"""Record what buildx tells of real builds, for `tests/unit/builder`: run it once for each engine.

python tests/data/record_builds.py tests/data/builds/NAME-OF-THE-ENGINE
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from labkit import connect
from labkit.engine import tools

STAGES = """FROM labkit/base AS first
COPY note /note
ARG WHO=nobody
RUN echo made by $WHO; echo twice >&2
FROM labkit/base AS second
RUN --mount=type=cache,target=/cache echo kept > /cache/x
FROM first
COPY --from=second /bin/sh /other
RUN --mount=type=secret,id=token wc -c < /run/secrets/token
"""
FAILS = "FROM labkit/base\nRUN true\nRUN echo the reason; exit 3\nRUN echo never\n"
BUILDS = {  # in this order: the second finds what the first left
    "cold": (STAGES, ["--no-cache"]),
    "cached": (STAGES, []),
    "failing": (FAILS, []),
    "malformed": ("FORM labkit/base\n", []),
    "nowhere": ("FROM nosuch.invalid/base\n", []),
}


def main() -> None:
    place = Path(sys.argv[1])
    place.mkdir(parents=True, exist_ok=True)
    environ = tools.command_environ(connect().endpoint.environ())
    with tempfile.TemporaryDirectory() as folder:
        environ["BUILDX_CONFIG"] = f"{folder}/buildx"
        context = Path(folder) / "context"
        context.mkdir()
        (context / "note").write_text("x" * 5000)
        (Path(folder) / "token").write_text("hunter2")
        for name, (dockerfile, options) in BUILDS.items():
            (context / "Dockerfile").write_text(dockerfile)
            argv = [*tools.command("buildx"), "build", "--builder=default", "--progress=rawjson"]
            argv += ["--provenance=false", f"--secret=id=token,src={folder}/token", *options]
            done = subprocess.run([*argv, str(context)], env=environ, capture_output=True)
            (place / f"{name}.json").write_bytes(done.stderr)


if __name__ == "__main__":
    main()
