"""The systems of a comparison: their names, folders and bundles, and whether a bundle saw the test patients."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from voxlate.cases import Case, require_case_name
from voxlate.errors import InputRefused, UsageError
from voxlate.evaluation.cases.scores import CURVE, METHODS
from voxlate.evaluation.tissues.volumes import RESCANNED, TARGET
from voxlate.evaluation.training_cases import seen_cases, starts_of, weights_sha256_of
from voxlate.io.documents import read_object
from voxlate.io.log import warn

RESERVED = frozenset({*METHODS, CURVE, RESCANNED, TARGET})
"""Names of baselines and references in every table; no system can have one."""

_MOST_NAMED = 5
"""Cases that a message names."""


@dataclass(frozen=True)
class System:
    """A system of a comparison.

    Attributes:
        name: as in every table, unique and safe as a folder.
        folder: of its synthetic images.
        bundles: bundles that made them; empty if unknown. A cross-validation has one per fold.
        folders: the folder of each case of a cross-validation.
        folds: the fold of each case of a cross-validation, from 0.
        case_bundles: the bundle of the fold of each case, where it is there.
    """

    name: str
    folder: Path
    bundles: tuple[Path, ...] = ()
    folders: Mapping[str, Path] = field(default_factory=dict, hash=False)
    folds: Mapping[str, int] = field(default_factory=dict, hash=False)
    case_bundles: Mapping[str, Path] = field(default_factory=dict, hash=False)


def require_names(names: Iterable[str]) -> None:
    """Refuses names of systems that tables or folders cannot hold.

    Raises:
        UsageError: `SYSTEM_NAME` for a name that is not valid or is that of a baseline, `SYSTEM_TWICE`.
    """
    seen: set[str] = set()
    for name in names:
        try:
            require_case_name(name)
        except InputRefused as error:
            raise UsageError(
                "SYSTEM_NAME", f"{name!r} is not a valid name of a system; use letters, digits, '-' and '_'"
            ) from error
        if name in RESERVED:
            raise UsageError("SYSTEM_NAME", f"{name!r} is the name of a baseline or reference; choose another")
        # Folders of some file systems do not tell the case of letters; figures print blanks for underscores.
        shown = name.casefold().replace("_", " ")
        if shown in seen:
            raise UsageError("SYSTEM_TWICE", f"two systems are named {name!r} or nearly so; give each its own name")
        seen.add(shown)


def require_unseen(system: str, bundle: Path, cases: Sequence[Case]) -> None:
    """Refuses test cases whose patients the bundle was trained or chosen on.

    Args:
        system: its name.
        bundle: folder of the bundle.
        cases: that the bundle is tested on.

    Raises:
        InputRefused: `TRAINED_ON_TEST`.
    """
    fault = _seen(system, bundle, cases)
    if fault:
        raise InputRefused("TRAINED_ON_TEST", f"{fault}; test it on others, or pass --allow-training-cases")


def flag_seen(bundle: Path, cases: Sequence[Case]) -> None:
    """Warns with `TRAINED_ON_TEST` where cases are of patients that the one model evaluated was trained or chosen on.

    Args:
        bundle: folder of its bundle.
        cases: that it is tested on.
    """
    fault = _seen("the model", bundle, cases)
    if fault:
        warn("TRAINED_ON_TEST", f"{fault}; the scores say nothing of other patients: test it on others")


def _seen(system: str, bundle: Path, cases: Sequence[Case]) -> str:
    """Returns which cases are of patients that a bundle was trained or chosen on, or "" for none."""
    seen = seen_cases(bundle, cases)
    starts = "".join(f", which began with the weights of {start.told}," for start in starts_of(bundle)[:1])
    told = f"{system}{starts} was trained or chosen on the patients of {len(seen)} of {len(cases)} cases"
    return f"{told} ({_listed(seen)})" if seen else ""


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
    return f"{', '.join(names[:_MOST_NAMED])}{more}"


def require_made_by(system: str, bundles: Sequence[Path], images: Mapping[str, Path]) -> None:
    """Refuses images whose sidecars state another model than the bundles that are said to have made them.

    An image of an ensemble is of each of its members. Images without a sidecar, or whose sidecar states no model, pass.

    Args:
        system: its name.
        bundles: folders of its bundles; the folder of a network outside voxlate has no manifest and is not compared.
        images: the folder of the synthetic image of each case.

    Raises:
        InputRefused: `OTHER_MODEL`.
    """
    known = {hash_ for bundle in bundles if (hash_ := weights_sha256_of(bundle))}
    if not known:
        return
    stated = {case: _models_of(folder / f"{case}.json") for case, folder in images.items()}
    others = [case for case, models in stated.items() if models and not known.intersection(models)]
    if others:
        raise InputRefused(
            "OTHER_MODEL",
            f"{len(others)} of {len(images)} images were not made by {system} ({_listed(others)}): a sidecar states "
            f"the weights {stated[others[0]][0][:12]}, the model has {sorted(known)[0][:12]}; pass with -m the model "
            "that made them, leave -m out, or translate again",
        )


def _models_of(sidecar: Path) -> list[str]:
    """Returns the hashes of the weights of the model, and of the members of an ensemble, that a sidecar states."""
    synthetic = read_object(sidecar).get("Synthetic")
    if not isinstance(synthetic, dict):
        return []
    members = synthetic.get("Members")
    models = [synthetic.get("ModelSHA256"), *(members if isinstance(members, list) else [])]
    return [model for model in models if isinstance(model, str)]
