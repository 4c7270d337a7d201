"""Reads an archive behind DICOMweb: QIDO-RS lists studies and series, WADO-RS gives one header for each and the files.

Requests go to the given URL only; redirections are not followed, and no data is sent.
"""

from __future__ import annotations

import logging
import os
import re
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

from voxlate.archive.indexing.folder import Progress
from voxlate.archive.indexing.headers import frames_of, series_record
from voxlate.archive.indexing.records import READ, FileRecord, SeriesRecord, instance_number
from voxlate.archive.indexing.store import IndexStore
from voxlate.archive.pseudonyms import pseudonym
from voxlate.errors import InputRefused, TemporaryFailure, UsageError, VoxlateError
from voxlate.io.log import warn

if TYPE_CHECKING:
    from dicomweb_client.web import DICOMwebClient
    from requests import Response

TOKEN_VARIABLE = "VOXLATE_ARCHIVE_TOKEN"  # noqa: S105 (the name of a variable)
"""Environment variable with the bearer token for the archive; passwords come from ~/.netrc."""

PAGE = 100
"""Rows of one page of a query; chosen by hand, not tuned."""

CONNECT_S, ANSWER_S = 10.0, 60.0
"""Most seconds to connect, and between two parts of an answer; chosen by hand."""

MAX_ANSWER_BYTES = 256 << 20
MAX_SERIES_BYTES = 16 << 30
"""Most bytes of an answer with headers, and of a series with pixels; chosen by hand.

They keep a faulty server from filling memory or disk.
"""

ANSWERED_S, SERIES_S = 300.0, 3600.0
"""Most seconds for a whole answer, and for a whole series, so that a trickle of bytes ends; chosen by hand."""

RETRY_MS = 200
"""Unit of the exponential wait between tries, in ms; chosen by hand."""

_TRIES = 3
_FAILURES_IN_A_ROW = 5  # a single failure may be one damaged series, so many are a server that is down; chosen by hand

# UIDs have at most 64 characters (DICOM PS3.5, 9.1); what does not match must not become part of a URL.
_UID = re.compile(r"[0-9.]{1,64}")
T = TypeVar("T")


def is_url(source: str) -> bool:
    """Returns whether a source is the URL of a server."""
    return source.startswith(("http://", "https://"))


class DicomWebServer:
    """A DICOMweb server.

    Args:
        address: URL of its services, such as `http://127.0.0.1:8042/dicom-web`.
        answer_s: most seconds between two parts of an answer.

    Raises:
        UsageError: `ARCHIVE_ADDRESS` for an invalid URL or one with a password; `WAREHOUSE` when the client is not
            installed.
    """

    def __init__(self, address: str, *, answer_s: float = ANSWER_S) -> None:
        try:
            parts = urlsplit(address)
        except ValueError as error:
            raise UsageError("ARCHIVE_ADDRESS", "the URL of the archive is not valid") from error
        if parts.username or parts.password:
            raise UsageError(
                "ARCHIVE_ADDRESS", f"leave user names and passwords out of the URL; use ~/.netrc or {TOKEN_VARIABLE}"
            )
        self._client = _client(address.rstrip("/"), answer_s)

    def studies(self) -> Iterator[str]:
        """Yields every StudyInstanceUID, page by page; an invalid one is not changed."""
        for uid, _ in self._paged(self._client.search_for_studies, "0020000D"):
            yield uid

    def series(self, study: str) -> dict[str, int]:
        """Returns the number of instances by SeriesInstanceUID of a study; 0 when the server does not give it."""
        search = partial(self._client.search_for_series, study, fields=["00201209"])
        counts = self._paged(search, "0020000E")
        return {uid: int(count) if count.isascii() and count.isdecimal() else 0 for uid, count in counts}

    def instances(self, study: str, series: str) -> list[str]:
        """Returns the valid SOPInstanceUIDs of a series, sorted."""
        search = partial(self._client.search_for_instances, study, series)
        return sorted(uid for uid, _ in self._paged(search, "00080018") if _UID.fullmatch(uid))

    def _paged(self, search: Callable[..., Any], tag: str) -> Iterator[tuple[str, str]]:
        """Yields the identifiers of all pages, each with its number of instances as the server writes it.

        A server that does not support `offset` repeats the first page, which ends the loop.

        Args:
            search: query of the client, called with `limit` and `offset`.
            tag: of the identifier.
        """
        seen: set[str] = set()
        offset = 0
        while True:

            def page(at: int = offset) -> list[tuple[str, str]]:
                return [(_value(each, tag), _value(each, "00201209")) for each in search(limit=PAGE, offset=at)]

            rows = self._ask(page)
            fresh = {uid: count for uid, count in rows if uid not in seen}
            if not fresh:
                return
            yield from fresh.items()
            seen |= set(fresh)
            offset += len(rows)

    def header(self, study: str, series: str, instance: str) -> SeriesRecord:
        """Returns the record that the header of an instance gives of its series.

        Raises:
            InputRefused: `ARCHIVE_ANSWER` when the answer is not a header, or is that of another series.
        """
        from pydicom.dataset import Dataset, FileMetaDataset

        answer = self._ask(lambda: self._client.retrieve_instance_metadata(study, series, instance))
        try:
            answer.pop("7FE00010", None)
            with warnings.catch_warnings():  # they would quote values of the header
                warnings.simplefilter("ignore")
                dataset = Dataset.from_json(answer)
                dataset.file_meta = FileMetaDataset()
                record = series_record(dataset, instance)
        except VoxlateError:
            raise
        except Exception as error:
            raise InputRefused(
                "ARCHIVE_ANSWER", f"the archive answered with something that is not a header ({type(error).__name__})"
            ) from error
        if (record.uid, record.study) != (series, study):
            raise InputRefused("ARCHIVE_ANSWER", "the archive answered with the header of another series")
        return record

    def fetch(self, study: str, series: str, folder: Path) -> list[Path]:
        """Writes the files of a series into a folder as `000000.dcm` and so on; returns their paths.

        Raises:
            InputRefused: `ARCHIVE_ANSWER` for an image of another series, `TOO_LARGE`.
            TemporaryFailure: `ARCHIVE` when the server does not answer, `IO` when the disk is full.
        """
        written: list[Path] = []
        size = 0
        try:
            for dataset in self._client.iter_series(study, series):
                if str(dataset.get("SeriesInstanceUID")) != series:
                    raise InputRefused("ARCHIVE_ANSWER", "the archive answered with an image of another series")
                path = folder / f"{len(written):06d}.dcm"
                dataset.save_as(path, enforce_file_format=True)
                size += path.stat().st_size
                if size > MAX_SERIES_BYTES:
                    raise InputRefused(
                        "TOO_LARGE", f"the series has more than {MAX_SERIES_BYTES:,} bytes; split it or leave it out"
                    )
                written.append(path)
        except Exception as error:
            raise _as_voxlate_error(error) from error
        return written

    def _ask(self, question: Callable[[], T]) -> T:
        try:
            return question()
        except Exception as error:
            raise _as_voxlate_error(error) from error


def index_server(archive: DicomWebServer, store: IndexStore) -> Iterator[Progress]:
    """Updates an index from a server and yields its progress.

    A study with a failed request keeps its stored series, and the next run asks for it again (warning `ARCHIVE`). All
    studies are kept when the server lists none, which is more often a fault of the server than an empty archive.

    Args:
        archive: the server.
        store: the index.

    Raises:
        TemporaryFailure: `ARCHIVE` when the server does not answer, or fails for five series in a row.
        InputRefused: `ARCHIVE_ANSWER` when the list of studies is not one.
    """
    number = store.next_round()
    met = read = missed = in_a_row = 0
    has_studies = False
    for study in archive.studies():
        has_studies = True
        lost = 0
        try:
            listed = _listed(archive, store, study, number)
        except VoxlateError as error:
            listed, lost, in_a_row = {}, 1, in_a_row + 1
            _give_up_after(in_a_row, error)
        for series, count in listed.items():
            met += 1
            try:
                read += _index_series(archive, store, (study, series, count), number)
                in_a_row = 0
            except VoxlateError as error:
                if error.code in ("IO", "WRITE"):
                    raise
                lost, in_a_row = lost + 1, in_a_row + 1
                _give_up_after(in_a_row, error)
            yield Progress(met, read)
        if lost:
            store.keep(".", [study], number)
        missed += lost
    stored = store.counts()["series"]
    if not has_studies and stored:
        missed = stored
    else:
        store.forget_unseen(number)
    if missed:
        warn("ARCHIVE", f"{missed} series or studies failed; run voxlate index again to ask for them")
    store.set_pending(missed)
    yield Progress(met, read)


def _listed(archive: DicomWebServer, store: IndexStore, study: str, number: int) -> dict[str, int]:
    """Returns the number of instances by series of a study; invalid identifiers are stored as refused."""
    if not _UID.fullmatch(study):
        _refuse(store, study, number)
        return {}
    listed = archive.series(study)
    if not listed:
        raise InputRefused("ARCHIVE_ANSWER", "the archive lists a study without series")
    for uid in [uid for uid in listed if not _UID.fullmatch(uid)]:
        _refuse(store, f"{study}/{uid}", number)
        del listed[uid]
    return listed


def _refuse(store: IndexStore, name: str, number: int) -> None:
    store.add("refused", [FileRecord(pseudonym(store.key, "refused", name), 0, 0, "", "UID_INVALID")], [], number)


@contextmanager
def fetched_files(archive: DicomWebServer, study: str, series: str) -> Iterator[list[Path]]:
    """Gives the files of a series, which exist as long as the block runs."""
    with tempfile.TemporaryDirectory(prefix="voxlate-") as folder:
        yield archive.fetch(study, series, Path(folder))


def _index_series(archive: DicomWebServer, store: IndexStore, which: tuple[str, str, int], number: int) -> int:
    """Reads one series unless the store has all its instances; returns the number of series read.

    Args:
        archive: the server.
        store: the index.
        which: StudyInstanceUID, SeriesInstanceUID and number of instances.
        number: of the round.
    """
    study, series, count = which
    folder = f"{study}/{series}"
    stored = store.known_files(folder)
    if count and len(stored) == count:
        store.mark_seen(folder, stored, number)
        return 0
    instances = archive.instances(study, series)
    if not instances:
        raise InputRefused("ARCHIVE_ANSWER", "the archive lists a series without instances")
    record = archive.header(study, series, instances[0])
    if stored:
        store.forget(folder, stored)
    frames = frames_of(record.header)  # of the others, too: one header of a series is asked for
    files = [FileRecord(name, 0, 0, series, READ, instance_number(name), frames) for name in instances]
    store.add(folder, files, [record], number)
    return 1


def _give_up_after(failures: int, error: VoxlateError) -> None:
    if failures >= _FAILURES_IN_A_ROW:
        raise TemporaryFailure(
            "ARCHIVE", f"the archive failed {failures} times in a row ({error.message}); run voxlate index again later"
        )


def _client(address: str, answer_s: float) -> DICOMwebClient:
    try:
        import requests
        from dicomweb_client.web import DICOMwebClient
        from pydicom.config import IGNORE, settings
    except ImportError as error:
        raise UsageError("WAREHOUSE", "reading a server needs: pip install 'voxlate[warehouse]'") from error
    logging.getLogger("dicomweb_client").setLevel(logging.CRITICAL)  # its log contains study identifiers
    settings.reading_validation_mode = IGNORE  # warnings of invalid values would quote them
    session = requests.Session()
    session.max_redirects = 0
    session.hooks["response"].append(_limit)
    if token := os.environ.get(TOKEN_VARIABLE):
        session.headers["Authorization"] = f"Bearer {token}"
    client = DICOMwebClient(address, session=session, timeout=(CONNECT_S, answer_s))
    client.set_http_retry_params(max_attempts=_TRIES, wait_exponential_multiplier=RETRY_MS)
    return client


def _limit(response: Response, *_: object, **__: object) -> None:
    """Stops an answer that is too large or takes too long, also when its Content-Length is wrong or absent."""
    is_images = response.headers.get("Content-Type", "").startswith("multipart/")
    max_bytes, max_s = (MAX_SERIES_BYTES, SERIES_S) if is_images else (MAX_ANSWER_BYTES, ANSWERED_S)
    parts, end = response.iter_content, time.monotonic() + max_s

    def limited(*arguments: Any, **named: Any) -> Iterator[Any]:
        size = 0
        for part in parts(*arguments, **named):
            size += len(part)
            if size > max_bytes:
                raise InputRefused("ARCHIVE_ANSWER", f"the archive answers with more than {max_bytes:,} bytes")
            if time.monotonic() > end:
                raise TemporaryFailure("ARCHIVE", f"the archive has not finished its answer after {max_s:g} s")
            yield part

    response.iter_content = limited  # type: ignore[method-assign]
    length = response.headers.get("Content-Length", "")
    if length.isascii() and length.isdecimal() and int(length) > max_bytes:
        raise InputRefused("ARCHIVE_ANSWER", f"the archive answers with {int(length):,} bytes")


def _as_voxlate_error(error: Exception) -> VoxlateError:
    """Returns an error of a request as an error of voxlate, without its text, which may contain identifiers."""
    from requests import exceptions
    from retrying import RetryError

    if isinstance(error, VoxlateError):
        return error
    if isinstance(error, exceptions.HTTPError) and error.response is not None:
        return _of_status(error.response.status_code)
    transient = (exceptions.ConnectionError, exceptions.Timeout, exceptions.ChunkedEncodingError, RetryError)
    if isinstance(error, transient):
        return TemporaryFailure("ARCHIVE", f"the archive does not answer ({type(error).__name__})")
    if isinstance(error, OSError) and not isinstance(error, exceptions.RequestException):
        return TemporaryFailure("IO", f"the answer of the archive cannot be stored: {error.strerror}")
    return InputRefused("ARCHIVE_ANSWER", f"the archive does not answer as DICOMweb does ({type(error).__name__})")


def _of_status(status: int) -> VoxlateError:
    """Returns the error for an HTTP status; server errors, time-outs and rate limits may pass."""
    if status in (401, 403):
        return UsageError(
            "ARCHIVE_DENIED", f"the archive denies access (status {status}); set {TOKEN_VARIABLE} or ~/.netrc"
        )
    is_transient = status >= 500 or status in (408, 429)
    kind = TemporaryFailure if is_transient else InputRefused
    return kind("ARCHIVE" if is_transient else "ARCHIVE_ANSWER", f"the archive answers with status {status}")


def _value(attributes: dict[str, dict[str, Any]], tag: str) -> str:
    """Returns the first value of an element in DICOM JSON as text, empty when it is absent.

    Args:
        attributes: elements by tag.
        tag: eight hexadecimal digits.
    """
    if not isinstance(attributes, dict) or not isinstance(attributes.get(tag, {}), dict):
        raise InputRefused("ARCHIVE_ANSWER", "the archive answers with something that is not a list of elements")
    values = attributes.get(tag, {}).get("Value") or [""]
    return str(values[0]) if isinstance(values, list) else ""
