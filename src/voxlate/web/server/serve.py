"""Addresses of the local servers, and how uvicorn runs them.

A server listens on this computer only, unless the user allows the network and gives a TLS certificate.
"""

from __future__ import annotations

import ipaddress
import socket
from dataclasses import dataclass
from pathlib import Path

from voxlate.errors import UsageError
from voxlate.web.server.security import App

DEFAULT_PORT = 8765
"""Chosen by hand among the ports that no common service uses."""

KEEP_ALIVE_SECONDS = 15
"""How long an idle connection stays open. Chosen by hand: a reader needs longer than uvicorn's 5 s for most cases."""

_MAX_HEAD_BYTES = 64 << 10
"""Size limit of a request head. Chosen by hand; h11's default is 16 KiB."""


@dataclass(frozen=True)
class Address:
    """Where a server listens, and the names under which readers reach it.

    Attributes:
        host: IP address or name to listen on.
        port: TCP port.
        public_names: host names (with a port unless it is 443) that readers use beyond loopback.
        certificate, certificate_key: PEM files for TLS.
        is_network_allowed: whether the server may listen on addresses other than loopback.
    """

    host: str = "127.0.0.1"
    port: int = DEFAULT_PORT
    public_names: tuple[str, ...] = ()
    certificate: Path | None = None
    certificate_key: Path | None = None
    is_network_allowed: bool = False

    @property
    def is_encrypted(self) -> bool:
        """Returns whether the server uses TLS."""
        return self.certificate is not None and self.certificate_key is not None

    def origins(self) -> list[str]:
        """Returns the origins that may talk to the server; links use the first one."""
        scheme = "https" if self.is_encrypted else "http"
        own = f"[{self.host}]" if ":" in self.host else self.host
        names = [*self.public_names, f"{own}:{self.port}"]
        if is_loopback(self.host):
            names += [f"localhost:{self.port}", f"127.0.0.1:{self.port}", f"[::1]:{self.port}"]
        return list(dict.fromkeys(f"{scheme}://{name}" for name in names))


def is_loopback(host: str) -> bool:
    """Returns whether only this computer can reach the address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def require_safe(address: Address) -> None:
    """Refuses an address on which other computers could read the traffic.

    Raises:
        UsageError: `NOT_LOOPBACK`, `TLS`.
    """
    if (address.certificate is None) != (address.certificate_key is None):
        raise UsageError("TLS", "encryption needs both --certificate and --certificate-key")
    if is_loopback(address.host):
        return
    if not address.is_network_allowed:
        raise UsageError(
            "NOT_LOOPBACK",
            f"other computers can reach {address.host}; keep 127.0.0.1, or add --allow-network with TLS",
        )
    if not address.is_encrypted or not address.public_names:
        raise UsageError(
            "TLS", "on a network links and answers must be encrypted: give --certificate, --certificate-key and --name"
        )


def require_free_port(address: Address) -> None:
    """Refuses a port that another program has, before readers are told the address.

    Raises:
        UsageError: `PORT`.
    """
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    try:
        socket.create_server((address.host, address.port), family=family).close()
    except OSError as error:
        raise UsageError(
            "PORT",
            f"port {address.port} of {address.host} cannot be used ({error.strerror}); stop the other server, or "
            "choose another port by --port",
        ) from error


def server_not_installed() -> UsageError:
    """Returns the error for a missing FastAPI or uvicorn."""
    return UsageError("SERVER", "serving needs FastAPI and uvicorn: pip install 'voxlate[readers]'")


def run_app(app: App, address: Address, *, is_quiet: bool = True) -> None:
    """Runs an application until the user stops it.

    Args:
        app: the application, inside `SecurityMiddleware`.
        address: where to listen.
        is_quiet: whether to log warnings and errors only. Requests are never logged: their addresses name trials.

    Raises:
        UsageError: `SERVER` when uvicorn is not installed.
    """
    try:
        import uvicorn

        from voxlate.web.server.connections import TimeLimitedProtocol
    except ImportError as error:
        raise server_not_installed() from error
    uvicorn.run(
        app,
        http=TimeLimitedProtocol,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        host=address.host,
        port=address.port,
        ssl_certfile=address.certificate,
        ssl_keyfile=address.certificate_key,
        log_level="warning" if is_quiet else "info",
        access_log=False,
        server_header=False,
        h11_max_incomplete_event_size=_MAX_HEAD_BYTES,
    )
