"""An archive behind DICOMweb: QIDO-RS tells what is there, WADO-RS gives one header a series, and files when wanted.

Only the address that was named is spoken to, redirections are not followed, and nothing is ever sent but the question.
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

from voxlate.archive.folder import Progress
from voxlate.archive.headers import fact_of
from voxlate.archive.pseudonyms import pseudonym
from voxlate.archive.store import FileFact, SeriesFact, Store
from voxlate.errors import InputRefused, TemporaryFailure, UsageError, VoxlateError
from voxlate.io.log import warn

if TYPE_CHECKING:
    from dicomweb_client.web import DICOMwebClient
    from requests import Response

TOKEN_VARIABLE = "VOXLATE_ARCHIVE_TOKEN"  # noqa: S105 (the name of a variable)
"""The environment variable whose bearer token is shown to the archive; passwords come from ~/.netrc."""

PAGE = 100
CONNECT_S, ANSWER_S = 10.0, 60.0
MAX_ANSWER_BYTES = 256 << 20
MAX_SERIES_BYTES = 16 << 30
ANSWERED_S, SERIES_S = 300.0, 3600.0
"""An answer, or a whole series, that is not there after so long is given up."""

RETRY_MS = 200
_TRIES = 3
_FAILURES_IN_A_ROW = 5
_UID = re.compile(r"[0-9.]{1,64}")
T = TypeVar("T")


def is_address(source: str) -> bool:
    """Tells whether a source is the address of a server."""
    return source.startswith(("http://", "https://"))


class Archive:
    """A DICOMweb server.

    Args:
        address: root of its services, such as `http://127.0.0.1:8042/dicom-web`.
        answer_s: how long an answer may keep silent.

    Raises:
        UsageError: `ARCHIVE_ADDRESS` for one that holds a password; `WAREHOUSE` when the client is not installed.
    """

    def __init__(self, address: str, *, answer_s: float = ANSWER_S) -> None:
        try:
            parts = urlsplit(address)
        except ValueError as error:
            raise UsageError("ARCHIVE_ADDRESS", "the archive's address is none") from error
        if parts.username or parts.password:
            raise UsageError(
                "ARCHIVE_ADDRESS", f"leave names and passwords out of the address; use ~/.netrc or {TOKEN_VARIABLE}"
            )
        self._client = _client(address.rstrip("/"), answer_s)

    def studies(self) -> Iterator[str]:
        """Yields every StudyInstanceUID, page by page; one that is none as it came."""
        yield from self._paged(self._client.search_for_studies, "0020000D")

    def series(self, study: str) -> dict[str, int]:
        """Returns SeriesInstanceUID and number of instances (0 when it is not told) of each series of a study."""
        counts: dict[str, int] = {}
        search = partial(self._client.search_for_series, study, fields=["00201209"])
        for uid in self._paged(search, "0020000E", counts):
            counts.setdefault(uid, 0)
        return counts

    def instances(self, study: str, series: str) -> list[str]:
        """Returns the SOPInstanceUIDs of a series in order."""
        search = partial(self._client.search_for_instances, study, series)
        return sorted(uid for uid in self._paged(search, "00080018") if _UID.fullmatch(uid))

    def _paged(self, search: Callable[..., Any], tag: str, counts: dict[str, int] | None = None) -> Iterator[str]:
        """Yields the identifiers of all pages; a server that knows no offset says the same again and is done."""
        seen: set[str] = set()
        offset = 0
        while True:

            def page(at: int = offset) -> list[tuple[str, str]]:
                return [(_value(each, tag), _value(each, "00201209")) for each in search(limit=PAGE, offset=at)]

            rows = self._ask(page)
            fresh = {uid: count for uid, count in rows if uid not in seen}
            if not fresh:
                return
            if counts is not None:
                counts |= {uid: int(count) for uid, count in fresh.items() if count.isascii() and count.isdecimal()}
            yield from fresh
            seen |= set(fresh)
            offset += len(rows)

    def header(self, study: str, series: str, instance: str) -> SeriesFact:
        """Returns what the header of an instance says."""
        from pydicom.dataset import Dataset, FileMetaDataset

        answer = self._ask(lambda: self._client.retrieve_instance_metadata(study, series, instance))
        try:
            answer.pop("7FE00010", None)
            with warnings.catch_warnings():  # pydicom's would tell values of the header
                warnings.simplefilter("ignore")
                dataset = Dataset.from_json(answer)
                dataset.file_meta = FileMetaDataset()
                fact = fact_of(dataset, instance)
        except VoxlateError:
            raise
        except Exception as error:
            raise InputRefused(
                "ARCHIVE_ANSWER", f"the archive gave a header that is none ({type(error).__name__})"
            ) from error
        if (fact.uid, fact.study) != (series, study):
            raise InputRefused("ARCHIVE_ANSWER", "the archive answered with the header of another series")
        return fact

    def fetch(self, study: str, series: str, folder: Path) -> list[Path]:
        """Writes the files of a series into a folder, under names of ours; returns them."""
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
                    raise InputRefused("TOO_LARGE", f"the series has more than {MAX_SERIES_BYTES:,} bytes")
                written.append(path)
        except Exception as error:
            raise _told(error) from error
        return written

    def _ask(self, question: Callable[[], T]) -> T:
        try:
            return question()
        except Exception as error:
            raise _told(error) from error


def index_server(archive: Archive, store: Store) -> Iterator[Progress]:
    """Brings a store up to date with a server; yields how far it has come.

    A study that is not wholly answered for stays as it is known, and is asked for again by the next run (warning
    `ARCHIVE`). So does everything when the server says that it holds nothing.

    Raises:
        TemporaryFailure: `ARCHIVE` when the server does not answer, or not for five series in a row.
        InputRefused: `ARCHIVE_ANSWER` when the list of studies is no answer.
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
            store.keep_study(study, number)
        missed += lost
    known = store.counts()["series"]
    if not has_studies and known:
        missed = known
    else:
        store.forget_unseen(number)
    if missed:
        warn("ARCHIVE", f"{missed} series or studies were not answered for; run it again to ask for them")
    store.set_pending(missed)
    yield Progress(met, read)


def _listed(archive: Archive, store: Store, study: str, number: int) -> dict[str, int]:
    """Returns the series of a study; what is no identifier is kept as refused, none at all is no answer."""
    if not _UID.fullmatch(study):
        _refuse(store, study, number)
        return {}
    listed = archive.series(study)
    if not listed:
        raise InputRefused("ARCHIVE_ANSWER", "the archive names a study without a series")
    for uid in [uid for uid in listed if not _UID.fullmatch(uid)]:
        _refuse(store, f"{study}/{uid}", number)
        del listed[uid]
    return listed


def _refuse(store: Store, name: str, number: int) -> None:
    store.add("refused", [FileFact(pseudonym(store.key, "refused", name), 0, 0, "", "UID_INVALID")], [], number)


@contextmanager
def fetched(archive: Archive, study: str, series: str) -> Iterator[list[Path]]:
    """Gives the files of a series for as long as the block runs."""
    with tempfile.TemporaryDirectory(prefix="voxlate-") as folder:
        yield archive.fetch(study, series, Path(folder))


def _index_series(archive: Archive, store: Store, which: tuple[str, str, int], number: int) -> int:
    study, series, count = which
    folder = f"{study}/{series}"
    known = store.known(folder)
    if count and len(known) == count:
        store.still_there(folder, known, number)
        return 0
    instances = archive.instances(study, series)
    if not instances:
        raise InputRefused("ARCHIVE_ANSWER", "the archive names a series without an instance")
    fact = archive.header(study, series, instances[0])
    if known:
        store.forget(folder, known)
    store.add(folder, [FileFact(name, 0, 0, series, "read") for name in instances], [fact], number)
    return 1


def _give_up_after(failures: int, error: VoxlateError) -> None:
    if failures >= _FAILURES_IN_A_ROW:
        raise TemporaryFailure(
            "ARCHIVE", f"the archive failed {failures} times in a row ({error.message}); run it again later"
        )


def _client(address: str, answer_s: float) -> DICOMwebClient:
    try:
        import requests
        from dicomweb_client.web import DICOMwebClient
        from pydicom.config import IGNORE, settings
    except ImportError as error:
        raise UsageError("WAREHOUSE", "reading a server needs: pip install 'voxlate[warehouse]'") from error
    logging.getLogger("dicomweb_client").setLevel(logging.CRITICAL)  # its lines name studies
    settings.reading_validation_mode = IGNORE  # so do pydicom's warnings
    session = requests.Session()
    session.max_redirects = 0
    session.hooks["response"].append(_limit)
    if token := os.environ.get(TOKEN_VARIABLE):
        session.headers["Authorization"] = f"Bearer {token}"
    client = DICOMwebClient(address, session=session, timeout=(CONNECT_S, answer_s))
    client.set_http_retry_params(max_attempts=_TRIES, wait_exponential_multiplier=RETRY_MS)
    return client


def _limit(response: Response, *_: object, **__: object) -> None:
    """Makes an answer end with an error when it is too large or takes too long, whatever it says of its length."""
    is_images = response.headers.get("Content-Type", "").startswith("multipart/")
    most, until = (MAX_SERIES_BYTES, SERIES_S) if is_images else (MAX_ANSWER_BYTES, ANSWERED_S)
    parts, end = response.iter_content, time.monotonic() + until

    def limited(*arguments: Any, **named: Any) -> Iterator[Any]:
        size = 0
        for part in parts(*arguments, **named):
            size += len(part)
            if size > most:
                raise InputRefused("ARCHIVE_ANSWER", f"the archive answers with more than {most:,} bytes")
            if time.monotonic() > end:
                raise TemporaryFailure("ARCHIVE", f"the archive is not done after {until:g} s")
            yield part

    response.iter_content = limited  # type: ignore[method-assign]
    length = response.headers.get("Content-Length", "")
    if length.isascii() and length.isdecimal() and int(length) > most:
        raise InputRefused("ARCHIVE_ANSWER", f"the archive answers with {int(length):,} bytes")


def _told(error: Exception) -> VoxlateError:
    """Returns what went wrong with an archive as an error of ours; its text may hold identifiers and is left out."""
    from requests import exceptions
    from retrying import RetryError

    if isinstance(error, VoxlateError):
        return error
    if isinstance(error, exceptions.HTTPError) and error.response is not None:
        return _of_status(error.response.status_code)
    passing = (exceptions.ConnectionError, exceptions.Timeout, exceptions.ChunkedEncodingError, RetryError)
    if isinstance(error, passing):
        return TemporaryFailure("ARCHIVE", f"the archive does not answer ({type(error).__name__})")
    if isinstance(error, OSError) and not isinstance(error, exceptions.RequestException):
        return TemporaryFailure("IO", f"what the archive sends cannot be kept: {error.strerror}")
    return InputRefused("ARCHIVE_ANSWER", f"the archive answers with something else ({type(error).__name__})")


def _of_status(status: int) -> VoxlateError:
    if status in (401, 403):
        return UsageError("ARCHIVE_DENIED", f"the archive refuses ({status}); see {TOKEN_VARIABLE} or ~/.netrc")
    is_passing = status >= 500 or status in (408, 429)
    kind = TemporaryFailure if is_passing else InputRefused
    return kind("ARCHIVE" if is_passing else "ARCHIVE_ANSWER", f"the archive answers with status {status}")


def _value(attributes: dict[str, dict[str, Any]], tag: str) -> str:
    """Returns the first value of an element in DICOM JSON as text."""
    if not isinstance(attributes, dict) or not isinstance(attributes.get(tag, {}), dict):
        raise InputRefused("ARCHIVE_ANSWER", "the archive answers with something that is no list of elements")
    values = attributes.get(tag, {}).get("Value") or [""]
    return str(values[0]) if isinstance(values, list) else ""
