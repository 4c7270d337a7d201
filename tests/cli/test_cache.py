"""One folder of --cache serves training, translation and batches, and changes no byte of what they write."""

import json
from collections import Counter
from pathlib import Path

import pytest
from click.testing import CliRunner
from tiny import RECIPE, write_cohort

from voxlate import cli
from voxlate.cases import read_cases
from voxlate.errors import CannotWrite
from voxlate.inference.batch import read_models
from voxlate.inference.files import translate_file
from voxlate.inference.translate import Options
from voxlate.preparation import preprocessing, store
from voxlate.preparation.steps import bias

SHAPE = (30, 32, 31)  # the ball in it has some 140 voxels of 4 mm; a bias field needs 100
VARIANT = "preparation: {bias: true}\nvariants: {short: {training: {steps: 1}}}\n"
FILES = {Path("out.nii.gz"), Path("out.json")}


@pytest.fixture
def computed(monkeypatch):
    """Counts the bias fields that are fitted, with and without a store."""
    counts = Counter()

    def counted(module, name):
        original = getattr(module, name)

        def call(*args, **more):
            counts[name] += 1
            return original(*args, **more)

        monkeypatch.setattr(module, name, call)

    monkeypatch.setattr(bias, "_ITERATIONS", (2, 2, 2))
    counted(preprocessing, "fit_bias")
    counted(store, "fit_coarse_bias")
    return counts


@pytest.fixture
def place(tmp_path, computed):
    """Returns a folder with a cohort and a model that was trained with a cache."""
    write_cohort(tmp_path / "data", ["train", "validation", "test"], SHAPE)
    (tmp_path / "tiny.yaml").write_text(RECIPE + VARIANT)
    train(tmp_path, "run")
    return tmp_path


def run(*arguments):
    done = CliRunner().invoke(cli.voxlate, [str(argument) for argument in arguments], catch_exceptions=False)
    assert done.exit_code == 0, done.output


def train(place, name, *options):
    common = ("--data", place / "data", "--variant", "short", "--cache", place / "cache")
    run("train", place / "tiny.yaml", place / name, *common, *options)


def written(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.suffix in (".gz", ".json")}


def test_another_training_and_the_translations_of_its_scans_fit_no_bias_field(place, computed):
    fitted = {"fit_coarse_bias": 4}  # source and target of the training and of the validation case
    assert computed == fitted
    train(place, "other", "--set", "preparation.reference=z_score")
    source = read_cases(place / "data" / "cases.tsv")[0].source
    run("translate", source, place / "out.nii.gz", "-m", place / "run" / "bundle", "--cache", place / "cache")
    assert computed == fitted
    (place / "plain").mkdir()
    run("translate", source, place / "plain" / "out.nii.gz", "-m", place / "run" / "bundle")
    assert computed == fitted | {"fit_bias": 1}
    assert {path.name: (place / path).read_bytes() for path in FILES} == written(place / "plain")


@pytest.mark.parametrize("verb", ["translate", "batch", "bids"])
def test_many_scans_are_the_same_with_a_cache_and_the_second_model_fits_nothing(place, computed, verb):
    table = place / "data" / "cases.tsv"
    if verb == "batch":
        table = place / "manifest.tsv"
        lines = [f"{case.case}\t{case.source}" for case in read_cases(place / "data" / "cases.tsv")]
        table.write_text("\n".join(["case\tsource", *lines]) + "\n")
    elif verb == "bids":
        table = place / "bids"
        scan = table / "sub-01" / "anat" / "sub-01_ce-gadolinium_T1w.nii.gz"
        scan.parent.mkdir(parents=True)
        scan.write_bytes(read_cases(place / "data" / "cases.tsv")[0].source.read_bytes())
        (table / "dataset_description.json").write_text(json.dumps({"Name": "x", "BIDSVersion": "1.9.0"}))
    level = ("participant",) if verb == "bids" else ()
    here = () if verb == "translate" else ("-j", 0)
    before = Counter(computed)
    for name, cache in (("plain", ()), ("filled", ("--cache", place / "c")), ("again", ("--cache", place / "c"))):
        run(verb, table, place / name, *level, "-m", place / "run" / "bundle", *cache, *here)
    scans = {"translate": 1, "batch": 3, "bids": 1}[verb]
    assert computed - before == {"fit_bias": scans, "fit_coarse_bias": scans}
    images = [
        {path.relative_to(place / name): path.read_bytes() for path in sorted((place / name).rglob("*.nii.gz"))}
        for name in ("plain", "filled", "again")
    ]
    assert len(images[0]) == scans
    assert images[0] == images[1] == images[2]
    if verb != "translate":  # a batch goes on, whichever folder saves time
        run(verb, table, place / "plain", *level, "-m", place / "run" / "bundle", "--cache", place / "c", *here)


def test_nothing_in_the_cache_names_a_scan(place):
    source = place / "MusterPatient.nii.gz"
    source.write_bytes(read_cases(place / "data" / "cases.tsv")[2].source.read_bytes())
    cache = place / "alone"
    run("translate", source, place / "out.nii.gz", "-m", place / "run" / "bundle", "--cache", cache)
    kept = [path for path in cache.rglob("*") if path.is_file()]
    assert kept
    for path in kept:
        assert "Muster" not in str(path.relative_to(cache))
        assert b"Muster" not in path.read_bytes()


def test_a_file_is_no_cache_for_a_command_or_in_python(place):
    file = place / "file"
    file.write_text("")
    source = read_cases(place / "data" / "cases.tsv")[0].source
    with pytest.raises(CannotWrite, match="WRITE file is a file; name a folder for the cache"):
        run("translate", source, place / "out.nii.gz", "-m", place / "run" / "bundle", "--cache", file)
    with pytest.raises(CannotWrite, match="WRITE file is a file; name a folder for the cache"):
        translate_file(
            read_models((place / "run" / "bundle",)), source, place / "out.nii.gz", options=Options(cache=file)
        )
    assert not (place / "out.nii.gz").exists()
