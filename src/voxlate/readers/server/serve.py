"""Opens a study folder and serves it to its readers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path

from voxlate.readers.package import Package, check_leaks, load_package
from voxlate.web.server.answer_log import AnswerLog
from voxlate.web.server.auth import issue_link
from voxlate.web.server.serve import Address, require_free_port, require_safe, run_app, server_not_installed
from voxlate.web.server.sql import open_database


def open_study(folder: Path, database_url: str | None = None) -> tuple[Package, AnswerLog]:
    """Returns a study and its answer log, after checking that the study is unchanged and passes the leak test.

    Args:
        folder: the study.
        database_url: PostgreSQL address of the answers; `answers.sqlite` in the folder when `None`.

    Raises:
        InputRefused: `PROTOCOL_CHANGED`, `LEAK`.
        NoInput, CannotWrite, TemporaryFailure, UsageError: see `load_package` and `open_database`.
    """
    package = load_package(folder)
    check_leaks(package)
    return package, AnswerLog(open_database(folder, database_url), package.protocol_hash)


def links(package: Package, log: AnswerLog, origin: str, readers: tuple[str, ...] = ()) -> Mapping[str, str]:
    """Returns a new one-time link for each reader.

    The secret is in the fragment of the address, which browsers neither send nor log.

    Args:
        package: the study.
        log: receives the hashes of the links.
        origin: address of the server, such as `http://127.0.0.1:8765`.
        readers: who gets a link; everybody when empty.

    Raises:
        UsageError: `READER` for an unknown reader.
    """
    all_readers = set(package.trials)
    return {reader: f"{origin}/#{issue_link(log, all_readers, reader)}" for reader in readers or tuple(package.trials)}


def serve(
    folder: Path,
    address: Address,
    *,
    database_url: str | None = None,
    announce: Callable[[Mapping[str, str]], None],
    is_quiet: bool = True,
) -> None:
    """Serves a study until the user stops it.

    Args:
        folder: the study.
        address: where to listen.
        database_url: see `open_study`.
        announce: receives the link of each reader before the server starts.
        is_quiet: whether to log warnings and errors only.

    Raises:
        UsageError: see `require_safe`, `require_free_port`; `SERVER` when FastAPI or uvicorn is not installed.
        VoxlateError: see `open_study`.
    """
    require_safe(address)
    require_free_port(address)
    try:
        from voxlate.readers.server.app import create_app
    except ImportError as error:
        raise server_not_installed() from error
    package, log = open_study(folder, database_url)
    with closing(log):
        announce(links(package, log, address.origins()[0]))
        run_app(create_app(package, log, origins=address.origins()), address, is_quiet=is_quiet)
