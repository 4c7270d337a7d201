"""What an earlier evaluation in a folder was of, so that another one does not replace it unasked."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from voxlate.cases import Case
from voxlate.errors import UsageError
from voxlate.evaluation.cases.result import SYNTHETIC_SHA256
from voxlate.evaluation.run import CASES
from voxlate.evaluation.schema.results import EVALUATION
from voxlate.io.atomic import sha256
from voxlate.io.documents import MAX_TABLE_BYTES, read_json, read_object


def require_same_images(output: Path, cases: Sequence[Case], synthetic: Path) -> None:
    """Refuses to replace an evaluation of other images.

    An evaluation of the same images, or of some of them or more of them, is the same one, which goes on.

    Args:
        output: folder of the evaluation, which need not exist.
        cases: that would be evaluated.
        synthetic: folder of their synthetic images.

    Raises:
        UsageError: `OUTPUT_EXISTS`.
    """
    told = _other_images(output, cases, synthetic)
    if told:
        raise UsageError(
            "OUTPUT_EXISTS", f"{output.name} holds an evaluation of {told}; pass --overwrite, or name another folder"
        )


def _other_images(output: Path, cases: Sequence[Case], synthetic: Path) -> str:
    """Returns how an earlier evaluation is of other images; empty if it is not, or if there is none."""
    paths = {case: (output / image).resolve() for case, image in _images(output / EVALUATION).items()}
    if not paths or not cases:
        return ""
    if any(synthetic.resolve() not in path.parents for path in paths.values()):
        return f"images of another folder than {synthetic.name}"
    if not paths.keys() & {case.case for case in cases}:
        return f"{len(paths)} other cases"
    changed = [
        case
        for case, path in paths.items()
        if path.is_file() and _recorded(output / CASES / f"{case}.json") not in ("", sha256(path))
    ]
    return f"other images of {len(changed)} cases, such as {changed[0]}" if changed else ""


def _images(path: Path) -> dict[str, str]:
    """Returns the path of the synthetic image of each case of an evaluation; empty if it cannot be read."""
    try:
        content: Any = read_json(path, max_bytes=MAX_TABLE_BYTES)
        return {str(each["case"]): str(each["paths"]["synthetic"]) for each in content["cases"]}
    except (OSError, ValueError, LookupError, TypeError):
        return {}


def _recorded(path: Path) -> str:
    """Returns the hash of the image that a result was computed from; empty in results that do not state it."""
    return str(read_object(path).get(SYNTHETIC_SHA256, ""))
