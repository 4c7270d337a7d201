"""What the sidecar says of the unit in which the network answered, and that each of its keys is documented."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from phantoms import head

from voxlate.inference.files import provenance
from voxlate.inference.translate import Options, translate_volume


def test_the_sidecar_of_a_network_in_shares_of_a_whole_range_tells_its_answer_from_the_written_values(bundle):
    """Bottani et al. compare the answer itself; value / Level − Offset must be what the network said."""
    synthesis = translate_volume(bundle, head(3, shape=(19, 21, 18)))
    plain = provenance(bundle, synthesis, input_sha256="0", options=Options())["Synthetic"]
    assert "IntensityUnit" not in plain  # the median of the brain: ReferenceLevel says all
    frame = bundle.recipe.preparation.model_copy(update={"frame": "t1_linear", "reference": "min_max"})
    whole = replace(bundle, recipe=bundle.recipe.model_copy(update={"preparation": frame}))
    whole = replace(whole, mapping=replace(bundle.mapping, gain=2.0, offset=0.25))
    unit = provenance(whole, synthesis, input_sha256="0", options=Options())["Synthetic"]["IntensityUnit"]
    answer = np.float64([0.0, 0.5, 1.0])
    written = (answer + 0.25) * synthesis.source_level * 2.0  # as `Preparation.invert` does
    assert written / unit["Level"] - unit["Offset"] == pytest.approx(answer)
    assert unit["Reference"] == "min_max"


def test_the_page_of_the_sidecar_explains_every_key_and_no_other(bundle):
    synthesis = translate_volume(bundle, head(3, shape=(19, 21, 18)))
    content = provenance(bundle, synthesis, input_sha256="0", options=Options())
    written = {*content, *content["Synthetic"], *content["Synthetic"]["QC"]}
    page = Path(__file__).resolve().parents[2] / "docs" / "reference" / "sidecar.md"
    rows = [line.split("|")[1] for line in page.read_text().splitlines() if line.startswith("| `")]
    explained = {key for cell in rows for key in re.findall("`([A-Za-z0-9]+)`", cell)}
    # Of a bundle of BIDS, of an uncertainty, of several sources, of a target with agent, of a whole range.
    of_others = {
        "Sources",
        "SpatialReference",
        "Calibration",
        "MoreSources",
        "ContrastBolusIngredient",
        "IntensityUnit",
    }
    assert explained - of_others == written - of_others
    assert of_others <= explained
