"""What a socket refuses besides: a grader's word on what no exercise needs.

A policy is an object of JSON, `docs/lab_socket.md` says of what; what it does not name is allowed.
`rules.py` says where in a request stands what its words refuse.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from labkit.errors import BadValueError
from labkit.proxy.rules import BODIES, NAMESPACES, RULES, kinds, values

VARIABLE = "LABKIT_POLICY"  # names the file


@dataclass(frozen=True, kw_only=True)
class Policy:
    """None means: whatever is asked for."""

    privileged: bool = True  # containers, programs and builds; and plugins, which are no less
    host_paths: tuple[str, ...] | None = None  # that may be mounted, with all below
    devices: bool = True
    capabilities: tuple[str, ...] | None = None  # that may be added, without "CAP_"
    host_namespaces: tuple[str, ...] | None = None  # of the host that may be joined
    security_options: bool = True  # as seccomp=unconfined, or another runtime
    limits: bool = True  # may be changed later, or left by another parent or by ulimits
    swarm: bool = True  # may be made, joined and used
    buildkit: bool = True
    refused: tuple[str, ...] = ()  # "METHOD PATH", regular expressions

    @classmethod
    def of_environ(cls) -> Policy:
        """What LABKIT_POLICY names; without it all is allowed. Raises BadValueError."""
        said = os.environ.get(VARIABLE)
        return cls.read(Path(said)) if said else cls()

    @classmethod
    def read(cls, file: Path) -> Policy:
        """Raises BadValueError."""
        try:
            text = file.read_text()
        except (OSError, ValueError) as err:
            raise _no_policy(file, "it cannot be read", str(err), WRITTEN) from err
        return cls.parse(text, source=file)

    @classmethod
    def parse(cls, text: str, *, source: object = "this") -> Policy:
        """Raises BadValueError, which names `source`, the field, and what may stand there."""
        try:
            said = json.loads(text)
        except (ValueError, RecursionError) as err:
            raise _no_policy(source, "it is no JSON", str(err), WRITTEN) from err
        if not isinstance(said, dict):
            raise _no_policy(source, "it is no object", _short(said), WRITTEN)
        for field, value in said.items():
            if field not in FIELDS:
                raise _no_policy(source, f"it has no field {field!r}", _short(field), WRITTEN)
            allowed, fits = FIELDS[field]
            if not fits(value):
                problem = f"its field {field!r} is malformed"
                raise _no_policy(source, problem, _short(value), f"write {allowed}")
        made: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in said.items()}
        return cls(**made)

    def text(self) -> str:
        """The same as `parse` reads it."""
        return json.dumps(asdict(self))

    def reads(self, method: str, path: str) -> bool:
        """Whether it wants to see the body of such a request."""
        return self != Policy() and any(one in BODIES for one in kinds(method, path))

    def why_not(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any],
        query: Mapping[str, list[str]] | None = None,
    ) -> str | None:
        """Why a request is refused; None if it is not."""
        for pattern in self.refused:
            if re.fullmatch(pattern, f"{method} {path}"):
                return f"{method} {path} is not needed in any exercise here, and refused"
        for kind, named in kinds(method, path).items():
            said = query or {} if kind == "build" else {**body, **named}
            if found := self._found(kind, said):
                return f"no exercise here needs {found}: it is refused"
        return None

    def entitles(self, entitlement: str) -> bool:
        """Whether a build by BuildKit may be given more than is usual."""
        return self._found("solve", {"Entitlements": [entitlement]}) is None

    def _found(self, kind: str, said: Mapping[str, Any]) -> str | None:
        for rule in RULES:
            allowed = getattr(self, rule.word)
            if allowed is True or allowed is None:
                continue
            for place in rule.places:
                where, _, path = place.partition(" ")
                if where != kind:
                    continue
                for value in values(said, path.split(".") if path else []):
                    if found := rule.judge(value, allowed):
                        return found
        return None


# --- what may stand in a policy -------------------------------------------------------------------


def _are(fits: Callable[[str], object]) -> Callable[[Any], bool]:
    return lambda said: (
        isinstance(said, list) and all(isinstance(one, str) and fits(one) for one in said)
    )


def _or_null(fits: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda said: said is None or fits(said)


def _is_pattern(said: str) -> bool:
    try:
        return bool(re.compile(said))
    except re.error:
        return False


_YES_OR_NO = "true or false", lambda said: isinstance(said, bool)
FIELDS: dict[str, tuple[str, Callable[[Any], bool]]] = {
    **dict.fromkeys(
        ("privileged", "devices", "security_options", "limits", "swarm", "buildkit"), _YES_OR_NO
    ),
    "host_paths": (
        'a list of absolute paths, as ["/srv/data"], or null for all',
        _or_null(_are(lambda one: one.startswith("/"))),
    ),
    "capabilities": (
        'a list of capabilities, as ["NET_ADMIN"], or null for all',
        _or_null(_are(re.compile(r"\w+").fullmatch)),
    ),
    "host_namespaces": (
        f"a list of these: {', '.join(NAMESPACES)}; or null for all",
        _or_null(_are(NAMESPACES.__contains__)),
    ),
    "refused": (
        'a list of regular expressions for "METHOD PATH", as ["POST /swarm/.*"]',
        _are(_is_pattern),
    ),
}
WRITTEN = f"write an object of JSON; its fields are {', '.join(FIELDS)}"


def _no_policy(source: object, problem: str, seen: str, do: str) -> BadValueError:
    return BadValueError(
        f"{source} is no policy for a lab's socket: {problem}.", value=str(source), seen=seen, do=do
    )


def _short(said: Any) -> str:
    return json.dumps(said)[:80]
