"""Instructions and practice come before the first case of a design; practice answers never reach the analysis."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from voxlate.cases import Case, write_cases
from voxlate.errors import InputRefused, UsageError
from voxlate.experiments.inputs import StudyFiles
from voxlate.experiments.settings import read_experiment
from voxlate.io.documents import json_sha256, read_json
from voxlate.io.nifti import write_volume
from voxlate.readers.analysis.records import join, lesions
from voxlate.readers.package import create_package, load_package
from voxlate.shipped import find_shipped
from voxlate.volume import Volume
from voxlate.web.server.answer_log import AnswerLog
from voxlate.web.server.sql import SqliteDatabase

from .conftest import STUDY, Browser, fill

PRACTICE = STUDY + "practice: [case6, case7]\ninstructions: Judge the brain alone.\n"
PRACTISED = {"case6", "case7"}


@pytest.fixture(scope="module")
def practice_study(sources, tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("practice")
    for name in ("real", "synthetic", "lesions"):
        shutil.copytree(sources / name, root / name)
    (root / "study.yaml").write_text(PRACTICE)
    create_package(root / "study.yaml", root / "out")
    return root / "out"


@pytest.fixture
def package(practice_study, tmp_path):
    return load_package(Path(shutil.copytree(practice_study, tmp_path / "study")))


@pytest.fixture
def store(package):
    opened = AnswerLog(SqliteDatabase(package.folder / "answers.sqlite"), package.protocol_hash)
    yield opened
    opened.close()


@pytest.fixture
def browser(package, store):
    return Browser(package, store, "anna").enter()


def instructed(browser):
    return browser.post("instructed", {"page": browser.page, "trial": browser.state()["trial"]["id"]})


def test_practice_cases_are_never_among_the_trials_that_count(package):
    key = package.key
    assert {entry["case"] for entry in key["trials"].values()}.isdisjoint(PRACTISED)
    assert set(lesions(package)).isdisjoint(PRACTISED)
    shown = {key["images"][image]["case"] for own in package.practice.values() for t in own for image in t.images}
    assert shown == PRACTISED
    assert {trial.id for own in package.practice.values() for trial in own}.isdisjoint(key["trials"])


def test_each_design_has_its_own_practice_of_both_versions(package):
    assert list(package.practice) == [design.name for design in package.study.designs]
    for name in ("turing", "quality", "lesions"):
        versions = [package.key["images"][trial.images[0]]["version"] for trial in package.practice[name]]
        assert sorted(versions) == ["real", "synthetic"]
    assert all(len(trial.images) == 2 for trial in package.practice["choice"])


@pytest.mark.parametrize("kind", ["answers", "drafts"])
def test_a_practice_answer_is_refused_and_leaves_no_row(browser, kind):
    practice = browser.state()["introduction"]["practice"][0]
    before = browser.store.log()
    draft = {"page": browser.page, "trial": practice["id"], "content": "x"}
    refused = browser.post(kind, {"answers": browser.filled(practice), "drafts": draft}[kind])
    assert (refused.status_code, refused.json()["code"]) == (409, "PRACTICE")
    assert browser.store.log() == before


def test_an_answer_to_a_practice_case_in_the_log_does_not_reach_the_analysis(browser, package, store):
    assert browser.answer().status_code == 200
    (counted,) = join(package, store.answers())
    practice = package.practice["turing"][0]
    body = {"answer": fill({"kind": "real_or_synthetic", "levels": 6}), "comment": "", "timing": {"viewed_s": 1.0}}
    store.add_answer("anna", practice.id, "planted-submission", body, revision=0)
    assert join(package, store.answers()) == [counted]


def test_practice_images_are_open_to_every_reader_and_later_cases_stay_closed(browser, package):
    for shown, trial in zip(browser.state()["introduction"]["practice"], package.practice["turing"], strict=True):
        assert shown["id"] == trial.id
        sent = browser.http.get(f"/api/trials/{trial.id}/images/0")
        assert sent.content == package.image_path(trial.images[0]).read_bytes()
        assert browser.http.get(f"/api/trials/{trial.id}/images/1").json()["code"] == "PANEL"
    later = package.trials["anna"][5].id
    assert browser.http.get(f"/api/trials/{later}/images/0").json()["code"] == "NOT_YET"


def test_the_state_names_no_case_and_no_version_of_a_practice_image(browser, package):
    text = json.dumps(browser.state()["introduction"])
    names = [*PRACTISED, *(entry["case"] for entry in package.key["trials"].values())]
    assert not any(name in text for name in names)
    assert '"version"' not in text


def test_instructions_are_due_once_before_the_first_case_of_each_design(browser):
    total, due = browser.state()["total"], []
    for at in range(total):
        state = browser.state()
        if state["introduction"]["is_due"]:
            due.append(state["introduction"]["design"]["kind"])
            assert state["trial"]["is_first"]
            assert instructed(browser).json() == {"kept": True}
            assert instructed(browser).json() == {"kept": False}
            assert not browser.state()["introduction"]["is_due"]
        browser.answer(answer=fill(state["trial"]["design"], at))
    assert due == ["real_or_synthetic", "forced_choice", "similarity", "quality", "marks"]
    assert [entry.kind for entry in browser.store.log()].count("instructed") == len(due)
    assert not browser.state()["introduction"]["is_due"]


def test_a_reader_who_stopped_within_a_design_goes_on_without_instructions(browser, package, store):
    browser.answer()
    assert not Browser(package, store, "anna").enter().state()["introduction"]["is_due"]


def test_a_window_that_was_taken_over_cannot_end_the_practice(browser):
    old = browser.page
    trial = browser.open().state()["trial"]["id"]
    assert browser.post("instructed", {"page": old, "trial": trial}).json()["code"] == "OTHER_WINDOW"
    assert browser.state()["introduction"]["is_due"]


def test_the_instructions_of_the_study_reach_the_page(browser):
    introduction = browser.state()["introduction"]
    assert introduction["text"] == "Judge the brain alone."
    assert introduction["cases"] == sum(trial.design == "turing" for trial in browser.package.trials["anna"])


def test_a_study_made_before_there_was_practice_opens_with_its_hash(frozen, tmp_path):
    study = Path(shutil.copytree(frozen, tmp_path / "old"))
    content = read_json(study / "study.json")
    assert content.pop("practice") == []
    assert content.pop("instructions") == ""
    assert content.pop("patients") is None
    (study / "study.json").write_text(json.dumps(content))
    assert not (study / "practice.json").exists()
    package = load_package(study)
    for key in ("source", "source_range"):
        content["images"].pop(key)
    manifest = read_json(study / "manifest.json")
    parts = {"study": json_sha256(content), "images": manifest["images"]}
    parts |= {name: read_json(study / f"{name}.json") for name in ("allocation", "key")}
    assert package.protocol_hash == json_sha256(parts) == manifest["protocol_sha256"]
    store = AnswerLog(SqliteDatabase(study / "answers.sqlite"), package.protocol_hash)
    browser = Browser(package, store, "anna").enter()
    assert browser.state()["introduction"]["practice"] == []
    assert browser.state()["introduction"]["is_due"]
    store.close()


@pytest.mark.parametrize("change", ["removed", "reordered"])
def test_practice_that_was_changed_after_freezing_is_refused(package, change):
    path = package.folder / "practice.json"
    if change == "removed":
        path.unlink()
    else:
        content = json.loads(path.read_text())
        content["turing"].reverse()
        path.write_text(json.dumps(content))
    with pytest.raises(InputRefused, match="PROTOCOL_CHANGED"):
        load_package(package.folder)


@pytest.mark.parametrize(
    ("added", "told"),
    [
        ("practice: [case0]\ncases: [case0, case1]\n", "case0 must not be among cases"),
        ("practice: [case0, case0]\n", "names must differ"),
        (f"practice: {[f'case{at}' for at in range(8)]}\n".replace("'", ""), "names every case"),
    ],
)
def test_practice_cases_that_would_count_too_are_refused(sources, tmp_path, added, told):
    root = tmp_path / "study"
    shutil.copytree(sources, root, ignore=shutil.ignore_patterns("frozen", "practice"))
    (root / "study.yaml").write_text(STUDY + added)
    with pytest.raises(UsageError, match=told):
        create_package(root / "study.yaml", root / "out")


def test_both_studies_of_lee_show_the_ct_beside_the_two_mr_images(tmp_path):
    """Each answer of Lee 2020 concerns two MR images; the CT, from which one was made, is the first of three panels."""
    experiment = read_experiment(find_shipped("experiments", "lee2020", what="experiment"))
    assert set(experiment.readers) == {"forced_choice", "similarity"}
    scan = Volume(np.random.default_rng(0).normal(100, 20, (16, 18, 1)), np.eye(4))
    cases = []
    for at in range(4):
        files = [tmp_path / name / f"c{at}.nii.gz" for name in ("ct", "t2", "made")]
        for number, file in enumerate(files):
            write_volume(file, scan.with_data(scan.data + 40 * at + number))
        cases.append(Case(f"c{at}", f"p{at}", "test", source=files[0], target=files[1]))
    write_cases(tmp_path / "cases.tsv", cases)
    for name, study in experiment.readers.items():
        content = {"name": name, "title": study.title, **study.study}
        files = StudyFiles(tmp_path / name, tmp_path / "cases.tsv", tmp_path / "made", content, study.has_source)
        files.write()
        create_package(tmp_path / name / "study.yaml", tmp_path / name / "study")
        package = load_package(tmp_path / name / "study")
        assert package.study.display.planes == "axial"  # the images are single axial slices
        assert package.key["patients"] == {f"c{at}": f"p{at}" for at in range(4)}  # discs of one spine are one cluster
        for trial in (trial for own in package.trials.values() for trial in own):
            shown = [package.key["images"][image]["version"] for image in trial.panels]
            assert shown[0] == "source"
            assert sorted(shown[1:]) == ["real", "synthetic"]
