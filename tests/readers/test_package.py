import hashlib
import json
import shutil

import nibabel
import numpy as np
import pytest

from voxlate.errors import InputRefused, NoInput, UsageError
from voxlate.io.documents import canonical_json
from voxlate.io.nifti import read_volume, write_volume
from voxlate.readers.encoding import encode_pair
from voxlate.readers.leaks import find_leaks, require_no_leak
from voxlate.readers.package import create_package, load_package
from voxlate.readers.study import Images, parse_study
from voxlate.volume import Volume

from .conftest import AFFINE, SHAPE, STUDY

IMAGES = Images(real="real", synthetic="synthetic")


def pair_of(package):
    by_case = {}
    for image, entry in package.key["images"].items():
        by_case.setdefault(entry["case"], {})[entry["version"]] = image
    return [(own["real"], own["synthetic"]) for own in by_case.values()]


def contents(package):
    return {image: package.image_path(image).read_bytes() for image in package.key["images"]}


def with_sources(sources, tmp_path):
    for name in ("real", "synthetic", "lesions"):
        shutil.copytree(sources / name, tmp_path / name)
    (tmp_path / "study.yaml").write_text(STUDY)
    return tmp_path


def test_both_versions_have_the_same_header_size_range_and_grid(package):
    files = contents(package)
    for real, synthetic in pair_of(package):
        assert files[real][:352] == files[synthetic][:352]
        assert len(files[real]) == len(files[synthetic])
        loaded = [np.asarray(nibabel.load(package.image_path(name)).dataobj) for name in (real, synthetic)]
        assert all((image.min(), image.max()) == (0, 63) for image in loaded)


def test_nothing_of_the_original_header_is_left(package):
    header = nibabel.load(package.image_path(pair_of(package)[0][0])).header
    assert header["descrip"].tobytes().strip(b"\0") == b""
    assert np.allclose(header.get_best_affine() @ [*(np.array(SHAPE) - 1) / 2, 1], [0, 0, 0, 1])
    assert np.all(np.diag(header.get_best_affine()) > 0)


def test_the_picture_keeps_its_orientation():
    data = np.zeros(SHAPE, dtype=np.float32)
    data[2:5, 3:7, 4:8] = np.arange(48, dtype=np.float32).reshape(3, 4, 4) + 1
    image = Volume(data, AFFINE)
    shown = encode_pair(image, image, case="a", mask=None, settings=IMAGES).real.data
    flipped = data[::-1, ::-1]
    assert np.array_equal(shown > 0, (flipped > np.percentile(data[data > 0], 0.5)))


def test_names_in_the_package_say_neither_case_nor_version(package):
    text = (package.folder / "allocation.json").read_text() + " ".join(p.name for p in package.folder.rglob("*.nii"))
    assert not any(word in text for word in ("case", "real", "synthetic/"))


@pytest.mark.parametrize(
    "plant",
    [
        pytest.param(lambda content: content[:148] + b"synthesised" + content[159:], id="header"),
        pytest.param(lambda content: content + b"\0", id="size"),
        pytest.param(lambda content: content[:352] + bytes(b & 0xFE for b in content[352:]), id="values"),
        pytest.param(lambda content: content[:352] + bytes(max(b, 1) for b in content[352:]), id="minimum"),
        pytest.param(lambda content: content[:352] + bytes(min(b, 62) for b in content[352:]), id="maximum"),
        pytest.param(lambda content: content[:352] + bytes(900) + content[1252:], id="share_lowest"),
    ],
)
def test_a_planted_leak_is_found(package, plant, request):
    files = contents(package)
    planted = {synthetic: plant(files[synthetic]) for _, synthetic in pair_of(package)}
    leaks = find_leaks(pair_of(package), (files | planted).__getitem__)
    assert request.node.callspec.id in {leak.feature for leak in leaks if leak.is_found}
    with pytest.raises(InputRefused, match=rf"LEAK.*{request.node.callspec.id}"):
        require_no_leak(leaks)


def test_a_version_that_loads_slower_is_a_leak(package):
    import time

    files, slow = contents(package), {synthetic for _, synthetic in pair_of(package)}

    def load(image):
        time.sleep(0.002 if image in slow else 0)
        return files[image]

    assert "load_time" in {leak.feature for leak in find_leaks(pair_of(package), load) if leak.is_found}


def test_a_study_whose_backgrounds_differ_is_not_made(sources, tmp_path):
    root = with_sources(sources, tmp_path)
    for path in (root / "synthetic").iterdir():
        image = nibabel.load(path)
        data = np.asarray(image.dataobj, dtype=np.float32).copy()
        data[:5] = data.min()
        write_volume(path, Volume(data, image.affine))
    with pytest.raises(InputRefused, match=r"LEAK.*share_lowest"):
        create_package(root / "study.yaml", root / "out")
    assert not (root / "out").exists()
    assert not list(root.glob(".partial*"))


def test_a_mask_makes_backgrounds_equal(sources, tmp_path):
    mask = np.zeros(SHAPE, dtype=np.float32)
    mask[4:12, 4:12, 4:12] = 1
    image = Volume(np.random.default_rng(0).normal(100, 20, SHAPE), AFFINE)
    other = image.with_data(np.where(mask > 0, image.data, 0))
    pair = encode_pair(image, other, case="a", mask=Volume(mask, AFFINE), settings=IMAGES)
    assert np.array_equal(pair.real.data, pair.synthetic.data)


def test_images_of_different_grids_are_refused(sources, tmp_path):
    root = with_sources(sources, tmp_path)
    write_volume(root / "synthetic" / "case3.nii.gz", Volume(np.ones((16, 18, 15)), AFFINE))
    with pytest.raises(InputRefused, match="GRID_MISMATCH case3"):
        create_package(root / "study.yaml", root / "out")
    assert not (root / "out").exists()


def test_a_missing_volume_is_named(sources, tmp_path):
    root = with_sources(sources, tmp_path)
    (root / "synthetic" / "case5.nii.gz").unlink()
    with pytest.raises(NoInput, match=r"case5: no case5\.nii\.gz in synthetic"):
        create_package(root / "study.yaml", root / "out")


def test_a_frozen_study_is_not_written_over(sources, folder):
    with pytest.raises(UsageError, match="EXISTS"):
        create_package(sources / "study.yaml", folder)


@pytest.mark.parametrize("file", ["study.json", "allocation.json", "key.json"])
def test_a_study_that_was_changed_after_freezing_is_refused(folder, file):
    content = json.loads((folder / file).read_text())
    if file == "study.json":
        content["alpha"] = 0.2
    elif file == "allocation.json":
        content["anna"].reverse()
    else:
        entry = next(iter(content["images"].values()))
        entry["version"] = "real" if entry["version"] == "synthetic" else "synthetic"
    (folder / file).write_text(json.dumps(content))
    with pytest.raises(InputRefused, match="PROTOCOL_CHANGED"):
        load_package(folder)


def test_an_image_that_was_changed_after_freezing_is_refused(folder):
    image = next((folder / "images").iterdir())
    image.write_bytes(image.read_bytes()[:-1] + b"\7")
    with pytest.raises(InputRefused, match="PROTOCOL_CHANGED"):
        load_package(folder)


def test_the_source_stands_beside_both_versions_where_two_images_are_compared(sources, tmp_path):
    root = with_sources(sources, tmp_path)
    for path in (root / "real").iterdir():
        ct = read_volume(path)
        write_volume(root / "ct" / path.name, ct.with_data(ct.data - 1500))
    text = STUDY.replace("levels: 64}", "levels: 64, source: ct, source_range: [-1000, 1000]}")
    (root / "study.yaml").write_text(text)
    create_package(root / "study.yaml", root / "out")
    package = load_package(root / "out")
    for trial in package.trials["anna"]:
        is_paired = trial.design in ("choice", "lee")
        assert (trial.source is not None) == is_paired
        assert len(trial.panels) == (3 if is_paired else 1)
        if trial.source is not None:
            shown = [package.key["images"][image] for image in trial.panels]
            assert shown[0]["version"] == "source"
            assert {entry["case"] for entry in shown} == {shown[0]["case"]}
            assert {entry["version"] for entry in shown[1:]} == {"real", "synthetic"}
    source = next(image for image, entry in package.key["images"].items() if entry["version"] == "source")
    real = read_volume(root / "ct" / f"{package.key['images'][source]['case']}.nii.gz")
    expected = np.rint(np.clip((real.data[::-1, ::-1] + 1000) / 2000, 0, 1) * 63)
    assert np.array_equal(read_volume(package.image_path(source)).data, expected)
    package.image_path(source).write_bytes(package.image_path(source).read_bytes()[:-1] + b"\7")
    with pytest.raises(InputRefused, match="PROTOCOL_CHANGED"):
        load_package(root / "out")


@pytest.mark.parametrize(
    ("images", "told"),
    [
        ("source_range: [0, 1]", "source_range needs source"),
        ("source: ct, source_range: [5, 5]", "source_range must rise"),
    ],
)
def test_a_range_without_a_source_or_width_is_refused(sources, tmp_path, images, told):
    root = with_sources(sources, tmp_path)
    (root / "study.yaml").write_text(STUDY.replace("levels: 64}", f"levels: 64, {images}}}"))
    with pytest.raises(UsageError, match=told):
        create_package(root / "study.yaml", root / "out")


def test_a_source_that_no_design_shows_or_on_another_grid_is_refused(sources, tmp_path):
    root = with_sources(sources, tmp_path)
    paired = [line for line in STUDY.splitlines() if "forced_choice" in line or "similarity" in line]
    text = STUDY.replace("levels: 64}", "levels: 64, source: ct}")
    (root / "study.yaml").write_text("\n".join(line for line in text.splitlines() if line not in paired))
    with pytest.raises(UsageError, match="shown by forced_choice and similarity alone"):
        create_package(root / "study.yaml", root / "out")
    (root / "study.yaml").write_text(text)
    for path in (root / "real").iterdir():
        write_volume(root / "ct" / path.name, Volume(read_volume(path).data[1:], AFFINE))
    with pytest.raises(InputRefused, match=r"GRID_MISMATCH .*the source"):
        create_package(root / "study.yaml", root / "out")


def test_a_study_without_sources_keeps_the_hash_it_had_before_there_were_any():
    old = parse_study(STUDY, name="s")
    content = old.model_dump(mode="json")
    del content["images"]["source"], content["images"]["source_range"]
    del content["practice"], content["instructions"], content["patients"]
    assert old.content_hash() == hashlib.sha256(canonical_json(content).encode()).hexdigest()
