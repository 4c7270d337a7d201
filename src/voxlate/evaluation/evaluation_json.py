"""What `evaluation.json` holds: definitions, cases, tables, lesions, volumes, and whatever could not be measured."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from voxlate import __version__
from voxlate.errors import InputRefused
from voxlate.evaluation.baselines import MATCHED_DB, HistogramMatch
from voxlate.evaluation.cases.read_case import CaseFiles
from voxlate.evaluation.cases.result import EVALUATED, MISSING, REFUSED, CaseResult
from voxlate.evaluation.cases.scores import METHODS, OF_BUNDLE
from voxlate.evaluation.enhancement import Direction, enhancement_protocol
from voxlate.evaluation.lesions import summarize_lesions
from voxlate.evaluation.oracle import oracle_errors, oracle_record
from voxlate.evaluation.protocols import AS_WRITTEN, PROTOCOLS
from voxlate.evaluation.settings import Settings
from voxlate.evaluation.subgroups import Factors
from voxlate.evaluation.table import PRIMARY_METRICS, PRIMARY_REGION, ScoreTable, to_json
from voxlate.evaluation.tissues import SEGMENTERS, tissue_protocol, volume_agreement
from voxlate.io.documents import read_json

_BLURRED = (
    "blurred target: sigma of at most 16 mm at which its PSNR in the mask, with all values in the unit of comparison, "
    f"comes nearest the synthetic image's; matched where the gap (psnr_gap) is within {MATCHED_DB} dB"
)

HISTORY_FILE, PICTURES_FILE = "history.json", "pictures.json"


@dataclass(frozen=True)
class Findings:
    """What all cases together hold.

    Attributes:
        table: every figure.
        lesions: records of lesions, each with its case.
        volumes: records of tissue volumes, likewise.
        factors: the groups of each case.
    """

    table: ScoreTable
    lesions: list[dict[str, Any]]
    volumes: list[dict[str, Any]]
    factors: Factors


def build_content(
    results: Sequence[CaseResult],
    files: Sequence[CaseFiles],
    findings: Findings,
    output: Path,
    *,
    settings: Settings,
    match: HistogramMatch | None,
    bundle: Path | None,
) -> dict[str, Any]:
    """Returns the content, plain values in the order of the file; every case is in `cases`, `missing` or `refused`.

    Raises:
        InputRefused: `BUNDLE_FILE` when loss curves or pictures of the bundle are not JSON.
    """
    done = [(result, one) for result, one in zip(results, files, strict=True) if result.state == EVALUATED]
    segmenters = (*SEGMENTERS, *settings.more_segmenters) if settings.is_segmented else ()
    return {
        "voxlate_version": __version__,
        "protocols": [
            *({"name": name, "definition": _definition(name, settings, match)} for name in settings.protocols),
            *([enhancement_protocol()] if _has_agent(done) else []),
            *(tissue_protocol(name) for name in segmenters),
        ],
        "data_kind": settings.data_kind,
        "unit": settings.unit,
        "direction": _direction([result for result, _ in done]),
        "methods": [name for name in METHODS if match is not None or name not in OF_BUNDLE],
        "cases": [_case_entry(result, one, output, findings.factors) for result, one in done],
        "summary": to_json(findings.table.summarize()),
        "comparisons": to_json(findings.table.compare()),
        "primary": {
            "protocol": settings.protocols[0],
            "intensity": AS_WRITTEN,
            "region": PRIMARY_REGION,
            "metrics": list(PRIMARY_METRICS),
        },
        "oracle": _oracle(done, settings),
        "lesions": [*findings.lesions, *summarize_lesions(findings.lesions)],
        "volumes": [*findings.volumes, *volume_agreement(findings.volumes)],
        "left_out": [{"case": result.case, **entry} for result, _ in done for entry in result.content["left_out"]],
        "missing": [{"case": r.case, "reason": r.content["reason"]} for r in results if r.state == MISSING],
        "refused": [
            {"case": r.case, "code": r.content["code"], "message": r.content["message"]}
            for r in results
            if r.state == REFUSED
        ],
        "history": _of_bundle(bundle, HISTORY_FILE),
        "network_pictures": _of_bundle(bundle, PICTURES_FILE),
    }


def _has_agent(done: Sequence[tuple[CaseResult, CaseFiles]]) -> bool:
    return any(Direction.of(result.content["task"]) is not None for result, _ in done)


def _oracle(done: Sequence[tuple[CaseResult, CaseFiles]], settings: Settings) -> dict[str, Any] | None:
    """Returns how the synthetic images compare with the least error there is, where a simulation's truth states it."""
    if settings.factors is None or not settings.factors.is_dir() or "voxlate" not in settings.protocols:
        return None
    target = _direction([result for result, _ in done])["target"]
    errors = oracle_errors(settings.factors, [files.case for _, files in done], target)
    ours = {result.case: result.content["rmse_percent"] for result, _ in done if "rmse_percent" in result.content}
    return oracle_record(errors, ours)


def _definition(name: str, settings: Settings, match: HistogramMatch | None) -> str:
    unit = (
        "relative units (each image divided by its reference level, that of the synthetic one as its bundle stated it)"
        if settings.is_relative
        else f"{settings.unit}, L = {settings.data_range:g}"
    )
    masks = "mask: the file given, else the non-zero regions of source and target intersected"
    matched = (
        f"histogram match fitted on {match.n_cases} training cases, constant the median of their targets "
        f"({match.target_median:.3g})"
        if match is not None
        else "no histogram match and no constant, as no bundle was given that holds their training cases"
    )
    return f"{PROTOCOLS[name].definition} Compared in {unit}; {masks}; {matched}; {_BLURRED}."


def _direction(results: Sequence[CaseResult]) -> dict[str, str]:
    tasks = {result.content["task"] for result in results}
    source, separator, target = (tasks.pop() if len(tasks) == 1 else "").partition(" to ")
    return {"source": source, "target": target} if separator else {"source": "source", "target": "target"}


def _case_entry(result: CaseResult, files: CaseFiles, output: Path, factors: Factors) -> dict[str, Any]:
    paths = dict.fromkeys(("source", "target", "synthetic", "mask", "labels"))
    given = {role: Path(os.path.relpath(path, output)).as_posix() for role, path in files.inputs.items()}
    return {
        "case": result.case,
        "patient": result.patient,
        "paths": {role: given.get(role) for role in paths},
        "reference_level": result.content["reference_level"],
        "display_range": result.content["display_range"],
        "subgroups": factors.of(files.case),
    }


def _of_bundle(bundle: Path | None, name: str) -> Any:
    """Returns what a JSON file of the bundle holds; None without the file."""
    path = None if bundle is None else bundle / name
    if path is None or not path.is_file():
        return None
    try:
        return read_json(path)
    except ValueError as error:
        raise InputRefused("BUNDLE_FILE", f"{path.name} of the bundle is not JSON; train the bundle again") from error
