"""Many scans by one bundle: started, stopped, killed and started again until each has come to an end.

Every case is a task of its own that can be repeated: it is translated in a folder of its own below `.work/`, its files
are flushed, hashed and renamed into place, and only then does the ledger get its line.
"""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from voxlate import __version__
from voxlate.bundle.bundle import Bundle, read_bundle
from voxlate.bundle.ensemble import join_bundles
from voxlate.errors import CannotWrite, ModelInvalid, TemporaryFailure, UsageError, VoxlateError, printable, writing
from voxlate.inference.files import translate_file
from voxlate.inference.item import Item
from voxlate.inference.manifest import Manifest, shard_of
from voxlate.inference.translate import Options
from voxlate.io.atomic import flush, remove_orphans, sha256, write_json, write_text
from voxlate.io.documents import read_json
from voxlate.io.tables import inert_cell
from voxlate.jobs.executors import Executor
from voxlate.jobs.ledger import DONE, FAILED, PENDING, REFUSED, RETRY, RUNS, Ledger, Standing, is_whole, standings
from voxlate.jobs.locking import lock

log = logging.getLogger("voxlate")

WORK, SETTINGS, NAMES, TABLE = ".work", "batch.json", "names.txt", "ledger.tsv"
Engine = Executor[Item]


@dataclass(frozen=True)
class Translation:
    """The work on one case, small enough to be sent to another process with each of them.

    Attributes:
        models: folders of bundles; each process reads them once.
        weights_sha256: what they must hash to together.
        options: see `voxlate.inference.translate.Options`.
        as_dicom: write a folder with a series for each case instead of a NIfTI file.
    """

    models: tuple[Path, ...]
    weights_sha256: str
    options: Options
    as_dicom: bool = False

    @property
    def bundle(self) -> Bundle:
        """Returns the bundle, read at the first call.

        Raises:
            ModelInvalid: what reading raises; `MODEL_CHANGED` when it is not the one that the batch began with.
        """
        bundle = read_models(self.models)
        if bundle.weights_sha256 != self.weights_sha256:
            raise ModelInvalid("MODEL_CHANGED", f"{bundle.name} is not the bundle that this batch began with")
        return bundle

    def __call__(self, item: Item, out: Path) -> dict[str, Any]:
        """Translates a case, puts its files into place, and returns the line that ends it.

        Raises:
            CannotWrite, TemporaryFailure, ModelInvalid: the disk or the model is at fault, not the case.
        """
        bundle = self.bundle
        place = out / WORK / f"{item.name}-{os.getpid()}"
        try:
            output = place / (item.output or (item.name if self.as_dicom else f"{item.name}.nii.gz"))
            made = translate_file(bundle, item.with_sources(bundle.recipe.more_sources), output, options=self.options)
            if self.as_dicom:  # what somebody put into the folder of a series would be taken for a slice
                shutil.rmtree(out / item.name, ignore_errors=True)
            return {"event": DONE, "files": _committed(place, out), "flag": made.flag}
        except VoxlateError as error:
            if isinstance(error, CannotWrite | TemporaryFailure) and error.code != "MEMORY":
                raise  # the disk is at fault; that a scan is too large is its own matter
            event = FAILED if error.state == "FAILED" else REFUSED
            return {"event": event, "code": error.code, "message": item.without_names(error.message)}
        except Exception as error:
            if isinstance(error, MemoryError) or "allocate" in str(error):
                return {"event": FAILED, "code": "MEMORY", "message": "it does not fit into the memory it may take"}
            return {"event": FAILED, "code": "UNEXPECTED", "message": type(error).__name__}
        finally:
            shutil.rmtree(place, ignore_errors=True)


@cache
def read_models(models: tuple[Path, ...]) -> Bundle:
    """Returns the bundle in a folder, or the mean of several; each process reads it once."""
    return join_bundles([read_bundle(model) for model in models])


def run_batch(
    manifest: Manifest,
    out: Path,
    settings: dict[str, Any],
    engine: Engine,
    *,
    shard: tuple[int, int] = (1, 1),
    retry: bool = False,
    watch: Callable[[str], None] | None = None,
) -> None:
    """Brings every case of a shard to an end; what is done and whole is left alone.

    Args:
        manifest: all cases of the batch.
        out: its folder.
        settings: what all runs of a batch must share, as the hash of the bundle.
        engine: see `Engine`.
        shard: which part, and of how many.
        retry: try again what failed.
        watch: called with the state of each case that came to an end.

    Raises:
        UsageError: `BATCH_DIFFERS` when `out` belongs to another manifest, bundle or settings; `FOLDER_OCCUPIED`.
        TemporaryFailure: `SHARD_BUSY` when another process works on the shard; `IO`.
        CannotWrite: `WRITE`.
    """
    _claim(manifest, out, settings | {"shards": shard[1]})
    with _only_runner(out, shard):
        _clear_work(out, shard)
        remove_orphans(out)
        ledger = Ledger(out)
        try:
            known = standings(out)
            _refuse_names(manifest, shard, known, ledger, watch)
            waiting = _waiting(manifest, shard, out, known, ledger, retry=retry)
            for name, line in engine(waiting, out):
                ledger.add(name, **line)
                if line["event"] != DONE:
                    log.error("%s: %s:%s %s", name, line["event"].upper(), line["code"], printable(line["message"]))
                elif line.get("flag"):
                    log.warning("%s: flagged %s; look at it before it is used", name, line["flag"])
                if watch is not None:
                    watch(line["event"])
        finally:
            ledger.close()
            _clear_work(out, shard)
    write_table(out)


def write_table(out: Path) -> dict[str, int]:
    """Writes `ledger.tsv`, one row for each case in the order of the manifest, and returns the count of each state."""
    known, counts = standings(out), dict.fromkeys((DONE, REFUSED, FAILED, PENDING), 0)
    lines = ["case\tstate\tcode\tflag\tfiles"]
    for name in read_names(out):
        standing = known.get(name, Standing())
        counts[standing.state] += 1
        files = " ".join(f"{file}={value}" for file, value in sorted(standing.files.items()))
        cells = [name, standing.state, standing.code, standing.flag, files]
        lines.append("\t".join(inert_cell(cell) for cell in cells))
    write_text(out / TABLE, "\n".join(lines) + "\n")
    return counts


def read_names(out: Path) -> list[str]:
    """Returns the names of all cases of a batch, in the order of its manifest."""
    # A name may hold what `splitlines` takes for the end of a line, if an older version let it in.
    return (out / NAMES).read_text(encoding="utf-8").removesuffix("\n").split("\n")


def settled(out: Path, name: str) -> str:
    """Returns what the first run of a batch chose for a setting, or nothing when there was none."""
    try:
        return str(read_json(out / SETTINGS).get(name, ""))
    except (OSError, ValueError):
        return ""


def _claim(manifest: Manifest, out: Path, settings: dict[str, Any]) -> None:
    """Marks a new folder as that of the batch, or sees that it is; many tasks of an array may do so at once."""
    if out.exists() and not (out / RUNS).is_dir() and (not out.is_dir() or any(out.iterdir())):
        raise UsageError("FOLDER_OCCUPIED", f"{out.name} holds something else; name a new folder")
    with _locked(out, "claim", wait=True):
        _claim_alone(manifest, out, settings)


def _claim_alone(manifest: Manifest, out: Path, settings: dict[str, Any]) -> None:
    wanted = {"voxlate": __version__, "manifest_sha256": manifest.sha256, "cases": len(manifest.rows)} | settings
    path = out / SETTINGS
    if path.is_file():
        try:
            found = read_json(path)
        except ValueError:
            found = {}
        differing = [key for key in wanted if found.get(key) != wanted[key]]
        if differing:
            raise UsageError("BATCH_DIFFERS", f"{out.name} was begun with another {differing[0]}; use another folder")
        return
    write_text(out / NAMES, "".join(f"{name}\n" for name in manifest.names()))
    write_json(path, wanted)


@contextmanager
def _only_runner(out: Path, shard: tuple[int, int]) -> Iterator[None]:
    """Holds the lock of a shard."""
    try:
        with _locked(out, f"shard-{shard[0]}", wait=False):
            yield
    except BlockingIOError as error:
        raise TemporaryFailure("SHARD_BUSY", f"another process works on shard {shard[0]}/{shard[1]}") from error


@contextmanager
def _locked(out: Path, name: str, *, wait: bool) -> Iterator[None]:
    """Holds a lock, which the system releases however the process ends."""
    path = out / RUNS / f"{name}.lock"
    with writing(path.name):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    handle = lock(path, wait=wait)
    try:
        yield
    finally:
        os.close(handle)


def _clear_work(out: Path, shard: tuple[int, int]) -> None:
    """Removes what killed processes left of the cases of a shard, which nobody else works on."""
    folder = out / WORK
    for place in list(folder.iterdir()) if folder.is_dir() else []:
        if shard_of(place.name.rpartition("-")[0], shard[1]) == shard[0]:
            shutil.rmtree(place, ignore_errors=True)
    with suppress(OSError):
        folder.rmdir()


def _refuse_names(
    manifest: Manifest,
    shard: tuple[int, int],
    known: Mapping[str, Standing],
    ledger: Ledger,
    watch: Callable[[str], None] | None,
) -> None:
    """Brings cases whose names cannot name a file to their end."""
    for name, message in manifest.faults.items():
        if shard_of(name, shard[1]) == shard[0] and name not in known:
            ledger.add(name, REFUSED, code="CASE_NAME", message=message)
            log.error("%s: REFUSED:CASE_NAME %s", name, message)
            if watch is not None:
                watch(REFUSED)


def _waiting(
    manifest: Manifest,
    shard: tuple[int, int],
    out: Path,
    known: dict[str, Standing],
    ledger: Ledger,
    *,
    retry: bool,
) -> Iterator[Item]:
    """Yields the cases that are not at an end; one that is done but not whole, or failed and to be retried, is not."""
    for item in manifest.items(shard):
        if item.name in manifest.faults:
            continue
        standing = known.get(item.name, Standing())
        is_broken = standing.state == DONE and not is_whole(out, standing)
        if is_broken or (retry and standing.state == FAILED):
            ledger.add(item.name, RETRY)
            standing = Standing()
        if standing.state == PENDING:
            yield item


def _committed(place: Path, out: Path) -> dict[str, str]:
    """Renames what is in a folder into that of the batch and returns hashes; all was flushed when it was written."""
    hashes = {path.relative_to(place).as_posix(): sha256(path) for path in sorted(place.rglob("*")) if path.is_file()}
    with writing(place.name):
        for name in sorted(hashes, key=lambda name: name.endswith(".json")):  # sidecars last
            (out / name).parent.mkdir(parents=True, exist_ok=True)
            (place / name).replace(out / name)
        for folder in {parent for name in hashes for parent in Path(name).parents}:
            flush(out / folder)
    return hashes
