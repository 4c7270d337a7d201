import errno
import json
import os
from dataclasses import replace

import nibabel as nib
import numpy as np
import pytest
import torch
from phantoms import head

from voxlate.errors import CannotWrite, InputRefused, NoInput, TemporaryFailure, UsageError
from voxlate.inference.batch import summary, translate_many
from voxlate.inference.devices import choose_device, device_of_worker
from voxlate.inference.files import translate_file
from voxlate.inference.inputs import holds_nifti, items_in_folder
from voxlate.inference.item import Item
from voxlate.inference.translate import Options, translate_volume
from voxlate.io.atomic import sha256
from voxlate.io.nifti import is_marked_synthetic, read_volume, sidecar_path, write_volume
from voxlate.jobs.states import count_states
from voxlate.reference_level import reference_level
from voxlate.volume import Volume


def test_the_identity_returns_the_source_times_the_learned_gain_on_its_own_grid(bundle, oblique):
    synthesis = translate_volume(bundle, oblique)
    assert np.allclose(synthesis.volume.data, 2.5 * oblique.data, rtol=1e-5)
    assert synthesis.volume.grid.matches(oblique.grid, tolerance_mm=0)
    assert synthesis.volume.shows == "T1nce"
    assert synthesis.source_level == reference_level(oblique.data, oblique.data > 0)
    assert synthesis.reference_level == pytest.approx(2.5 * synthesis.source_level)


def test_the_answer_is_the_same_at_once_and_in_windows(bundle, scan):
    for parameter in bundle.network.parameters():
        torch.nn.init.normal_(parameter, std=0.02)
    whole = translate_volume(bundle, scan).volume.data
    inference = bundle.recipe.inference.model_copy(update={"window": (16, 16, 16), "overlap": 0.5})
    windowed = type(bundle)(**(vars(bundle) | {"recipe": bundle.recipe.model_copy(update={"inference": inference})}))
    parts = translate_volume(windowed, scan).volume.data
    inside = scan.data > 0
    error = np.abs(parts - whole)[inside].mean() / np.abs(whole - 2.5 * scan.data)[inside].mean()
    assert error < 0.5
    assert not np.allclose(whole, 2.5 * scan.data)


def test_a_magnitude_image_stays_at_or_above_zero(bundle, scan):
    torch.nn.init.constant_(bundle.network.head.bias, -3.0)
    assert translate_volume(bundle, scan).volume.data.min() == 0


def test_a_mask_limits_what_is_translated(bundle, scan):
    inner = np.zeros(scan.data.shape)
    inner[8:13, 10:15, 9:14] = 1
    synthesis = translate_volume(bundle, scan, scan.with_data(inner))
    assert np.array_equal(synthesis.volume.data > 0, inner > 0)
    assert synthesis.brain_voxels == 125


@pytest.mark.parametrize(("spacing", "voxels"), [(1.0, None), (1.45, None), (0.73, None), (2.0, 1.0), (0.4, 0.9)])
def test_voxels_of_a_size_never_seen_are_resampled_to_one_that_was(bundle, spacing, voxels):
    scan = head(0, affine=np.diag([1.0, spacing, 1.0, 1.0]))
    made = translate_volume(bundle, scan)
    assert made.volume.grid.matches(scan.grid)
    assert made.voxels_mm == (None if voxels is None else pytest.approx((1.0, voxels, 1.0)))
    assert translate_volume(bundle, scan, options=Options(keep_spacing=True)).voxels_mm is None


def test_a_thick_slice_is_translated_as_if_its_voxels_were_those_of_training(bundle):
    scan = head(0, affine=np.diag([1.0, 1.0, 3.0, 1.0]))
    resampled, kept = (translate_volume(bundle, scan, options=Options(keep_spacing=keep)) for keep in (False, True))
    assert resampled.voxels_mm == pytest.approx((1.0, 1.0, 1.0))
    assert np.allclose(resampled.volume.data, kept.volume.data, rtol=1e-4)  # this network treats each voxel by itself
    assert np.array_equal(resampled.volume.data > 0, kept.volume.data > 0)


@pytest.mark.parametrize("spacing", [10.0, 0.1])
def test_voxels_that_no_resampling_makes_into_those_of_training_are_refused_unless_kept(bundle, spacing):
    scan = head(0, affine=np.diag([1.0, spacing, 1.0, 1.0]))
    with pytest.raises(InputRefused, match=r"SPACING_UNSEEN the scan: voxels of .* trained on 0\.9 to 1\.2 mm"):
        translate_volume(bundle, scan)
    translate_volume(bundle, scan, options=Options(keep_spacing=True))


def test_a_scan_that_would_not_fit_into_memory_at_the_voxels_of_training_is_refused_before_it_is_resampled(bundle):
    scan = head(0, shape=(42, 44, 40), affine=np.diag([7.0, 7.0, 7.0, 1.0]))
    with pytest.raises(TemporaryFailure, match=r"MEMORY the scan: .* voxels take"):
        translate_volume(bundle, scan, options=Options(memory_gib=1.2))


def test_a_file_gets_the_source_s_grid_and_type_and_a_sidecar_that_says_it_is_synthetic(bundle, oblique, tmp_path):
    source, output = tmp_path / "in" / "t1ce.nii.gz", tmp_path / "out" / "x.nii.gz"
    write_volume(source, oblique.with_data(np.round(oblique.data)), dtype="int16")
    translate_file(bundle, source, output)
    before, after = nib.load(source), nib.load(output)
    assert after.shape == before.shape
    assert np.allclose(after.affine, before.affine, atol=1e-5)
    assert after.get_data_dtype() == np.int16
    assert np.allclose(after.get_fdata(), 2.5 * before.get_fdata(), atol=0.51)
    sidecar = json.loads((tmp_path / "out" / "x.json").read_text())
    synthetic = sidecar["Synthetic"]
    assert synthetic["IsSynthetic"] is True
    assert synthetic["InputSHA256"] == sha256(source)
    assert synthetic["ReferenceLevel"] == pytest.approx(2.5 * synthetic["SourceReferenceLevel"])
    assert "Not for diagnosis" in sidecar["Description"]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["x.json", "x.nii.gz"]


def test_the_same_scan_and_bundle_give_the_same_bytes(bundle, scan, tmp_path):
    write_volume(tmp_path / "s.nii.gz", scan)
    for name in ("a", "b"):
        translate_file(bundle, tmp_path / "s.nii.gz", tmp_path / name / "x.nii.gz")
    for file in ("x.nii.gz", "x.json"):
        assert sha256(tmp_path / "a" / file) == sha256(tmp_path / "b" / file)


def test_a_full_disk_leaves_nothing_and_keeps_what_was_there(bundle, scan, tmp_path, monkeypatch):
    write_volume(tmp_path / "s.nii.gz", scan)
    out = tmp_path / "out"
    translate_file(bundle, tmp_path / "s.nii.gz", out / "x.nii.gz")
    before = sha256(out / "x.nii.gz")

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("voxlate.io.atomic.os.fsync", full)
    with pytest.raises(TemporaryFailure, match="IO"):
        translate_file(bundle, tmp_path / "s.nii.gz", out / "x.nii.gz", overwrite=True)
    assert sha256(out / "x.nii.gz") == before
    assert not list(out.glob(".partial*"))


def test_a_failed_overwrite_keeps_both_files(bundle, scan, tmp_path, monkeypatch):
    write_volume(tmp_path / "s.nii.gz", scan)
    output = tmp_path / "x.nii.gz"
    translate_file(bundle, tmp_path / "s.nii.gz", output)
    before = [sha256(output), sha256(tmp_path / "x.json")]
    monkeypatch.setattr("voxlate.io.nifti.write.gzip.GzipFile.writelines", _no_room)
    with pytest.raises(CannotWrite):
        translate_file(bundle, tmp_path / "s.nii.gz", output, overwrite=True)
    assert [sha256(output), sha256(tmp_path / "x.json")] == before


def _no_room(*_: object) -> None:
    raise OSError(errno.EFBIG, "File too large")


def test_nothing_is_overwritten_without_being_asked(bundle, scan, tmp_path):
    write_volume(tmp_path / "s.nii.gz", scan)
    translate_file(bundle, tmp_path / "s.nii.gz", tmp_path / "x.nii.gz")
    with pytest.raises(UsageError, match=r"OUTPUT_EXISTS .*--overwrite"):
        translate_file(bundle, tmp_path / "s.nii.gz", tmp_path / "x.nii.gz")
    translate_file(bundle, tmp_path / "s.nii.gz", tmp_path / "x.nii.gz", overwrite=True)


def test_a_sidecar_of_another_file_is_kept_and_one_left_by_voxlate_replaced(bundle, scan, tmp_path):
    write_volume(tmp_path / "s.nii.gz", scan)
    notes = tmp_path / "x.json"
    for text in ('{"EchoTime": 0.003}', "[1]", "no JSON"):
        notes.write_text(text)
        with pytest.raises(UsageError, match=r"OUTPUT_EXISTS x\.json exists already"):
            translate_file(bundle, tmp_path / "s.nii.gz", tmp_path / "x.nii.gz")
        assert notes.read_text() == text
    notes.write_text('{"Synthetic": {"IsSynthetic": true}}')
    translate_file(bundle, tmp_path / "s.nii.gz", tmp_path / "x.nii.gz")
    assert "ModelSHA256" in notes.read_text()


def test_an_output_never_gets_the_sidecar_of_its_source(bundle, scan, tmp_path):
    write_volume(tmp_path / "s.nii.gz", scan)
    with pytest.raises(UsageError, match=r"OUTPUT_IS_INPUT .*sidecar s\.json"):
        translate_file(bundle, tmp_path / "s.nii.gz", tmp_path / "s.nii", overwrite=True)
    with pytest.raises(UsageError, match=r"OUTPUT_IS_INPUT .*sidecar x\.json"):
        translate_file(bundle, tmp_path / "s.nii.gz", tmp_path / "x.nii", spread=tmp_path / "x.nii.gz")
    assert not [path for path in tmp_path.iterdir() if path.name in ("s.json", "s.nii", "x.json", "x.nii")]


@pytest.mark.parametrize("spoil", ["no sidecar", "renamed", "UTF-16", "a text for true", "no header mark"])
def test_a_synthetic_image_is_never_translated_by_whichever_mark_is_left(bundle, scan, tmp_path, spoil):
    write_volume(tmp_path / "s.nii.gz", scan)
    output, sidecar = tmp_path / "x.nii.gz", tmp_path / "x.json"
    translate_file(bundle, tmp_path / "s.nii.gz", output)
    code = "ALREADY_SYNTHETIC"
    if spoil == "no sidecar":
        sidecar.unlink()
    elif spoil == "renamed":
        output = output.rename(tmp_path / "real.nii.gz")
    else:
        write_volume(output, read_volume(output))  # without the mark in the header
        code = "ALREADY_SYNTHETIC" if spoil == "no header mark" else "SIDECAR"
        if spoil == "UTF-16":
            sidecar.write_bytes(sidecar.read_text().encode("utf-16"))
        if spoil == "a text for true":
            sidecar.write_text('{"Synthetic": {"IsSynthetic": "true"}}')
    with pytest.raises(InputRefused, match=code):
        translate_file(bundle, output, tmp_path / "again.nii.gz")


def test_the_header_of_a_synthetic_image_says_so_for_people_and_programs(bundle, scan, tmp_path):
    write_volume(tmp_path / "s.nii.gz", scan)
    translate_file(bundle, tmp_path / "s.nii.gz", tmp_path / "x.nii.gz")
    header = nib.load(tmp_path / "x.nii.gz").header
    assert bytes(header["intent_name"]).rstrip(b"\0") == b"SYNTHETIC"
    assert bytes(header["descrip"]).startswith(b"SYNTHETIC, not for diagnosis; tiny ")
    assert is_marked_synthetic(tmp_path / "x.nii.gz")
    assert not is_marked_synthetic(tmp_path / "s.nii.gz")


@pytest.mark.parametrize("place", ["input", "sidecar", "mask"])
def test_a_pipe_or_a_device_is_refused_and_never_waited_for(bundle, scan, tmp_path, place):
    path = tmp_path / "s.nii.gz"
    write_volume(path, scan)
    item = Item("s", path)
    if place == "input":
        os.mkfifo(tmp_path / "pipe.nii.gz")
        item = Item("s", tmp_path / "pipe.nii.gz")
    elif place == "sidecar":
        (tmp_path / "s.json").symlink_to("/dev/zero")
    else:
        os.mkfifo(tmp_path / "m.nii.gz")
        item = Item("s", path, tmp_path / "m.nii.gz")
    with pytest.raises(InputRefused, match=r"UNREADABLE|SIDECAR"):
        translate_file(bundle, item, tmp_path / "x.nii.gz")


def test_a_scan_is_not_overwritten_by_its_own_translation(bundle, scan, tmp_path):
    path = tmp_path / "s.nii.gz"
    write_volume(path, scan)
    with pytest.raises(UsageError, match="OUTPUT_IS_INPUT"):
        translate_file(bundle, path, path)
    with pytest.raises(UsageError, match="OUTPUT_NAME"):
        translate_file(bundle, path, tmp_path / "x.mha")


def test_a_constant_scan_is_refused_and_leaves_nothing(bundle, tmp_path):
    data = np.zeros((12, 12, 12))
    data[3:9, 3:9, 3:9] = 7
    write_volume(tmp_path / "s.nii.gz", Volume(data, np.eye(4)))
    with pytest.raises(InputRefused, match="CONSTANT"):
        translate_file(bundle, tmp_path / "s.nii.gz", tmp_path / "out" / "x.nii.gz")
    assert not (tmp_path / "out").exists()


def test_in_is_done_plus_refused_plus_failed_and_the_others_go_on(bundle, scan, tmp_path):
    write_volume(tmp_path / "good.nii.gz", scan)
    write_volume(tmp_path / "also.nii", scan)
    (tmp_path / "bad.nii.gz").write_bytes((tmp_path / "good.nii.gz").read_bytes()[:400])
    outcomes = translate_many(bundle, items_in_folder(tmp_path), tmp_path / "out")
    counts = json.loads((tmp_path / "out" / "run.json").read_text())
    assert (counts["items"], counts["done"], counts["refused"], counts["failed"]) == (3, 2, 1, 0)
    assert counts["not_done"][0]["code"].startswith("GZIP")
    assert counts == summary(outcomes)
    assert count_states(o.state for o in outcomes).exit_status == 8
    assert count_states(o.state for o in outcomes if o.state == "refused").exit_status == 65
    assert count_states(o.state for o in outcomes if o.state == "done").exit_status == 0
    assert not (tmp_path / "out" / "bad.nii.gz").exists()


def test_scans_whose_names_end_in_capitals_are_found_and_lose_their_ending(bundle, scan, tmp_path):
    write_volume(tmp_path / "one.nii", scan)
    (tmp_path / "one.nii").rename(tmp_path / "ONE.NII")
    write_volume(tmp_path / "two.nii.gz", scan)
    (tmp_path / "two.nii.gz").rename(tmp_path / "Two.Nii.GZ")
    assert holds_nifti(tmp_path)
    assert [item.name for item in items_in_folder(tmp_path)] == ["ONE", "Two"]
    assert sidecar_path(tmp_path / "Two.Nii.GZ") == tmp_path / "Two.json"


def test_a_missing_scan_in_a_list_is_counted(bundle, tmp_path):
    outcomes = translate_many(bundle, [Item("gone", tmp_path / "gone.nii.gz")], tmp_path / "out")
    assert [(o.state, o.code) for o in outcomes] == [("refused", "NO_INPUT")]


def test_a_folder_without_scans_or_with_one_name_twice_is_refused(scan, tmp_path):
    with pytest.raises(NoInput):
        items_in_folder(tmp_path)
    write_volume(tmp_path / "a.nii.gz", scan)
    write_volume(tmp_path / "a.nii", scan)
    with pytest.raises(InputRefused, match="NAME_TWICE"):
        items_in_folder(tmp_path)


def test_a_device_that_is_not_there_is_refused_and_never_replaced():
    with pytest.raises(UsageError, match="DEVICE"):
        choose_device("cuda:99" if torch.cuda.is_available() else "cuda")
    with pytest.raises(UsageError, match="DEVICE"):
        choose_device("abacus")


@pytest.mark.parametrize(
    ("chosen", "gpus", "expected"),
    [
        ("cuda", 2, ["cuda:0", "cuda:1", "cuda:0"]),
        ("cuda", 1, ["cuda"] * 3),
        ("cuda:1", 2, ["cuda:1"] * 3),
        ("cpu", 2, ["cpu"] * 3),
    ],
)
def test_workers_take_the_gpus_in_turn_unless_a_device_is_named(monkeypatch, chosen, gpus, expected):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
    assert [device_of_worker(torch.device(chosen), worker) for worker in range(3)] == list(map(torch.device, expected))


def test_what_lies_below_the_zero_of_the_target_s_scale_is_kept(bundle, scan):
    clipped = translate_volume(bundle, scan).volume.data
    lowered = replace(bundle, network=torch.nn.Identity(), mapping=replace(bundle.mapping, offset=0.5))
    negative = type("Lower", (torch.nn.Module,), {"forward": lambda self, x: x - 1.2})()
    below = translate_volume(replace(lowered, network=negative), scan).volume.data
    assert clipped.min() == 0
    assert below.min() < 0


def test_an_output_that_is_any_of_the_inputs_is_refused(bundle, scan, tmp_path):
    for name in ("s", "m"):
        write_volume(tmp_path / f"{name}.nii.gz", scan)
    with pytest.raises(UsageError, match="OUTPUT_IS_INPUT"):
        translate_file(bundle, Item("s", tmp_path / "s.nii.gz", tmp_path / "m.nii.gz"), tmp_path / "m.nii.gz")
