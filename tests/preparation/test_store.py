"""What is fitted to a scan is kept, found again bit for bit, and never trusted once it is damaged."""

import logging
import multiprocessing
import os
import shutil
from collections import Counter
from dataclasses import asdict

import numpy as np
import pytest
from phantoms import head

from preparation.heads import simulated
from voxlate.errors import CannotWrite, InputRefused
from voxlate.preparation import PreparationSettings, fit_preparation, preprocessing
from voxlate.preparation import store as module
from voxlate.preparation.masks.brain_mask import BRAIN_MASKS
from voxlate.preparation.registration.alignment import AlignmentScore
from voxlate.preparation.registration.registration import Registration
from voxlate.preparation.registration.transform import Transform
from voxlate.preparation.steps import bias as bias_module
from voxlate.preparation.steps.bias import fit_bias
from voxlate.preparation.store import open_store
from voxlate.volume import Volume

SHAPE = (40, 44, 42)  # the ball in it has some 380 voxels of 4 mm, enough for a bias field


@pytest.fixture
def scan():
    return head(3, shape=SHAPE)


@pytest.fixture
def store(tmp_path):
    return open_store(tmp_path / "cache")


@pytest.fixture
def computed(monkeypatch):
    """Counts what is computed, with a registration, a brain mask and bias fields that take no time."""
    counts = Counter()

    def counted(name, function):
        def call(*args, **more):
            counts[name] += 1
            return function(*args, **more)

        monkeypatch.setattr(module, name, call)

    def registered(volume, mask):
        turn = Transform.rigid((1, 2, 3), 1 / 3, (0.1, -20 / 7, float(mask.sum()) / 3))
        return Registration(turn, AlignmentScore(1 / 3, 1.1, None, 0.1 + 0.2, "doubtful", ("low edges", "é")))

    monkeypatch.setattr(bias_module, "_ITERATIONS", (2, 2, 2))
    monkeypatch.setitem(BRAIN_MASKS, "deepbet", lambda volume: volume.data > 250)
    counted("find_brain", module.find_brain)
    counted("fit_coarse_bias", module.fit_coarse_bias)
    counted("to_template", registered)
    counted("better_orientation", lambda volume, mask: "S where the header says I" if mask[0, 0, 0] else None)
    return counts


def parts(store, scan):
    """Returns all that the store keeps of a scan, as plain values and bytes."""
    mask = store.find_brain(scan, "deepbet")
    bias = store.fit_bias(scan, scan.data > 0)
    registration = store.to_template(scan, mask)
    arrays = (mask, bias.values, registration.transform.matrix)
    turned = [store.better_orientation(scan, np.full(scan.data.shape, inside)) for inside in (False, True)]
    assert turned == [None, "S where the header says I"]
    return [(array.dtype, array.shape, array.tobytes()) for array in arrays], asdict(registration.score)


def files(store):
    return sorted(path for path in store.folder.rglob("*") if path.is_file())


def test_what_is_kept_comes_back_bit_for_bit_and_is_computed_once(store, scan, computed):
    first = parts(store, scan)
    assert parts(store, scan) == first
    assert parts(open_store(store.folder), scan) == first
    assert computed == {"find_brain": 1, "fit_coarse_bias": 1, "to_template": 1, "better_orientation": 2}
    assert first[0][1][2] == fit_bias(scan, scan.data > 0).values.tobytes()


def test_a_preparation_is_the_same_with_an_empty_store_a_full_one_and_none(store, scan, computed):
    settings = PreparationSettings(brain_mask="deepbet", bias=True)
    scan = Volume(scan.data, np.diag([3.0, 3.0, 3.0, 1.0]))  # as large as a brain
    target = scan.with_data(np.where(scan.data > 0, 1000 - scan.data, 0))
    results = []
    for chosen in (None, store, store):
        fitted = fit_preparation(scan, None, settings, store=chosen)
        results.append((fitted.apply(scan).data.tobytes(), fitted.apply_to_target(target)[0].data.tobytes()))
    assert results[0] == results[1] == results[2]
    assert computed["fit_coarse_bias"] == 2  # of the source and of the target, by the first run with the store
    assert computed["find_brain"] == 1


def test_a_scan_is_registered_to_the_template_once(store, scan, computed):
    transforms = [preprocessing._on_template(scan, scan.data > 0, store) for _ in range(2)]
    assert computed == {"to_template": 1, "better_orientation": 1}
    assert transforms[0].matrix.tobytes() == transforms[1].matrix.tobytes()


@pytest.mark.parametrize(
    "change", ["voxel", "affine", "mask", "control_mm", "version", "library", "algorithm", "part", "method"]
)
def test_a_key_changes_with_all_that_decides_the_result(scan, monkeypatch, change):
    part, mask, arguments = "bias", scan.data > 0, {"control_mm": 60.0}
    before = module._key(part, scan, mask, **arguments)
    assert module._key(part, Volume(scan.data.copy(), scan.affine, "T1", "float32"), mask, **arguments) == before
    if change == "voxel":
        data = scan.data.copy()
        data[20, 20, 20] = np.nextafter(data[20, 20, 20], np.float32(np.inf))
        scan = scan.with_data(data)
    elif change == "affine":
        affine = scan.affine.copy()
        affine[0, 3] += 1e-9
        scan = Volume(scan.data, affine)
    elif change == "mask":
        mask = mask.copy()
        mask[0, 0, 0] = True
    elif change == "version":
        monkeypatch.setattr(module, "__version__", "0.0.0")
    elif change == "library":
        monkeypatch.setattr(module, "_version", lambda name: "9.9" if name == "SimpleITK" else "1")
    elif change == "algorithm":
        monkeypatch.setattr(module, "_ALGORITHM", 2)
    elif change == "part":
        part = "template"
    else:
        arguments = {"control_mm": 61.0} if change == "control_mm" else {"method": "deepbet"}
    assert module._key(part, scan, mask, **arguments) != before


def test_no_part_is_taken_for_that_of_another_scan_mask_or_setting(store, scan, computed):
    inside = scan.data > 0
    whole = store.fit_bias(scan, inside)
    inner = inside & (np.indices(SHAPE)[0] < 24)
    for found, anew in (
        (store.fit_bias(scan, inner), fit_bias(scan, inner)),
        (store.fit_bias(scan, inside, control_mm=20), fit_bias(scan, inside, control_mm=20)),
    ):
        assert np.array_equal(found.values, anew.values)
        assert not np.array_equal(found.values, whole.values)
    assert computed["fit_coarse_bias"] == 3


def damaged_in(path, kind):
    whole = path.read_bytes()
    if kind == "truncated":
        path.write_bytes(whole[: len(whole) // 2])
    elif kind == "flipped":  # the last byte belongs to the numbers, where there are any
        path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    elif kind == "facts":
        path.write_bytes(
            whole.replace(b"mean", b"meal")
            .replace(b"doubtful", b"truthful")
            .replace(b"null", b"1234")
            .replace(b"says", b"said")
        )
    elif kind == "empty":
        path.write_bytes(b"")
    else:
        path.write_text("not a file of safetensors")


@pytest.mark.parametrize("kind", ["truncated", "flipped", "facts", "empty", "foreign"])
def test_a_damaged_entry_is_computed_again_and_replaced(store, scan, computed, kind):
    first = parts(store, scan)
    assert len(files(store)) == 5
    spoilt = [path for path in files(store) if kind != "facts" or path.parent.name != "brain"]  # a mask has no facts
    for path in spoilt:
        damaged_in(path, kind)
    for _ in range(2):
        assert parts(store, scan) == first
        assert sum(computed.values()) == 5 + len(spoilt)


def test_an_entry_under_the_name_of_another_one_is_not_trusted(store, scan, computed):
    other = head(4, shape=SHAPE)
    store.fit_bias(scan, scan.data > 0)
    store.fit_bias(other, other.data > 0)
    first, second = files(store)
    shutil.copyfile(first, second)
    for volume in (scan, other):
        assert np.array_equal(store.fit_bias(volume, volume.data > 0).values, fit_bias(volume, volume.data > 0).values)
    assert computed["fit_coarse_bias"] == 3


def test_two_processes_may_write_the_same_entry_at_once(store, scan, computed, monkeypatch):
    context = multiprocessing.get_context("fork")
    barrier, results = context.Barrier(2), context.Queue()
    original = module.fit_coarse_bias

    def together(*args, **more):
        found = original(*args, **more)
        barrier.wait(60)  # both have missed the entry, and both go on to write it
        return found

    monkeypatch.setattr(module, "fit_coarse_bias", together)

    def write() -> None:
        results.put(store.fit_bias(scan, scan.data > 0).values.tobytes())

    processes = [context.Process(target=write) for _ in range(2)]
    for process in processes:
        process.start()
    found = [results.get(timeout=60) for _ in processes]
    for process in processes:
        process.join(60)
        assert process.exitcode == 0
    assert found[0] == found[1] == store.fit_bias(scan, scan.data > 0).values.tobytes()
    assert len(files(store)) == 1
    assert not computed["fit_coarse_bias"]  # in this process


def test_the_folder_may_be_deleted_at_any_time(store, scan, computed):
    first = parts(store, scan)
    shutil.rmtree(store.folder)
    assert parts(store, scan) == first
    assert len(files(store)) == 5


def test_a_disk_that_takes_nothing_costs_the_entry_and_not_the_run(store, scan, computed, caplog):
    (store.folder / "bias").write_text("a file where a folder should be")
    with caplog.at_level(logging.WARNING, logger="voxlate"):
        found = store.fit_bias(scan, scan.data > 0)
    assert np.array_equal(found.values, fit_bias(scan, scan.data > 0).values)
    (record,) = caplog.records
    assert record.code == "CACHE_NOT_WRITTEN"
    assert "(bias) is not kept in the cache cache: File exists; free space" in record.message


def test_a_refusal_is_not_kept(store, scan):
    with pytest.raises(InputRefused, match="EMPTY_MASK"):
        store.fit_bias(scan, np.zeros(SHAPE, dtype=bool))
    assert files(store) == []


def test_a_mask_that_takes_no_time_to_find_is_not_kept(store, scan):
    assert store.find_brain(scan, "all").all()
    assert store.find_brain(scan, "nonzero").any()
    assert files(store) == []


def test_a_name_says_nothing_but_the_part_and_a_hash(store, scan, computed):
    parts(store, scan)
    names = [path.relative_to(store.folder).parts for path in files(store)]
    assert [part for part, _ in names] == ["bias", "brain", "orientation", "orientation", "template"]
    assert all(len(name) == 64 + len(".safetensors") and int(name[:64], 16) for _, name in names)


@pytest.mark.parametrize("place", ["file", "file/cache"])
def test_what_cannot_be_a_folder_is_refused_by_its_name(tmp_path, place):
    (tmp_path / "file").write_text("")
    with pytest.raises(CannotWrite, match=r"WRITE \w+") as caught:
        open_store(tmp_path / place)
    assert str(tmp_path) not in caught.value.message


def test_what_a_killed_run_left_is_removed_when_the_folder_is_opened(store):
    left = store.folder / "bias" / ".partial-0-0-x.safetensors"
    left.parent.mkdir()
    left.write_text("half")
    os.utime(left, (0, 0))
    open_store(store.folder)
    assert files(store) == []


@pytest.mark.slow
def test_a_head_prepared_from_the_store_equals_one_that_is_prepared_anew(store):
    source = simulated().images["T1ce"]
    target = simulated().images["T1w"]
    settings = PreparationSettings(frame="t1_linear", reference="min_max", bias=True, bias_control_mm=600)
    mask = simulated().truth.brain_mask
    results = []
    for chosen in (None, store, store):
        fitted = fit_preparation(source, mask, settings, store=chosen)
        results.append((fitted.apply(source).data.tobytes(), fitted.apply_to_target(target)[0].data.tobytes()))
    assert results[0] == results[1] == results[2]
    assert sorted(path.parent.name for path in files(store)) == ["bias", "bias", "orientation", "template"]
