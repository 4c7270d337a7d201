"""Header rules, pixels, and both, on simulated warehouses of scanners and patients that training never saw; real scans.

    python benchmarks/bench_warehouse.py [--patients 150] [--data ../shared/data]

All but the list of real scans are figures of the simulator. A warehouse holds visits of three images filed as T1w: 26 %
are none (another contrast, a localiser, half a head), 59 % of the others after gadolinium, 30 % of low quality, and
headers contradict themselves. Scanners D (an inversion-prepared gradient echo) and F (a 2-D spin echo of thick slices)
were held out of training, as was every patient here. D's times and angle lie within the range that training varied,
its echo spacing and number of readouts do not; F is another sequence. All images of F have fewer than 40 slices, which
a rule fails: what is told of them is low or improper, and only the columns of the pixels mean something there.

Balanced accuracy counts an unknown answer as half right; intervals are of 2,000 bootstraps over patients. "told" is
what voxlate grade says: rules, header and pixels together, unknown when less than 90 % sure. The real scans were looked
at while the training was set up; none was trained on.
"""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from coverage_plot import draw_coverage
from machine import write_result
from simulated_warehouse import visit

from voxlate.archive.contrast_agent import agent_status_of
from voxlate.archive.series_type import series_type_of
from voxlate.io.nifti import read_volume
from voxlate.jobs.processes import parallel_map
from voxlate.quality.fuse_evidence import HEADER_ODDS, decide_agent, decide_kind
from voxlate.quality.grade import grade
from voxlate.simulation.physics.scanners import scanner_named

SEED = 909
IMAGES = 3
BOOTSTRAPS = 2000
SURE = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99)
SHOWN = {"t1": ("T1w", "no"), "t1ce": ("T1w", "yes"), "t2": ("T2w", ""), "flair": ("FLAIR", ""), "adc": ("ADC", ""),
         "b0": ("DWI", ""), "dwi_trace_b1000": ("DWI", ""), "ct": ("CT", "")}  # fmt: skip
FOLDERS = ("pairs", "native", "ct")

Row = dict[str, Any]


def rows_of(scanner: str, patient: int) -> list[Row]:
    """Returns what is true and what is told of each image of a visit."""
    rows = []
    for filed in visit(SEED, patient, scanner=scanner_named(scanner), images=IMAGES):
        found, header = grade(filed.volume), filed.header
        slices = found.findings[0].value
        grades = filed.grades
        header_kind, header_agent = series_type_of(header).kind, agent_status_of(header).state
        decided = decide_agent(header_agent, found.agent_evidence if found.kind in ("T1w", "unknown") else None)
        rows.append({
            "patient": patient, "proper": filed.is_proper, "agent": filed.has_agent, "shows": filed.shows,
            "tier": grades.tier, "header_kind": header_kind, "header_agent": header_agent,
            "told_tier": found.tier, "told_agent": decided.state, "told_kind": decide_kind(header_kind, found.kind),
            "slices": slices, "p_proper": found.proper, "p_agent": found.agent, "kind": found.kind,
            "p_low": found.tiers["low"], "p_good": found.tiers["good"], "p_medium": found.tiers["medium"],
        })  # fmt: skip
    return rows


def score(truth: np.ndarray, told: np.ndarray) -> float:
    """Returns the balanced accuracy; `told` is 1, 0, or 0.5 for unknown."""
    parts = [told[truth].mean() if truth.any() else np.nan, 1 - told[~truth].mean() if (~truth).any() else np.nan]
    return float(np.mean(parts))


def with_interval(truth: np.ndarray, told: np.ndarray, patients: np.ndarray) -> dict[str, Any]:
    rng = np.random.default_rng(0)
    places = {name: np.flatnonzero(patients == name) for name in np.unique(patients)}
    names = np.array(list(places))
    drawn = []
    for _ in range(BOOTSTRAPS):
        rows = np.concatenate([places[name] for name in rng.choice(names, names.size)])
        drawn.append(score(truth[rows], told[rows]))
    low, high = np.nanpercentile(drawn, (2.5, 97.5))
    return {"balanced_accuracy": round(score(truth, told), 3), "interval": [round(low, 3), round(high, 3)],
            "images": int(truth.size), "answered": round(float((told != 0.5).mean()), 3)}  # fmt: skip


def column(rows: list[Row], name: str) -> np.ndarray:
    return np.array([row[name] for row in rows])


def states(answers: list[str]) -> np.ndarray:
    return np.array([{"yes": 1.0, "no": 0.0}.get(answer, 0.5) for answer in answers])


def told(rows: list[Row], yes: tuple[str, ...], unknown: tuple[str, ...] = ("unknown",)) -> np.ndarray:
    """Returns 1 for tiers in `yes`, 0.5 for those in `unknown`, else 0."""
    tiers = [row["told_tier"] for row in rows]
    return np.array([1.0 if tier in yes else 0.5 if tier in unknown else 0.0 for tier in tiers])


def proper_by(rows: list[Row]) -> dict[str, np.ndarray]:
    header = np.array([float(row["header_kind"] == "T1w" and row["slices"] >= 40) for row in rows])
    pixels = (column(rows, "p_proper") > 0.5).astype(float)
    return {"header": header, "pixels": pixels, "both": header * pixels, "told": told(rows, ("good", "medium", "low"))}


def agent_by(rows: list[Row]) -> dict[str, np.ndarray]:
    header = states([row["header_agent"] for row in rows])
    pixels = (column(rows, "p_agent") > 0.5).astype(float)
    both = [float(decide_agent(row["header_agent"], row["p_agent"], sure=0.5).probability > 0.5) for row in rows]
    answered = states([row["told_agent"] for row in rows])
    return {"header": header, "pixels": pixels, "both": np.array(both), "told": answered}


def kinds(rows: list[Row]) -> dict[str, dict[str, float]]:
    """Returns how often the contrast is right, wrong and not told: by header, by pixels, and by both."""
    found = {}
    for name, column_name in (("header", "header_kind"), ("pixels", "kind"), ("both", "told_kind")):
        answers = [(row[column_name], row["shows"]) for row in rows]
        silent = [answer in ("unknown", "conflict") for answer, _ in answers]
        right = [answer == truth for answer, truth in answers]
        share = {"right": np.mean(right), "not_told": np.mean(silent)}
        found[name] = {key: round(float(value), 3) for key, value in share.items()}
    return found


def curve(truth: np.ndarray, probability: np.ndarray) -> dict[str, list[Any]]:
    """Returns, by the least probability asked for, the share answered and the share of the answers that are wrong."""
    sure = np.maximum(probability, 1 - probability)
    wrong = (probability > 0.5) != truth
    taken = [sure >= limit for limit in SURE]
    return {"sure": list(SURE), "coverage": [round(float(t.mean()), 3) for t in taken],
            "risk": [round(float(wrong[t].mean()), 4) if t.any() else None for t in taken]}  # fmt: skip


def ranked(truth: np.ndarray, probability: np.ndarray) -> dict[str, list[float]]:
    """Returns risk against coverage from the surest answer on, for the figure."""
    sure = np.maximum(probability, 1 - probability)
    order = np.argsort(-sure)
    wrong = ((probability > 0.5) != truth)[order]
    count = np.arange(1, wrong.size + 1)
    return {"coverage": (count / wrong.size).tolist(), "risk": (np.cumsum(wrong) / count).tolist(),
            "thresholds": (1 - sure[order]).tolist()}  # fmt: skip


def measured(rows: list[Row]) -> dict[str, Any]:
    patients = column(rows, "patient")
    result: dict[str, Any] = {"images": len(rows), "patients": len(set(patients.tolist()))}
    result["shares"] = {
        "not_t1w": round(1 - column(rows, "proper").mean(), 3),
        "after_agent": round(float(np.mean([row["agent"] for row in rows if row["proper"]])), 3),
        "low": round(float(np.mean([row["tier"] == "low" for row in rows if row["proper"]])), 3),
        "header_conflict_or_unknown": round(
            float(np.mean([row["header_agent"] in ("conflict", "unknown") for row in rows])), 3
        ),
    }
    result["kinds"] = kinds(rows)
    truth = column(rows, "proper")
    result["proper"] = {by: with_interval(truth, each_told, patients) for by, each_told in proper_by(rows).items()}
    result["proper"]["abstaining"] = curve(truth, column(rows, "p_proper"))
    t1w = [row for row in rows if row["proper"]]
    patients, truth = column(t1w, "patient"), column(t1w, "agent")
    result["agent"] = {by: with_interval(truth, each_told, patients) for by, each_told in agent_by(t1w).items()}
    both = np.array([decide_agent(row["header_agent"], row["p_agent"]).probability for row in t1w])
    result["agent"]["abstaining"] = {"pixels": curve(truth, column(t1w, "p_agent")), "both": curve(truth, both)}
    is_low = column(t1w, "tier") == "low"
    result["low"] = {"pixels": with_interval(is_low, (column(t1w, "p_low") > 0.5).astype(float), patients)}
    result["low"]["told"] = with_interval(is_low, told(t1w, ("low",), ("unknown", "improper")), patients)
    result["low"]["abstaining"] = curve(column(t1w, "tier") == "low", column(t1w, "p_low"))
    rest = [row for row in t1w if row["tier"] != "low"]
    share = column(rest, "p_medium") / np.maximum(column(rest, "p_medium") + column(rest, "p_good"), 1e-9)
    truth = column(rest, "tier") == "medium"
    result["medium"] = {"pixels": with_interval(truth, (share > 0.5).astype(float), column(rest, "patient"))}
    answered = told(rest, ("medium",), ("unknown", "improper", "low"))
    result["medium"]["told"] = with_interval(truth, answered, column(rest, "patient"))
    result["medium"]["abstaining"] = curve(truth, share)
    return result


def real(folder: Path) -> list[dict[str, Any]]:
    """Returns what the pixels alone say of every real scan of a head whose contrast its name tells."""
    rows = []
    for path in sorted(path for part in FOLDERS for path in (folder / part).rglob("*.nii.gz")):
        name = path.name.removesuffix(".nii.gz")
        if name not in SHOWN or "spine" in path.parent.name.lower() or "cervical" in path.parent.name:
            continue
        found = grade(read_volume(path))
        kind, agent = SHOWN[name]
        rows.append({
            "scan": f"{path.parent.name}/{name}", "shows": kind, "told": found.kind,
            "agent": agent, "told_agent": found.agent_state if kind == "T1w" else "",
            "agent_probability": round(found.agent, 3), "kind_probability": round(max(found.kinds.values()), 3),
            "verdict": found.verdict, "noted": ",".join(found.codes("note")), "failed": ",".join(found.codes("fail")),
            "tier": found.tier,
        })  # fmt: skip
    return rows


def summed(rows: list[dict[str, Any]]) -> dict[str, int]:
    t1w = [row for row in rows if row["shows"] == "T1w"]
    return {
        "scans": len(rows),
        "contrast_right": sum(row["told"] == row["shows"] for row in rows),
        "contrast_unknown": sum(row["told"] == "unknown" for row in rows),
        "t1w": len(t1w),
        "agent_right": sum(row["told_agent"] == row["agent"] for row in t1w),
        "agent_unknown": sum(row["told_agent"] == "unknown" for row in t1w),
    }


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--patients", type=int, default=150)
    parser.add_argument("--data", type=Path, default=Path(__file__).resolve().parents[2] / "shared" / "data")
    chosen = parser.parse_args()
    result: dict[str, Any] = {"images_a_visit": IMAGES, "header_odds": HEADER_ODDS}
    figures = {}
    for scanner, count in (("D", chosen.patients), ("F", chosen.patients // 3)):
        rows = [row for part in parallel_map(partial(rows_of, scanner), range(count), jobs=2) for row in part]
        rows.sort(key=lambda row: (row["patient"], row["p_proper"]))
        result[f"scanner_{scanner}"] = measured(rows)
        if scanner == "D":
            t1w = [row for row in rows if row["proper"]]
            figures["gadolinium"] = ranked(column(t1w, "agent"), column(t1w, "p_agent"))
            figures["low quality"] = ranked(column(t1w, "tier") == "low", column(t1w, "p_low"))
    path = Path(__file__).resolve().parents[1] / "docs" / "images" / "warehouse_coverage.png"
    draw_coverage(path, figures, limits={0.1: "o"}, title="Scanner D, pixels alone; circle: 90 % sure", highest=10)
    if chosen.data.is_dir():
        result["real_scans"] = real(chosen.data)
        result["real"] = summed(result["real_scans"])
    write_result("warehouse", result)


if __name__ == "__main__":
    main()
