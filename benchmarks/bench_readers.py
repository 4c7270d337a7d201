"""Measures a reader study: the server under twenty readers and a kill, the leak test, the statistics, the page.

    python benchmarks/bench_readers.py [--browser FOLDER_WITH_PLAYWRIGHT_CORE] [--parts load,leaks,statistics,page]

The page is driven in a real headless Chromium by benchmarks/readers_browser.mjs, for which node, chromium and the
npm package playwright-core must be there. Writes benchmarks/results/readers.json; parts that are not run keep their
former figures.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

import httpx
import numpy as np
from roe_metz import Skill, separation_for, simulate_ratings, true_auc
from scipy import ndimage

from voxlate.evaluation.statistics.auc import auc_influences
from voxlate.io.atomic import write_json
from voxlate.io.nifti import write_volume
from voxlate.readers.analysis.statistics.mrmc import differs, reader_mean, within_margin
from voxlate.readers.leaks import find_leaks
from voxlate.readers.package import create_package, load_package
from voxlate.volume import Volume
from voxlate.web.server.answer_log import AnswerLog, verify_chain
from voxlate.web.server.sql import SqliteDatabase

HERE = Path(__file__).parent
RESULT = HERE / "results" / "readers.json"
CASES, READERS, STUDIES = 30, 20, 1000
SERVE = "import sys; from voxlate.cli.readers import readers; readers(sys.argv[1:])"


def make_study(root: Path, *, shape: tuple[int, int, int], readers: int, structures: int = 9) -> Path:
    generator = np.random.default_rng(0)
    axes = np.meshgrid(*[np.linspace(-1, 1, n) for n in shape], indexing="ij")
    head = np.sqrt(sum((axis / size) ** 2 for axis, size in zip(axes, (0.75, 0.9, 0.8), strict=True)))
    for at in range(CASES):
        noise = ndimage.gaussian_filter(generator.normal(size=shape), 2)
        real = np.rint(np.clip(1.15 - head, 0, 1) * (900 + 2500 * noise) + generator.normal(400, 15, shape))
        synthetic = ndimage.gaussian_filter(real, 0.6) / 800
        for name, data in (("real", real), ("synthetic", synthetic)):
            write_volume(root / name / f"case{at:02d}.nii", Volume(data, np.eye(4), stored_dtype="float32"))
    names = [f"structure {at}" for at in range(structures)]
    study = {
        "name": "bench",
        "title": "Benchmark study",
        "seed": 1,
        "data_kind": "simulated",
        "images": {"real": "real", "synthetic": "synthetic"},
        "readers": [{"id": f"r{at:02d}"} for at in range(readers)],
        "designs": [
            {"kind": "real_or_synthetic", "name": "turing"},
            {"kind": "forced_choice", "name": "choice"},
            {"kind": "similarity", "name": "lee", "structures": names},
        ],
        "block_order": "fixed",
        "washout": {"trials": 10},
    }
    (root / "study.yaml").write_text(json.dumps(study))
    start = time.perf_counter()
    create_package(root / "study.yaml", root / "study")
    print(f"study of {CASES} cases of {shape} made in {time.perf_counter() - start:.1f} s")
    return root / "study"


class Server:
    """A server in a process of its own, to be killed and started again."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.links = folder, folder.parent / "links.tsv"
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.origin = f"http://127.0.0.1:{self.port}"
        self.start()

    def start(self) -> None:
        command = [sys.executable, "-c", SERVE, "serve", str(self.folder), "--port", str(self.port)]
        self.links.unlink(missing_ok=True)
        self.process = subprocess.Popen([*command, "--links", str(self.links)], stdout=subprocess.DEVNULL)
        while True:
            try:
                httpx.get(f"{self.origin}/page/page.css", timeout=5).raise_for_status()
                return
            except httpx.HTTPError:
                time.sleep(0.2)

    def stop(self, number: int = signal.SIGTERM) -> None:
        self.process.send_signal(number)
        self.process.wait()

    def link(self, reader: str) -> str:
        lines = dict(line.split("\t") for line in self.links.read_text().splitlines())
        return lines[reader]


def read_study(server: Server, reader: str, latencies: list[float], acknowledged: Counter[str]) -> None:
    """One reader from the first to the last case, trying again whenever the server is not there."""
    http = httpx.Client(base_url=server.origin, headers={"origin": server.origin}, timeout=60)

    def insist(method: str, path: str, content: object = None) -> dict:
        while True:
            try:
                answer = http.request(method, path, json=content)
                if answer.status_code < 500:
                    answer.raise_for_status()
                    return answer.json()
            except httpx.TransportError:
                time.sleep(0.3)

    http.headers["x-csrf-token"] = insist("POST", "/api/session", {"token": server.link(reader).split("#")[1]})["csrf"]
    page = insist("POST", "/api/page", {})["page"]
    while trial := (state := insist("GET", "/api/state"))["trial"]:
        given = {"submission": secrets.token_hex(8), "page": page, "trial": trial["id"], "answer": answer_to(trial)}
        start = time.perf_counter()
        insist("POST", "/api/answers", given | {"timing": {"viewed_s": 1.0, "hidden_s": 0.0}})
        latencies.append(time.perf_counter() - start)
        acknowledged[trial["id"]] += 1
    assert state["done"] == state["total"]


def answer_to(trial: dict) -> dict:
    design = trial["design"]
    match design["kind"]:
        case "real_or_synthetic":
            return {"kind": design["kind"], "confidence": 3}
        case "forced_choice":
            return {"kind": design["kind"], "side": "left"}
    return {"kind": design["kind"], "scores": dict.fromkeys(design["structures"], 70)}


def measure_load(folder: Path) -> dict:
    server, latencies, acknowledged = Server(folder), [], Counter()
    readers = [f"r{at:02d}" for at in range(READERS)]
    threads = [
        threading.Thread(target=read_study, args=(server, reader, latencies, acknowledged)) for reader in readers
    ]
    start = time.perf_counter()
    [thread.start() for thread in threads]
    package, kills = load_package(folder, is_verified=False), 0
    expected = sum(len(own) for own in package.trials.values())
    for share in (0.25, 0.6):
        while len(acknowledged) < share * expected:
            time.sleep(0.1)
        server.stop(signal.SIGKILL)
        kills += 1
        server.start()
    [thread.join() for thread in threads]
    seconds = time.perf_counter() - start
    server.stop()
    store = AnswerLog(SqliteDatabase(folder / "answers.sqlite"), package.protocol_hash)
    kept = Counter(answer.trial for answer in store.answers())
    return {
        "readers": READERS,
        "answers_expected": expected,
        "answers_acknowledged": len(acknowledged),
        "answers_kept": len(kept),
        "lost": len(set(acknowledged) - set(kept)),
        "doubled": sum(count > 1 for count in kept.values()),
        "kills": kills,
        "chain_whole": verify_chain(store.log()) is None,
        "seconds": round(seconds, 1),
        "answer_ms_median": round(float(np.median(latencies)) * 1e3, 1),
        "answer_ms_95": round(float(np.percentile(latencies, 95)) * 1e3, 1),
    }


def measure_leaks(folder: Path) -> dict:
    package = load_package(folder, is_verified=False)
    by_case: dict[str, dict[str, str]] = {}
    for image, entry in package.key["images"].items():
        by_case.setdefault(entry["case"], {})[entry["version"]] = image
    pairs = [(own["real"], own["synthetic"]) for own in by_case.values()]
    files = {image: package.image_path(image).read_bytes() for pair in pairs for image in pair}

    def clip(content: bytes, low: int, high: int) -> bytes:
        voxels = np.clip(np.frombuffer(content, np.uint8, offset=352), low, high)
        return content[:352] + voxels.tobytes()

    plants = {
        "header": lambda content: content[:148] + b"synthetic" + content[157:],
        "size": lambda content: content + b"\0",
        "values": lambda content: content[:352] + (np.frombuffer(content, np.uint8, offset=352) & 0xFE).tobytes(),
        "minimum": lambda content: clip(content, 1, 255),
        "maximum": lambda content: clip(content, 0, 254),
        "share_lowest": lambda content: content[:352] + bytes(len(content) // 12) + content[352 + len(content) // 12 :],
    }
    found = {}
    for name, plant in plants.items():
        planted = files | {synthetic: plant(files[synthetic]) for _, synthetic in pairs}
        found[name] = name in {leak.feature for leak in find_leaks(pairs, planted.__getitem__) if leak.is_found}
    slow = {synthetic for _, synthetic in pairs}

    def load(image: str) -> bytes:
        time.sleep(0.002 * (image in slow))
        return files[image]

    found["load_time"] = "load_time" in {leak.feature for leak in find_leaks(pairs, load) if leak.is_found}
    alarms = [
        any(leak.is_found for leak in find_leaks(swapped(pairs, seed), files.__getitem__, seed=seed))
        for seed in range(20)
    ]
    return {
        "cases": len(pairs),
        "planted_found": found,
        "false_alarms": sum(alarms),
        "trials_without_leak": len(alarms),
    }


def swapped(pairs: list[tuple[str, str]], seed: int) -> list[tuple[str, str]]:
    flips = np.random.default_rng(seed).integers(2, size=len(pairs))
    return [pair[::-1] if flip else pair for pair, flip in zip(pairs, flips, strict=True)]


def measure_statistics() -> list[dict]:
    rows = []
    for readers, cases, auc in ((6, 15, 0.5), (5, 30, 0.5), (5, 30, 0.6), (5, 30, 0.75), (10, 50, 0.5), (1, 30, 0.6)):
        skill = Skill(reader=0.0 if readers == 1 else Skill().reader)
        skill = replace(skill, separation=separation_for(auc, skill))
        truth = true_auc(skill, levels=6)
        generator = np.random.default_rng(2020)
        data = simulate_ratings(generator, skill, studies=STUDIES, readers=readers, cases=cases, levels=6)
        found = [reader_mean(*auc_influences(study[0], study[1])) for study in data]
        tests = [within_margin(one, reference=0.5, margin=0.1, alpha=0.05).is_shown for one in found]
        rows.append(
            {
                "readers": readers,
                "cases": cases,
                "true_auc": round(truth, 4),
                "mean_auc": round(float(np.mean([one.mean for one in found])), 4),
                "coverage_95": round(float(np.mean([one.low <= truth <= one.high for one in found])), 3),
                "declared_different": round(float(np.mean([differs(one, reference=0.5) < 0.05 for one in found])), 3),
                "declared_equivalent_0.1": round(float(np.mean(tests)), 3),
                "studies": STUDIES,
            }
        )
        print(rows[-1])
    return rows


def measure_page(folder: Path, playwright: Path, trials: int, screenshots: Path) -> dict:
    server = Server(folder)
    try:
        rows = {}
        for reader, hand in (("r00", "keyboard"), ("r01", "mouse")):
            command = ["node", str(HERE / "readers_browser.mjs"), server.link(reader), hand, str(trials)]
            places = {"PLAYWRIGHT_FOLDER": str(playwright), "SCREENSHOTS": str(screenshots)}
            done = subprocess.run(command, env=os.environ | places, capture_output=True, text=True, check=True)
            rows[hand] = json.loads(done.stdout.splitlines()[-1])
            print(hand, rows[hand])
        return rows
    finally:
        server.stop()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--browser", type=Path, help="folder whose node_modules holds playwright-core")
    parser.add_argument("--screenshots", type=Path, default=Path(tempfile.gettempdir()))
    parser.add_argument("--parts", default="load,leaks,statistics,page")
    parser.add_argument("--trials", type=int, default=120, help="cases to answer in the browser")
    parser.add_argument("--shape", type=int, nargs=3, default=(96, 112, 96))
    options = parser.parse_args()
    parts = set(options.parts.split(","))
    result = json.loads(RESULT.read_text()) if RESULT.exists() else {}
    result["machine"] = {"processor": platform.machine(), "cores": os.cpu_count(), "python": platform.python_version()}
    with tempfile.TemporaryDirectory() as name:
        if parts & {"load", "leaks", "page"}:
            folder = make_study(Path(name), shape=tuple(options.shape), readers=READERS)
        if "leaks" in parts:
            result["leaks"] = measure_leaks(folder) | measured()
        if "page" in parts and options.browser:
            result["page"] = measure_page(folder, options.browser, options.trials, options.screenshots) | measured()
            (folder / "answers.sqlite").unlink()
        if "load" in parts:
            result["load"] = measure_load(folder) | measured()
        if "statistics" in parts:
            result["statistics"] = {"rows": measure_statistics()} | measured()
    write_json(RESULT, result)
    print(json.dumps(result, indent=2))


def measured() -> dict:
    """Says when, at which commit, and how busy the machine was."""
    command = ["git", "-C", str(HERE), "rev-parse", "--short", "HEAD"]
    commit = subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
    return {"commit": commit, "load_average": [round(value, 1) for value in os.getloadavg()]}


if __name__ == "__main__":
    main()
