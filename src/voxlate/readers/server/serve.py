"""From a study folder to a running server: only on this computer, unless it is asked for and encrypted."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from voxlate.errors import UsageError
from voxlate.readers.package import Package, check_leaks, load_package
from voxlate.web.answer_log import Store
from voxlate.web.auth import issue_link
from voxlate.web.security import App
from voxlate.web.sql import open_database

DEFAULT_PORT = 8765

KEEP_ALIVE_SECONDS = 15

_NEEDS = "serving needs FastAPI and uvicorn: pip install 'voxlate[readers]'"


@dataclass(frozen=True)
class Address:
    """Where the server listens and how readers call it.

    Attributes:
        public_names: host names (with a port unless it is 443) readers use beyond loopback.
        certificate, certificate_key: PEM files of TLS.
        is_network_allowed: whether addresses other than loopback may be listened to.
    """

    host: str = "127.0.0.1"
    port: int = DEFAULT_PORT
    public_names: tuple[str, ...] = ()
    certificate: Path | None = None
    certificate_key: Path | None = None
    is_network_allowed: bool = False

    @property
    def is_encrypted(self) -> bool:
        """Returns whether readers come by TLS."""
        return self.certificate is not None and self.certificate_key is not None

    def origins(self) -> list[str]:
        """Returns the origins that may talk to the server, the one for links first."""
        scheme = "https" if self.is_encrypted else "http"
        own = f"[{self.host}]" if ":" in self.host else self.host
        names = [*self.public_names, f"{own}:{self.port}"]
        if is_loopback(self.host):
            names += [f"localhost:{self.port}", f"127.0.0.1:{self.port}", f"[::1]:{self.port}"]
        return list(dict.fromkeys(f"{scheme}://{name}" for name in names))


def is_loopback(host: str) -> bool:
    """Tells whether only this computer can reach an address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def require_safe(address: Address) -> None:
    """Refuses to listen where others could listen in.

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
            f"{address.host} can be reached by other computers; keep 127.0.0.1, or add --allow-network with TLS",
        )
    if not address.is_encrypted or not address.public_names:
        raise UsageError(
            "TLS", "on a network links and answers must be encrypted: give --certificate, --certificate-key and --name"
        )


def open_study(folder: Path, database_url: str | None = None) -> tuple[Package, Store]:
    """Returns a study that is as it was frozen and leaks nothing, with its record.

    Raises:
        InputRefused: `PROTOCOL_CHANGED`, `LEAK`.
        NoInput, CannotWrite, TemporaryFailure, UsageError: as `load_package` and `open_database`.
    """
    package = load_package(folder)
    check_leaks(package)
    return package, Store(open_database(folder, database_url), package.protocol_hash)


def links(package: Package, store: Store, origin: str, readers: tuple[str, ...] = ()) -> Mapping[str, str]:
    """Returns a new one-time link for each reader; the secret is in the fragment, which is never sent or logged."""
    known = set(package.trials)
    return {reader: f"{origin}/#{issue_link(store, known, reader)}" for reader in readers or tuple(package.trials)}


def serve(
    folder: Path,
    address: Address,
    *,
    database_url: str | None = None,
    announce: Callable[[Mapping[str, str]], None],
    is_quiet: bool = True,
) -> None:
    """Serves a study until it is stopped; `announce` is given the links of readers.

    Raises:
        UsageError: as `require_safe`; `SERVER` when FastAPI and uvicorn are not installed.
        VoxlateError: as `open_study`.
    """
    require_safe(address)
    try:
        from voxlate.readers.server.app import create_app
    except ImportError as error:
        raise UsageError("SERVER", _NEEDS) from error
    package, store = open_study(folder, database_url)
    try:
        announce(links(package, store, address.origins()[0]))
        run_app(create_app(package, store, origins=address.origins()), address, is_quiet=is_quiet)
    finally:
        store.close()


def run_app(app: App, address: Address, *, is_quiet: bool = True) -> None:
    """Runs an application behind its gate until it is stopped.

    Raises:
        UsageError: `SERVER` when uvicorn is not installed.
    """
    try:
        import uvicorn

        from voxlate.web.connections import Impatient
    except ImportError as error:
        raise UsageError("SERVER", _NEEDS) from error
    uvicorn.run(
        app,
        http=Impatient,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        host=address.host,
        port=address.port,
        ssl_certfile=address.certificate,
        ssl_keyfile=address.certificate_key,
        log_level="warning" if is_quiet else "info",
        access_log=False,
        server_header=False,
        h11_max_incomplete_event_size=64 << 10,
    )
