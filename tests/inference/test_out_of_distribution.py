"""A scan unlike the training scans is refused, flagged or accepted, as the option `gate` says."""

from dataclasses import replace

import numpy as np
import pytest
from phantoms import head

from voxlate.bundle.ensemble import join_bundles
from voxlate.bundle.out_of_distribution import OutOfDistributionScore, describe, fit_training_statistics
from voxlate.errors import InputRefused
from voxlate.inference.files import provenance
from voxlate.inference.translate import Options, translate_volume
from voxlate.io.atomic import write_json
from voxlate.io.nifti import write_volume
from voxlate.io.scans import read_scan
from voxlate.jobs.batch import write_table
from voxlate.jobs.ledger import Ledger
from voxlate.preparation import fit_preparation


def described(scan, bundle):
    preparation = fit_preparation(scan, None, bundle.recipe.preparation)
    return describe(preparation.apply(scan).data, preparation.mask)


@pytest.fixture
def knowing(bundle):
    return replace(
        bundle,
        training_statistics=fit_training_statistics([described(head(k, shape=(19, 21, 18)), bundle) for k in range(6)]),
    )


@pytest.fixture
def strange():
    scan = head(9, shape=(19, 21, 18))
    values = np.where(scan.data > 0, scan.data + 5000.0 * (scan.data > np.median(scan.data[scan.data > 0])), 0)
    return scan.with_data(values)


def test_a_strange_scan_is_refused_flagged_or_let_through(knowing, strange, caplog):
    with pytest.raises(InputRefused, match=r"INPUT_UNKNOWN .* times as far .* --ood flag"):
        translate_volume(knowing, strange)
    flagged = translate_volume(knowing, strange, options=Options(gate="flag"))
    assert (flagged.distance.verdict, flagged.flag) == ("unknown", "INPUT_UNUSUAL")
    assert "INPUT_UNUSUAL" in caplog.text
    assert translate_volume(knowing, strange, options=Options(gate="off")).distance is None


def test_the_warning_of_a_score_just_above_1_does_not_write_1():
    scores = {"intensities": 1.03, "shape": 0.2, "pattern": 0.4}
    reason = OutOfDistributionScore(1.03, "unusual", scores).reason
    assert reason.startswith("the distribution of its intensities is 1.03 times as far from the training scans")


def test_the_ledger_names_what_is_done_but_to_be_looked_at(tmp_path):
    (tmp_path / "names.txt").write_text("a\nb\n")
    ledger = Ledger(tmp_path)
    ledger.add("a", "done", files={"a.nii.gz": "0"}, flag="INPUT_UNUSUAL")
    ledger.add("b", "done", files={"b.nii.gz": "0"}, flag="")
    ledger.close()
    write_table(tmp_path)
    rows = [row.split("\t") for row in (tmp_path / "ledger.tsv").read_text().splitlines()]
    assert [row[rows[0].index("flag")] for row in rows[1:]] == ["INPUT_UNUSUAL", ""]


def test_a_scan_of_the_same_kind_passes_and_the_sidecar_says_so(knowing):
    synthesis = translate_volume(knowing, head(12, shape=(19, 21, 18)))
    told = provenance(knowing, synthesis, input_sha256="0", options=Options())["Synthetic"]["QC"]["Gate"]
    assert told["verdict"] in ("known", "unusual")
    assert told["score"] == pytest.approx(synthesis.distance.score)


def test_an_ensemble_asks_the_member_that_knows_it_best(knowing, bundle, strange):
    joined = join_bundles(
        [knowing, replace(knowing, training_statistics=fit_training_statistics([described(strange, bundle)] * 6))]
    )
    assert translate_volume(joined, strange).distance.verdict == "known"


def test_a_file_whose_sidecar_says_synthetic_is_not_translated(tmp_path):
    write_volume(tmp_path / "s.nii.gz", head(1, shape=(9, 10, 11)))
    write_json(tmp_path / "s.json", {"Synthetic": {"IsSynthetic": True}})
    with pytest.raises(InputRefused, match="ALREADY_SYNTHETIC"):
        read_scan(tmp_path / "s.nii.gz")
    write_json(tmp_path / "s.json", {"EchoTime": 0.003})
    read_scan(tmp_path / "s.nii.gz")
