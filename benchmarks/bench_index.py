"""How quickly, and with how much memory, an archive is indexed.

    python benchmarks/bench_index.py [--series 100000]

Writes simulated headers of three files a study into a temporary folder, one file a series, indexes them with two
processes, kills the run once on its way and takes it up again, then runs it a second time when nothing has changed.
Named peer: pydicom alone, reading a sample of the same headers one after the other in one process. Memory is that of
the process that writes the store: after a quarter of the series, when all are read, and when the table is written, for
which pyarrow is loaded.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

from machine import write_result
from pydicom import dcmread
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian

from voxlate.archive import index, read_table
from voxlate.jobs.processes import parallel_map
from voxlate.simulation.files.header_variants import VENDORS, draw_header_variant, timing_tags
from voxlate.simulation.physics.scanners import scanner_named
from voxlate.simulation.rng import generator

A_FOLDER = 500
SHOWN = ("T1w", "T1ce", "T2w", "FLAIR", "b1000", "ADC", "CT")
SCANNERS = list("ABCDEF")  # those of the recorded run
SAMPLE = 4000


def write_headers(folder: Path, start: int, count: int) -> int:
    place = folder / f"{start:07d}"
    place.mkdir(parents=True)
    for number in range(start, start + count):
        header(number).save_as(place / f"{number:07d}.dcm", enforce_file_format=True)
    return count


def header(number: int) -> Dataset:
    rng = generator(9, number, "index")
    shown, scanner = str(rng.choice(SHOWN)), scanner_named(str(rng.choice(SCANNERS)))
    variant = draw_header_variant(shown, scanner, "generic", rng)
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = UID("1.2.840.10008.5.1.4.1.1.4")
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = UID(f"1.2.3.{number}.1")
    dataset.SeriesInstanceUID, dataset.StudyInstanceUID = f"1.2.3.{number}", f"1.2.4.{number // 3}"
    dataset.PatientID, dataset.PatientName = f"SIM{number // 9}", f"SIMULATED^{number // 9}"
    dataset.StudyDate, dataset.AcquisitionTime = f"20{number % 24:02d}0{1 + number % 9}15", f"1{number % 3}0000"
    dataset.Modality, dataset.Manufacturer = "CT" if shown == "CT" else "MR", VENDORS[scanner.name]
    dataset.SeriesDescription, dataset.ImageType = variant.description, ["ORIGINAL", "PRIMARY", "M"]
    dataset.Rows = dataset.Columns = 256
    dataset.PixelSpacing, dataset.SliceThickness, dataset.SeriesNumber = [1, 1], 1, number % 3 + 1
    for name, value in timing_tags(shown, scanner).items():
        setattr(dataset, name, value)
    return dataset


def one(folder: Path, start: int, *, total: int) -> int:
    return write_headers(folder, start, min(A_FOLDER, total - start))


def killed_once(source: Path, out: Path, after_s: float) -> float:
    command = [sys.executable, "-m", "voxlate", "index", source, out, "--jobs", "2"]
    started = subprocess.Popen(list(map(str, command)), start_new_session=True, stdout=subprocess.DEVNULL)
    time.sleep(after_s)
    os.killpg(started.pid, signal.SIGKILL)
    started.wait()
    return after_s


def resident_mib() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def timed(source: Path, out: Path, total: int) -> tuple[float, dict[str, float]]:
    start, memory = time.perf_counter(), {}
    for progress in index(str(source), out, jobs=2):
        if progress.met >= total // 4 and "quarter" not in memory:
            memory["quarter"] = resident_mib()
        memory["all_read"] = resident_mib()
    memory["table_written"] = resident_mib()
    return time.perf_counter() - start, {name: round(value) for name, value in memory.items()}


def digest(out: Path) -> str:
    return hashlib.sha256((out / "series.parquet").read_bytes()).hexdigest()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--series", type=int, default=100_000)
    total = parser.parse_args().series
    os.environ["VOXLATE_UID_SALT"] = "benchmark"
    with tempfile.TemporaryDirectory() as name:
        source = Path(name) / "archive"
        for _ in parallel_map(partial(one, source, total=total), range(0, total, A_FOLDER), jobs=2):
            pass
        files = sorted(source.rglob("*.dcm"))[:: max(total // SAMPLE, 1)]
        start = time.perf_counter()
        for path in files:
            dcmread(path, stop_before_pixels=True).get("SeriesInstanceUID")
        pydicom_s = (time.perf_counter() - start) / len(files)
        first_s, memory = timed(source, Path(name) / "out", total)
        again_s, _ = timed(source, Path(name) / "out", total)
        killed_s = killed_once(source, Path(name) / "killed", first_s / 3)
        rest_s, _ = timed(source, Path(name) / "killed", total)
        result = {
            "series": len(read_table(Path(name) / "out")),
            "series_per_s": round(total / first_s, 1),
            "pydicom_alone_headers_per_s": round(1 / pydicom_s, 1),
            "ratio_to_pydicom_alone": round(pydicom_s * total / first_s, 2),
            "series_per_s_when_nothing_changed": round(total / again_s, 1),
            "resident_mib": memory,
            "killed_after_s": round(killed_s, 1),
            "rest_after_kill_s": round(rest_s, 1),
            "whole_s": round(first_s, 1),
            "same_bytes_after_kill": digest(Path(name) / "killed") == digest(Path(name) / "out"),
            "store_mib": round((Path(name) / "out" / "index.sqlite").stat().st_size / 2**20, 1),
            "table_mib": round((Path(name) / "out" / "series.parquet").stat().st_size / 2**20, 1),
        }
        write_result("index", result)


if __name__ == "__main__":
    main()
