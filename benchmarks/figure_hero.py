"""Draws docs/images/hero.png: contrast agent removed from two real scans by models that have not seen them.

    python benchmarks/bench_fine_tuning.py      # trains and translates
    python benchmarks/figure_hero.py

The two pairs of the development data under CC BY: TCGA-FG-6692 (glioma; TCIA, TCGA-LGG, CC BY 3.0) and MS_ljubljana_07
(multiple sclerosis; Lesjak et al. 2017, CC BY). `t1ce-to-t1` is the model of the fold in which the pair was left out.
"""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from bench_fine_tuning import RUN
from machine import HELD_OUT, ROOT, development_data, pair_cases

from voxlate.reporting.figures.drawing import save
from voxlate.reporting.figures.montage import draw_montage
from voxlate.reporting.figures.montage_layout import Layout
from voxlate.reporting.figures.montage_rows import Column, Row, with_reference_levels

CASES = {"TCGA-FG-6692_sri24": "glioma", "MS_ljubljana_07": "MS"}
"""The pairs whose licence lets pictures be published, and what the patient has."""
SOURCE, TARGET = Column("T1 with contrast agent", "source"), Column("T1 without", "target")
SYSTEMS = {"zero_shot": Column("simulated heads alone"), "shipped": Column("and six real pairs")}
COLUMNS = [SOURCE, *SYSTEMS.values(), TARGET]


def row_of(pairs: Path, name: str) -> Row:
    """Returns source, target and both answers of a pair that neither model has seen."""
    case = next(case for case in pair_cases(pairs) if case.case == name)
    fold = next(index for index, names in enumerate(HELD_OUT) if name in names)
    images = {SOURCE.name: case.source, TARGET.name: case.target} | {
        column.name: RUN / "synthetic" / key / f"fold-{fold}" / f"{name}.nii.gz" for key, column in SYSTEMS.items()
    }
    return with_reference_levels(Row(CASES[name], images, labels=case.labels), COLUMNS)


def main() -> None:
    pairs = development_data("pairs")
    if pairs is None:
        return
    rows = [row_of(pairs, name) for name in CASES]
    layout = Layout(has_contour=False, width_in=9)
    drawing = draw_montage(rows, COLUMNS, data_kind="real", unit="relative units", layout=layout)
    with TemporaryDirectory() as folder:
        picture, *_ = save(drawing, Path(folder) / "hero")
        (ROOT / "docs" / "images" / "hero.png").write_bytes(picture.read_bytes())


if __name__ == "__main__":
    main()
