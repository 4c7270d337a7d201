"""One case from its files to its results on disk: computed once, reused while nothing it read has changed."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from voxlate import __version__
from voxlate.errors import NoInput, TemporaryFailure, VoxlateError
from voxlate.evaluation.baselines import HistogramMatch, histogram_match_to_json
from voxlate.evaluation.cases.read_case import CaseFiles, load_case
from voxlate.evaluation.cases.scores import (
    MethodScore,
    display_range,
    images_of,
    lesion_records,
    score_images,
    tissue_results,
)
from voxlate.evaluation.enhancement import enhancement_protocol
from voxlate.evaluation.protocols import AS_WRITTEN, PROTOCOLS
from voxlate.evaluation.results import ScoreRow
from voxlate.evaluation.settings import Settings
from voxlate.evaluation.tissues import TissueResults, tissue_protocol
from voxlate.io.atomic import sha256, write_json
from voxlate.io.documents import read_json

EVALUATED, MISSING, REFUSED = "evaluated", "missing", "refused"


@dataclass(frozen=True)
class CaseResult:
    """What became of a case.

    Attributes:
        state: `evaluated`, `missing` (a file is not there) or `refused` (a file is unfit).
        content: plain values, as in the file; what it holds depends on the state.
    """

    case: str
    patient: str
    state: str
    content: Mapping[str, Any]

    def without_scores(self) -> CaseResult:
        """Returns the result without its figures, which stay on disk."""
        return replace(self, content={key: value for key, value in self.content.items() if key != "scores"})

    def rows(self) -> list[ScoreRow]:
        """Returns its lines of `scores.tsv`."""
        return [
            ScoreRow(self.case, self.patient, method, region, metric, float(value), unit, protocol, intensity)
            for method, protocol, region, metric, value, unit, intensity in self.content.get("scores", ())
        ]


def evaluate_case(files: CaseFiles, settings: Settings, match: HistogramMatch | None, folder: Path) -> CaseResult:
    """Returns the results of a case, from `folder` if they were computed from these very inputs before.

    A case whose files are missing or unfit has a result that says so; nothing is raised for it.

    Raises:
        TemporaryFailure, CannotWrite: when the result cannot be written, or memory or a disk fails.
    """
    case = files.case
    absent = files.absent(needs_sidecar=settings.is_relative)
    if absent:
        reason = f"no {', no '.join(absent)} file"
        return CaseResult(case.case, case.patient, MISSING, {"reason": reason})
    path = folder / f"{case.case}.json"
    key = _key(files, settings, match)
    known = _read(path, key)
    if known is not None:
        return CaseResult(case.case, case.patient, known["state"], known)
    state, content = _compute(files, settings, match)
    content = {"key": key, "state": state, **content}
    write_json(path, content)
    return CaseResult(case.case, case.patient, state, content)


def read_rows(result: CaseResult, folder: Path) -> list[ScoreRow]:
    """Returns the lines of `scores.tsv` of an evaluated case, from its file."""
    content = read_json(folder / f"{result.case}.json")
    return replace(result, content=content).rows()


def _compute(files: CaseFiles, settings: Settings, match: HistogramMatch | None) -> tuple[str, dict[str, Any]]:
    try:
        case = load_case(files, settings)
        compared = images_of(case, match)
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
        "display_range": list(display_range(case)),
        "data_range": case.data_range,
        "voxels": int(case.mask.sum()),
        "task": case.task,
        "methods": list(compared.images),
        "scores": [_plain(score) for score in scores if not score.score.left_out],
        **_rmse(scores),
        "left_out": [*_left_out(scores), *_unsegmented(tissues)],
        "lesions": [_nothing_infinite(record) for record in lesions],
        "volumes": [_nothing_infinite(record) for record in tissues.rows],
    }


def _rmse(scores: Sequence[MethodScore]) -> dict[str, float]:
    """Returns the RMSE of the synthetic image in the mask as written, in % of L, where the default protocol ran."""
    place = ("synthetic", "voxlate", "mask", "rmse", AS_WRITTEN)
    for entry in scores:
        score = entry.score
        if (entry.method, entry.protocol, score.region, score.metric, score.intensity) == place:
            return {"rmse_percent": score.value}
    return {}


def _left_out(scores: Sequence[MethodScore]) -> list[dict[str, str]]:
    """Returns each figure that this case does not allow, once per region and reason, with the methods concerned."""
    found: dict[tuple[str, str, str, str], list[str]] = {}
    for entry in scores:
        score = entry.score
        if score.left_out:
            methods = found.setdefault((entry.protocol, score.region, score.metric, score.left_out), [])
            methods.extend([entry.method] if entry.method not in methods else [])
    keys = ("protocol", "region", "metric", "reason")
    return [dict(zip(keys, place, strict=True)) | {"methods": ", ".join(m)} for place, m in found.items()]


def _unsegmented(tissues: TissueResults) -> list[dict[str, str]]:
    """Returns each image that could not be segmented, in the form of `_left_out`."""
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


def _nothing_infinite(record: Mapping[str, Any]) -> dict[str, Any]:
    return {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in record.items()}


def _plain(entry: MethodScore) -> list[Any]:
    """Returns a score as JSON can hold it: infinity and NaN as words that `float` reads back."""
    score = entry.score
    value = score.value if math.isfinite(score.value) else repr(score.value)
    return [entry.method, entry.protocol, score.region, score.metric, value, score.unit, score.intensity]


def _key(files: CaseFiles, settings: Settings, match: HistogramMatch | None) -> str:
    """Returns a hash of all that the results depend on: inputs, options, baselines and version."""
    content = {
        "version": __version__,
        "definitions": [PROTOCOLS[name].definition for name in settings.protocols]
        + [enhancement_protocol().model_dump()],
        "settings": settings.to_json(),
        "baselines": None if match is None else histogram_match_to_json(match),
        "inputs": {role: sha256(path) for role, path in files.inputs.items() if path.is_file()},
    }
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _read(path: Path, key: str) -> dict[str, Any] | None:
    try:
        content = read_json(path)
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) and content.get("key") == key else None
