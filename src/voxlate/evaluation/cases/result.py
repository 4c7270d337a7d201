"""Evaluates one case and keeps its result on disk, to be used again while inputs and settings stay the same."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from voxlate.errors import NoInput, TemporaryFailure, VoxlateError
from voxlate.evaluation.baselines import HistogramMatch, histogram_match_to_json
from voxlate.evaluation.cases.intensity import shown_range
from voxlate.evaluation.cases.read_case import CaseFiles, LoadedCase, load_case
from voxlate.evaluation.cases.scores import (
    MethodScore,
    images_of,
    lesion_records,
    score_images,
    tissue_results,
)
from voxlate.evaluation.enhancement import enhancement_protocol
from voxlate.evaluation.protocols import AS_WRITTEN, PROTOCOLS
from voxlate.evaluation.schema.results import ScoreRow
from voxlate.evaluation.settings import Settings
from voxlate.evaluation.tissues import TissueResults, tissue_protocol, undefined_overlaps
from voxlate.io.atomic import sha256, write_json
from voxlate.io.documents import finite_values, read_json
from voxlate.jobs.results import hash_inputs, read_result
from voxlate.version import __version__

CONTRAST = "contrast"
"""What a synthetic image of one value lacks, among the metrics that could not be computed."""

SYNTHETIC_SHA256 = "synthetic_sha256"
"""Key of the hash of the synthetic image in the result file of a case."""

EVALUATED, MISSING, REFUSED = "evaluated", "missing", "refused"
"""The words for done and refused in the files of an evaluation; see `voxlate.jobs.states`."""


@dataclass(frozen=True)
class CaseResult:
    """The result of a case.

    Attributes:
        case: name of the case.
        patient: pseudonym of the patient.
        state: `evaluated`, `missing` (a file does not exist) or `refused` (a file cannot be evaluated).
        content: content of the result file; its keys depend on the state.
    """

    case: str
    patient: str
    state: str
    content: Mapping[str, Any]

    def without_scores(self) -> CaseResult:
        """Returns the result without its scores, which stay on disk."""
        return replace(self, content={key: value for key, value in self.content.items() if key != "scores"})

    def rows(self) -> list[ScoreRow]:
        """Returns the rows of the case in `scores.tsv`."""
        return [
            ScoreRow(self.case, self.patient, method, region, metric, float(value), unit, protocol, intensity)
            for method, protocol, region, metric, value, unit, intensity in self.content.get("scores", ())
        ]


def evaluate_case(files: CaseFiles, settings: Settings, match: HistogramMatch | None, folder: Path) -> CaseResult:
    """Returns the result of a case, from `folder` if an earlier run computed it from the same inputs.

    A case whose files are missing or unfit has a result with the reason; no error is raised for it.

    Args:
        files: the files of the case.
        settings: see `Settings`.
        match: histogram match of the bundle, or None.
        folder: folder of the result files.

    Raises:
        TemporaryFailure, CannotWrite: the result cannot be written, or memory or a disk fails.
    """
    case = files.case
    absent = files.absent(needs_sidecar=settings.is_relative)
    if absent:
        reason = f"no {', no '.join(absent)} file"
        return CaseResult(case.case, case.patient, MISSING, {"reason": reason})
    path = folder / f"{case.case}.json"
    key = _key(files, settings, match)
    earlier = read_result(path, key=key)
    if earlier is not None:
        return CaseResult(case.case, case.patient, earlier["state"], earlier)
    state, content = _compute(files, settings, match)
    content = {"key": key, "state": state, SYNTHETIC_SHA256: sha256(files.synthetic), **content}
    write_json(path, content)
    return CaseResult(case.case, case.patient, state, content)


def read_rows(result: CaseResult, folder: Path) -> list[ScoreRow]:
    """Returns the rows of an evaluated case in `scores.tsv`, from its result file.

    Args:
        result: result of the case; its scores may be missing.
        folder: folder of the result files.
    """
    content = read_json(folder / f"{result.case}.json")
    return replace(result, content=content).rows()


def _compute(files: CaseFiles, settings: Settings, match: HistogramMatch | None) -> tuple[str, dict[str, Any]]:
    try:
        case = load_case(files, settings)
        compared = images_of(case, match, has_baselines=settings.baselines.of(files.case.case))
        scores = list(score_images(case, compared, settings))
        lesions = lesion_records(case, settings)
        tissues = tissue_results(case, compared.images, settings)
    except TemporaryFailure:
        raise
    except NoInput as error:
        return MISSING, {"reason": error.message}
    except VoxlateError as error:
        return REFUSED, {"code": error.code, "message": error.message}
    return EVALUATED, {
        "reference_level": case.levels.model_dump(),
        "display_range": list(shown_range(case.target, case.mask)),
        "data_range": case.data_range,
        "voxels": int(case.mask.sum()),
        "task": case.task,
        **_label_values(case),
        "unusual_score": case.unusual_score,
        "methods": list(compared.images),
        "scores": [_plain(score) for score in scores if not score.score.left_out],
        **_rmse(scores),
        "left_out": [*_collapsed(case, settings), *_left_out(scores), *_unsegmented(tissues), *_absent(tissues)],
        "lesions": finite_values(lesions),
        "volumes": finite_values(tissues.rows),
    }


def _label_values(case: LoadedCase) -> dict[str, list[int]]:
    """Returns the values in the label file, without 0; nothing for a case without one."""
    return {} if case.labels is None else {"label_values": [int(value) for value in np.unique(case.labels) if value]}


def _rmse(scores: Sequence[MethodScore]) -> dict[str, float]:
    """Returns the RMSE of the synthetic image in the mask as written, in % of L, where the default protocol ran."""
    wanted = ("synthetic", "voxlate", "mask", "rmse", AS_WRITTEN)
    for entry in scores:
        score = entry.score
        if (entry.method, entry.protocol, score.region, score.metric, score.intensity) == wanted:
            return {"rmse_percent": score.value}
    return {}


def _collapsed(case: LoadedCase, settings: Settings) -> list[dict[str, str]]:
    """Returns a row for a synthetic image of one value: it is scored, but its network answers nothing."""
    inside = case.synthetic[case.mask]
    if float(inside.min()) != float(inside.max()):
        return []
    reason = f"the synthetic image has the one value {float(inside[0]):g} in the mask: the network has collapsed"
    place = {"protocol": settings.protocols[0], "region": "mask", "metric": CONTRAST}
    return [{**place, "reason": reason, "methods": "synthetic"}]


def _left_out(scores: Sequence[MethodScore]) -> list[dict[str, str]]:
    """Returns each metric that cannot be computed for this case, once per region and reason, with its methods."""
    methods_of: dict[tuple[str, str, str, str], list[str]] = {}
    for entry in scores:
        score = entry.score
        if score.left_out:
            methods = methods_of.setdefault((entry.protocol, score.region, score.metric, score.left_out), [])
            methods.extend([entry.method] if entry.method not in methods else [])
    return _joined(methods_of)


def _unsegmented(tissues: TissueResults) -> list[dict[str, str]]:
    """Returns each image that could not be segmented, as rows like those of `_left_out`."""
    return [
        {
            "protocol": tissue_protocol(entry.segmenter).name,
            "region": "tissues",
            "metric": "volume",
            "reason": entry.reason,
            "methods": entry.method,
        }
        for entry in tissues.left_out
    ]


def _absent(tissues: TissueResults) -> list[dict[str, str]]:
    """Returns each Dice and HD95 that is not defined because a tissue is absent, as rows like those of `_left_out`."""
    methods_of: dict[tuple[str, str, str, str], list[str]] = {}
    for row, metric, reason in undefined_overlaps(tissues.rows):
        key = (tissue_protocol(row["segmenter"]).name, row["tissue"], metric, reason)
        methods_of.setdefault(key, []).append(row["method"])
    return _joined(methods_of)


def _joined(methods_of: Mapping[tuple[str, str, str, str], Sequence[str]]) -> list[dict[str, str]]:
    """Returns one row per protocol, region, metric and reason with the methods that have it."""
    keys = ("protocol", "region", "metric", "reason")
    return [
        dict(zip(keys, values, strict=True)) | {"methods": ", ".join(methods)} for values, methods in methods_of.items()
    ]


def _plain(entry: MethodScore) -> list[Any]:
    """Returns a score as JSON can hold it: infinity and NaN as texts that `float` reads."""
    score = entry.score
    value = score.value if math.isfinite(score.value) else repr(score.value)
    return [entry.method, entry.protocol, score.region, score.metric, value, score.unit, score.intensity]


def _key(files: CaseFiles, settings: Settings, match: HistogramMatch | None) -> str:
    """Returns a hash of all that the result depends on: inputs, options, baselines and version."""
    content = {
        "version": __version__,
        "definitions": [PROTOCOLS[name].definition for name in settings.protocols]
        + [enhancement_protocol().model_dump()],
        "settings": settings.to_json(),
        "baselines": None if match is None else histogram_match_to_json(match),
        "inputs": hash_inputs(files.inputs),
        **({} if settings.baselines.of(files.case.case) else {"has_baselines": False}),
    }
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
