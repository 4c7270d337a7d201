"""Builds the content of `evaluation.json` from the results of all cases."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError

from voxlate.errors import InputRefused
from voxlate.evaluation.baselines import MATCHED_DB, HistogramMatch
from voxlate.evaluation.cases.read_case import CaseFiles
from voxlate.evaluation.cases.result import EVALUATED, MISSING, REFUSED, CaseResult
from voxlate.evaluation.cases.scores import METHODS, OF_BUNDLE
from voxlate.evaluation.enhancement import AgentDirection, enhancement_protocol
from voxlate.evaluation.lesions import summarize_lesions
from voxlate.evaluation.oracle import compare_with_oracle, oracle_errors
from voxlate.evaluation.protocols import AS_WRITTEN, PROTOCOLS
from voxlate.evaluation.schema.model_facts import read_model_facts
from voxlate.evaluation.schema.results import (
    Direction,
    EvaluatedCase,
    Evaluation,
    History,
    LeftOut,
    Levels,
    Missing,
    NetworkPictures,
    Oracle,
    Paths,
    Primary,
    ProtocolDefinition,
    Refused,
)
from voxlate.evaluation.schema.rows import CaseLesionRow, VolumeRow
from voxlate.evaluation.schema.table import PRIMARY_METRICS, PRIMARY_REGION, ScoreTable
from voxlate.evaluation.settings import Settings
from voxlate.evaluation.subgroups import Factors
from voxlate.evaluation.tissues import SEGMENTERS, tissue_protocol, volume_agreement
from voxlate.io.documents import read_json
from voxlate.version import __version__

_BLURRED = (
    "blurred target: sigma of at most 16 mm at which its PSNR in the mask, with all values in the unit of comparison, "
    f"comes nearest the synthetic image's; matched where the gap (psnr_gap) is within {MATCHED_DB} dB"
)

HISTORY_FILE, PICTURES_FILE = "history.json", "pictures.json"

Document = TypeVar("Document", History, NetworkPictures)


@dataclass(frozen=True)
class CollectedResults:
    """Results of all evaluated cases together.

    Attributes:
        table: every score.
        lesions: lesion rows, each with its case and patient.
        volumes: volume rows, likewise.
        factors: subgroups of each case.
    """

    table: ScoreTable
    lesions: Sequence[CaseLesionRow]
    volumes: Sequence[VolumeRow]
    factors: Factors


def build_evaluation(
    results: Sequence[CaseResult],
    files: Sequence[CaseFiles],
    collected: CollectedResults,
    output: Path,
    *,
    settings: Settings,
    matches: Sequence[HistogramMatch],
    bundle: Path | None,
) -> Evaluation:
    """Returns the content of `evaluation.json`; every case is in `cases`, `missing` or `refused`.

    Args:
        results: one per case.
        files: of the same cases, in the same order.
        collected: what the results hold together.
        output: folder of `evaluation.json`; paths are relative to it.
        settings: options of the run.
        matches: histogram matches of the bundles; several where the cases of each fold have their own.
        bundle: folder of the bundle, for its loss curves, pictures and recipe.

    Raises:
        InputRefused: `BUNDLE_FILE` when loss curves, pictures or the recipe of the bundle cannot be read.
    """
    done = [(result, one) for result, one in zip(results, files, strict=True) if result.state == EVALUATED]
    segmenters = (*SEGMENTERS, *settings.more_segmenters) if settings.is_segmented else ()
    return Evaluation(
        voxlate_version=__version__,
        protocols=[
            *(
                ProtocolDefinition(name=name, definition=_definition(name, settings, matches))
                for name in settings.protocols
            ),
            *([enhancement_protocol()] if _has_agent(done) else []),
            *(tissue_protocol(name) for name in segmenters),
        ],
        data_kind=settings.data_kind,
        unit=settings.unit,
        direction=_direction([result for result, _ in done]),
        methods=_methods([result for result, _ in done], matches),
        cases=[_evaluated_case(result, one, output, collected.factors) for result, one in done],
        summary=collected.table.summarize(),
        comparisons=collected.table.compare(),
        primary=Primary(
            protocol=settings.protocols[0],
            intensity=AS_WRITTEN,
            region=PRIMARY_REGION,
            metrics=list(PRIMARY_METRICS),
        ),
        oracle=_oracle(done, settings),
        lesions=[*collected.lesions, *summarize_lesions(collected.lesions)],
        volumes=[*collected.volumes, *volume_agreement(collected.volumes)],
        left_out=[LeftOut(case=result.case, **entry) for result, _ in done for entry in result.content["left_out"]],
        missing=[Missing(case=r.case, reason=r.content["reason"]) for r in results if r.state == MISSING],
        refused=[
            Refused(case=r.case, code=r.content["code"], message=r.content["message"])
            for r in results
            if r.state == REFUSED
        ],
        history=_of_bundle(bundle, HISTORY_FILE, History),
        network_pictures=_of_bundle(bundle, PICTURES_FILE, NetworkPictures),
        model=read_model_facts(bundle),
    )


def _methods(results: Sequence[CaseResult], matches: Sequence[HistogramMatch]) -> list[str]:
    """Returns the methods of the run in the order of every table; those that any case has, where there is a case."""
    present = {name for result in results for name in result.content["methods"]}
    known = [name for name in METHODS if matches or name not in OF_BUNDLE]
    return [name for name in known if name in present] if present else known


def _has_agent(done: Sequence[tuple[CaseResult, CaseFiles]]) -> bool:
    """Returns whether the task of any case removes or adds a contrast agent."""
    return any(AgentDirection.of(result.content["task"]) is not None for result, _ in done)


def _oracle(done: Sequence[tuple[CaseResult, CaseFiles]], settings: Settings) -> Oracle | None:
    """Returns the RMSE beside the lowest possible one; None unless the truth of a simulation states the latter."""
    if settings.factors is None or not settings.factors.is_dir() or "voxlate" not in settings.protocols:
        return None
    target = _direction([result for result, _ in done]).target
    errors = oracle_errors(settings.factors, [files.case for _, files in done], target)
    ours = {result.case: result.content["rmse_percent"] for result, _ in done if "rmse_percent" in result.content}
    return compare_with_oracle(errors, ours)


def _definition(name: str, settings: Settings, matches: Sequence[HistogramMatch]) -> str:
    """Returns the definition of a protocol with the unit, the mask and the baselines of this run."""
    unit = (
        "relative units (each image divided by its reference level, that of the synthetic one as its bundle stated it)"
        if settings.is_relative
        else f"{settings.unit}, L = {settings.data_range:g}"
    )
    masks = "mask: the file given, else the non-zero regions of source and target intersected"
    matched = (
        f"histogram match fitted on {_range([match.n_cases for match in matches])} training cases"
        f"{' of each fold' if len(matches) > 1 else ''}, constant the median of their targets "
        f"({_range([match.target_median for match in matches])})"
        if matches
        else "no histogram match and no constant, as no bundle was given that holds their training cases"
        if settings.is_relative
        else "no histogram match and no constant, as those of bundles are fitted in relative units"
    )
    return f"{PROTOCOLS[name].definition} Compared in {unit}; {masks}; {matched}; {_BLURRED}."


def _range(values: Sequence[float]) -> str:
    """Returns the range of counts, or of numbers with three digits; one value if the ends are equal."""
    ends = dict.fromkeys(str(end) if isinstance(end, int) else f"{end:.3g}" for end in (min(values), max(values)))
    return " to ".join(ends)


def _direction(results: Sequence[CaseResult]) -> Direction:
    """Returns the contrasts that all cases state in their task (`T1ce to T1nce`), or the defaults if they differ."""
    tasks = {result.content["task"] for result in results}
    source, separator, target = (tasks.pop() if len(tasks) == 1 else "").partition(" to ")
    return Direction(source=source, target=target) if separator else Direction()


def _evaluated_case(result: CaseResult, files: CaseFiles, output: Path, factors: Factors) -> EvaluatedCase:
    given = {role: Path(os.path.relpath(path, output)).as_posix() for role, path in files.inputs.items()}
    return EvaluatedCase(
        case=result.case,
        patient=result.patient,
        paths=Paths.model_validate(given),
        reference_level=Levels.model_validate(result.content["reference_level"]),
        display_range=result.content["display_range"],
        subgroups=factors.of(files.case),
        unusual_score=result.content.get("unusual_score"),
    )


def _of_bundle(bundle: Path | None, name: str, model: type[Document]) -> Document | None:
    """Returns the content of a JSON file of the bundle; None without the file."""
    path = None if bundle is None else bundle / name
    if path is None or not path.is_file():
        return None
    try:
        return model.model_validate(read_json(path))
    except ValidationError as error:
        detail = error.errors()[0]["msg"]
        raise InputRefused("BUNDLE_FILE", f"{path.name} of the bundle: {detail}; train the bundle again") from error
    except ValueError as error:
        raise InputRefused("BUNDLE_FILE", f"{path.name} of the bundle is not JSON; train the bundle again") from error
