import json
import struct
import time

import pytest
import torch
from safetensors.torch import save_file

from voxlate.bundle.bundle import read_bundle, read_weights, write_bundle
from voxlate.errors import ModelInvalid
from voxlate.io.atomic import sha256
from voxlate.models import build

MAPPING = {"gain": 2.0, "log_sd": 0.1, "n": 3, "spacing_mm": [1.0, 1.2]}


@pytest.fixture
def bundle(recipe, tmp_path):
    torch.manual_seed(0)
    network = build(recipe.model.name, **recipe.model.arguments)
    write_bundle(tmp_path / "b", recipe, network.state_dict(), documents={"mapping": MAPPING}, card="# card\n")
    return tmp_path / "b"


def resign(bundle):
    """Makes the manifest agree with changed files, as one who tampers would."""
    manifest = json.loads((bundle / "manifest.json").read_text())
    manifest["files"] = {name: sha256(bundle / name) for name in manifest["files"]}
    (bundle / "manifest.json").write_text(json.dumps(manifest))


def test_a_bundle_reads_back_with_its_mapping(bundle, recipe):
    read = read_bundle(bundle)
    assert read.recipe == recipe
    assert (read.mapping.gain, read.mapping.n, read.spacing_mm) == (2.0, 3, (1.0, 1.2))
    assert not read.network.training


@pytest.mark.parametrize("name", ["weights.safetensors", "recipe.yaml", "mapping.json", "card.md"])
def test_one_changed_byte_in_any_file_is_found(bundle, name):
    content = bytearray((bundle / name).read_bytes())
    content[-2] ^= 1
    (bundle / name).write_bytes(content)
    with pytest.raises(ModelInvalid, match=rf"MODEL_HASH b/{name}: expected [0-9a-f]{{12}}…, found"):
        read_bundle(bundle)


def test_a_missing_file_a_missing_manifest_and_a_broken_one_are_refused(bundle):
    (bundle / "mapping.json").unlink()
    with pytest.raises(ModelInvalid, match=r"MODEL_HASH .*found nothing"):
        read_bundle(bundle)
    (bundle / "manifest.json").write_text("{")
    with pytest.raises(ModelInvalid, match="MODEL_MANIFEST"):
        read_bundle(bundle)
    (bundle / "manifest.json").unlink()
    with pytest.raises(ModelInvalid, match="MODEL_MISSING"):
        read_bundle(bundle)


def test_a_manifest_that_points_out_of_the_bundle_is_refused(bundle):
    manifest = json.loads((bundle / "manifest.json").read_text())
    manifest["files"]["../x"] = "0"
    (bundle / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(ModelInvalid, match="MODEL_MANIFEST"):
        read_bundle(bundle)


def test_a_pickle_in_the_place_of_weights_is_not_opened(bundle, tmp_path):
    class Trap:
        def __reduce__(self):
            return (open, (str(tmp_path / "sprung"), "w"))

    torch.save(Trap(), bundle / "weights.safetensors")
    resign(bundle)
    with pytest.raises(ModelInvalid, match="MODEL_WEIGHTS"):
        read_bundle(bundle)
    assert not (tmp_path / "sprung").exists()


def test_weights_that_are_not_finite_are_refused(bundle):
    weights = read_weights(bundle / "weights.safetensors")
    weights["stem.bias"][0] = float("nan")
    save_file(weights, bundle / "weights.safetensors")
    resign(bundle)
    with pytest.raises(ModelInvalid, match=r"MODEL_NAN .*stem\.bias"):
        read_bundle(bundle)


def test_weights_of_another_shape_are_refused(bundle):
    weights = read_weights(bundle / "weights.safetensors")
    weights["stem.bias"] = torch.zeros(3)
    save_file(weights, bundle / "weights.safetensors")
    resign(bundle)
    with pytest.raises(ModelInvalid, match=r"MODEL_WEIGHTS .*stem\.bias"):
        read_bundle(bundle)


def test_a_key_that_stands_twice_is_refused(tmp_path):
    entry = '"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}'
    header = ("{" + entry + "," + entry + "}").encode()
    path = tmp_path / "w.safetensors"
    path.write_bytes(struct.pack("<Q", len(header)) + header + b"\0\0\0\0")
    with pytest.raises(ModelInvalid, match="MODEL_WEIGHTS"):
        read_weights(path)


def test_truncated_weights_are_refused(bundle):
    path = bundle / "weights.safetensors"
    path.write_bytes(path.read_bytes()[:-5])
    with pytest.raises(ModelInvalid, match="MODEL_WEIGHTS"):
        read_weights(path)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("mapping.json", "{}"),
        ("mapping.json", "[]"),
        ("mapping.json", "null"),
        ("mapping.json", "[" * 100_000),
        ("mapping.json", json.dumps(MAPPING | {"spacing_mm": [1, 2, 3]})),
        ("mapping.json", json.dumps(MAPPING | {"gain": 0})),
        ("mapping.json", json.dumps(MAPPING | {"gain": -5})),
        ("mapping.json", json.dumps(MAPPING | {"gain": float("nan")})),
        ("mapping.json", json.dumps(MAPPING | {"gain": "two"})),
        ("mapping.json", json.dumps(MAPPING | {"log_sd": float("inf")})),
        ("known.json", "[]"),
        ("known.json", "{}"),
        ("runtimes.json", "[]"),
        ("runtimes.json", '{"runtimes": {"x": {"passed": true, "files": []}}, "weights_sha256": "0"}'),
    ],
)
def test_a_document_of_another_form_than_ours_is_refused_though_its_hash_is_sound(bundle, name, content):
    (bundle / name).write_text(content)
    manifest = json.loads((bundle / "manifest.json").read_text())
    manifest["files"][name] = "0"
    (bundle / "manifest.json").write_text(json.dumps(manifest))
    resign(bundle)
    with pytest.raises(ModelInvalid, match=rf"MODEL_DOCUMENT b/{name}"):
        read_bundle(bundle)


@pytest.mark.parametrize("files", [[], {"weights.safetensors": 1}, None, "x"])
def test_a_manifest_of_another_form_is_refused(bundle, files):
    (bundle / "manifest.json").write_text(json.dumps({"format": 1, "files": files}))
    with pytest.raises(ModelInvalid, match="MODEL_MANIFEST"):
        read_bundle(bundle)


@pytest.mark.parametrize(
    ("before", "after", "code"),
    [
        ("width: 4", "width: 20000", "MODEL_WEIGHTS"),
        ("width: 4", "width: 1000000000", r"MODEL_WEIGHTS|MODEL_RECIPE"),
        ("width: 4", "width: -1", "MODEL_RECIPE"),
        ("name: translator", "name: nothing", "MODEL_RECIPE"),
        ("name: tiny", "name: [", "MODEL_RECIPE"),
    ],
)
def test_a_recipe_that_asks_for_another_network_is_refused_before_it_is_built(bundle, before, after, code):
    text = (bundle / "recipe.yaml").read_text()
    assert before in text
    (bundle / "recipe.yaml").write_text(text.replace(before, after))
    resign(bundle)
    with pytest.raises(ModelInvalid, match=code):
        read_bundle(bundle)


def test_a_head_of_many_empty_tensors_is_refused_at_once_in_one_line(bundle):
    entry = '"k{}":{{"dtype":"F32","shape":[0],"data_offsets":[0,0]}}'
    header = ("{" + ",".join(entry.format(number) for number in range(60_000)) + "}").encode()
    (bundle / "weights.safetensors").write_bytes(struct.pack("<Q", len(header)) + header)
    resign(bundle)
    start = time.monotonic()
    with pytest.raises(ModelInvalid, match="MODEL_WEIGHTS") as refused:
        read_bundle(bundle)
    assert time.monotonic() - start < 5
    assert len(refused.value.message) < 300
    (bundle / "weights.safetensors").write_bytes(struct.pack("<Q", 80 << 20) + b"{}")
    with pytest.raises(ModelInvalid, match=r"MODEL_WEIGHTS .*are read at most"):
        read_weights(bundle / "weights.safetensors")
