"""Where an engine listens, in the three variables that every Docker client understands."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import docker

REQUEST_TIMEOUT = 60  # seconds without a byte before a request is given up
POOL_SIZE = 32  # connections kept, so that threads do not wait for one another
VARIABLES = ("DOCKER_HOST", "DOCKER_TLS_VERIFY", "DOCKER_TLS", "DOCKER_CERT_PATH")
SOCKET = "LABKIT_SOCKET"  # the lab's socket, to which DOCKER_HOST leads
ITSELF = "LABKIT_ITSELF_"  # before what those variables were: labkit talks to the engine itself


def chosen_environ() -> dict[str, str]:
    """The variables by which somebody has chosen an engine, a lab's socket apart."""
    environ, before = os.environ, ""
    if environ.get("DOCKER_HOST") and environ["DOCKER_HOST"] == environ.get(SOCKET):
        before = ITSELF
    return {name: environ[before + name] for name in VARIABLES if environ.get(before + name)}


@dataclass(frozen=True)
class Endpoint:
    """An engine's address, and the folder of its TLS client certificate if it wants one."""

    url: str
    cert_path: str | None = None

    @classmethod
    def from_environ(cls) -> Endpoint | None:
        """What DOCKER_HOST and DOCKER_CERT_PATH name, or None if DOCKER_HOST is not set."""
        chosen = chosen_environ()
        url = chosen.get("DOCKER_HOST")
        if not url:
            return None
        wants_tls = chosen.get("DOCKER_TLS_VERIFY") or chosen.get("DOCKER_TLS")
        certs = chosen.get("DOCKER_CERT_PATH") or str(Path("~/.docker").expanduser())
        return cls(url, certs if wants_tls else None)

    def environ(self) -> dict[str, str]:
        """The environment that points any Docker client (CLI, Compose, SDK) at this engine."""
        if self.cert_path is None:
            return {"DOCKER_HOST": self.url}
        return {
            "DOCKER_HOST": self.url,
            "DOCKER_TLS_VERIFY": "1",
            "DOCKER_CERT_PATH": self.cert_path,
        }

    @property
    def socket_path(self) -> Path | None:
        """The Unix socket, where it is one."""
        return Path(self.url.removeprefix("unix://")) if self.url.startswith("unix://") else None

    def client(self, *, timeout: float = REQUEST_TIMEOUT) -> docker.DockerClient:
        """A new SDK client for this address; makes one request, to agree on an API version."""
        import docker
        from docker.tls import TLSConfig

        class OurTls(TLSConfig):
            """TLS that trusts the authority it is given, whatever the environment says."""

            def configure_client(self, client: Any) -> None:
                super().configure_client(client)
                # REQUESTS_CA_BUNDLE would take the place of the authority, and a proxy the call.
                client.trust_env = False

        tls: TLSConfig | bool = False
        if self.cert_path is not None:
            folder = Path(self.cert_path)
            tls = OurTls(
                client_cert=(str(folder / "cert.pem"), str(folder / "key.pem")),
                ca_cert=str(folder / "ca.pem"),
                verify=True,
            )
        return docker.DockerClient(
            base_url=self.url,
            version="auto",
            timeout=timeout,  # type: ignore[arg-type]  # the SDK takes fractions of a second too
            tls=tls,
            max_pool_size=POOL_SIZE,
        )
