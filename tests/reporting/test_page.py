from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from click.testing import CliRunner

from voxlate.cli.report import report
from voxlate.errors import NoInput, UsageError
from voxlate.evaluation.schema.results import read_evaluation
from voxlate.reporting.page import page, write_report
from voxlate.web.html import tag

VOID = {"meta", "img", "br", "link", "col", "path", "use"}


class Page(HTMLParser):
    """Checks that elements close in order and collects what a test asks for."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.text: list[str] = []
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {key: value or "" for key, value in attrs}))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {key: value or "" for key, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not self.open or self.open[-1] not in {"style", "script"}:
            self.text.append(data)

    def of(self, name: str) -> list[dict[str, str]]:
        return [attributes for tag, attributes in self.elements if tag == name]


@pytest.fixture(scope="module")
def written(folder_maker, tmp_path_factory) -> str:
    folder = folder_maker(tmp_path_factory.mktemp("evaluation"), ("alpha", "beta", "gamma"))
    folder.compare()
    folder.content["missing"] = [{"case": "delta", "reason": "no synthetic file"}]
    folder.content["refused"] = [{"case": "omega", "code": "GRID_MISMATCH", "message": "/mnt/Smith/x.nii.gz is odd"}]
    folder.content["history"] = {
        "training": [{"step": s, "loss": 1 / s} for s in range(1, 900)],
        "validation": [{"step": s, "loss": 2 / s} for s in range(100, 900, 100)],
        "learning_rate": [],
    }
    output = folder.path / "out" / "report.html"
    assert write_report(folder.write(), output) == []
    return output.read_text(encoding="utf-8")


def test_the_page_loads_no_other_file(written: str) -> None:
    found = Page(written)
    addresses = [value for _, a in found.elements for key, value in a.items() if key in {"src", "href", "xlink:href"}]
    assert addresses
    assert all(address.startswith(("data:image/png;base64,", "#")) for address in addresses)
    assert "@import" not in written
    assert "url(http" not in written
    assert not found.of("link")
    policy = next(a["content"] for a in found.of("meta") if a.get("http-equiv"))
    assert policy.startswith("default-src 'none'")


def test_every_id_is_unique_and_every_reference_has_a_target(written: str) -> None:
    found = Page(written)
    ids = [a["id"] for _, a in found.elements if "id" in a]
    assert len(ids) == len(set(ids))
    references = {a["href"][1:] for a in found.of("a")} | {a["xlink:href"][1:] for a in found.of("use")}
    references |= {a["aria-labelledby"] for a in found.of("svg")}
    references |= set(re.findall(r"url\(#([^)]+)\)", written))
    assert references <= set(ids)


def test_no_patient_and_no_path_is_on_the_page(written: str, tmp_path_factory) -> None:
    without_pixels = re.sub(r'base64,[^"]+', "", written)
    for private in (str(tmp_path_factory.getbasetemp()), "images0", "Smith", "warehouse", "P0", "P1", "P2"):
        assert private not in without_pixels, private
    assert "x.nii.gz is odd" in without_pixels


def test_every_case_is_listed_and_a_case_without_scores_has_its_reason(written: str) -> None:
    table = written[written.index('id="cases"') : written.index('id="absent"')]
    for name in ("alpha", "beta", "gamma", "delta", "omega"):
        assert f">{name}</th>" in table
    assert "no synthetic file" in written
    assert "GRID_MISMATCH" in written


def test_every_figure_states_n_and_the_kind_of_data(written: str) -> None:
    captions = re.findall(r"<figcaption>(.*?)</figcaption>", written)
    pictures = [c for c in captions if "training value" not in c]
    assert len(pictures) == 3 + 3
    assert all("n = " in c and "Simulated data" in c for c in pictures)
    assert sum("Display window" in c for c in captions) == 3


def test_every_picture_has_an_alternative_text(written: str) -> None:
    found = Page(written)
    assert all(a["alt"] for a in found.of("img"))
    assert all(a["role"] == "img" for a in found.of("svg"))
    assert len(found.of("img")) == 3 * (3 * 4 + 2)


def test_the_page_begins_with_the_warning_that_synthetic_images_are_not_for_diagnosis(written: str) -> None:
    text = " ".join(Page(written).text)
    assert text.index("Not for diagnosis") < text.index("Against the untouched source") < text.index("every metric")


def test_markup_in_a_name_is_escaped(evaluation) -> None:
    evil = "<script>alert(1)</script>\"'&"
    folder = evaluation("a", images=False)
    folder.content["direction"]["target"] = evil
    folder.content["protocols"][0]["definition"] = evil
    folder.content["missing"] = [{"case": evil, "reason": evil}]
    folder.content["cases"][0]["subgroups"] = {evil: evil}
    folder.content["lesions"] = [{"case": "a", "patient": "P0", evil: evil}]
    text = page(read_evaluation(folder.write()), title=evil)
    assert len(Page(text).of("script")) == 1
    assert "<script>alert" not in text


def test_a_case_with_missing_images_has_a_note_and_the_page_is_written(evaluation) -> None:
    folder = evaluation("a", "b", "c")
    (folder.path / "images1" / "target.nii.gz").unlink()
    text = page(read_evaluation(folder.write()))
    assert "Median case b: its images could not be shown (NO_INPUT)" in text
    assert text.count('class="case"') == 2


@pytest.mark.parametrize("names", [(), ("a",), ("a", "b")])
def test_an_evaluation_with_few_or_no_cases_gives_a_page(evaluation, names) -> None:
    found = Page(page(read_evaluation(evaluation(*names, images=False).write())))
    assert "Result" in " ".join(found.text)


def test_a_star_marks_only_what_differs_after_adjustment(evaluation) -> None:
    folder = evaluation("a", "b", "c", images=False)
    folder.compare(metric="mae", p_adjusted=0.04)
    folder.compare(metric="psnr", p_adjusted=0.06, p_t=0.001)
    text = page(read_evaluation(folder.write()))
    assert text.count("<sup>*</sup>") == 1
    assert "adjusted for 6 comparisons" in text


def test_the_same_evaluation_gives_the_same_page(evaluation) -> None:
    evaluated = read_evaluation(evaluation("a").write())
    assert page(evaluated) == page(evaluated)


@pytest.mark.parametrize("at", [0, 1], ids=["light", "dark"])
def test_all_text_colours_have_enough_contrast(at: int) -> None:
    css = (Path(__file__).resolve().parents[2] / "src/voxlate/web/assets/document.css").read_text()
    blocks = re.findall(r":root \{(.*?)\}", css, flags=re.DOTALL)
    assert len(blocks) == 2
    colour = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{3,6});", blocks[at]))
    grounds = ("paper", "soft", "ours-soft")
    pairs = [(ink, ground) for ink in ("ink", "muted", "bad", "ours") for ground in grounds]
    assert all(contrast(colour[a], colour[b]) >= 4.5 for a, b in [*pairs, ("warn", "warn-soft"), ("good", "paper")])
    assert all(contrast(colour["on-mark"], colour[name]) >= 4.5 for name in ("good", "bad", "muted", "warn"))


def contrast(first: str, second: str) -> float:
    """Returns the ratio of WCAG 2.1."""
    darker, lighter = sorted((luminance(first), luminance(second)))
    return (lighter + 0.05) / (darker + 0.05)


def luminance(colour: str) -> float:
    digits = colour[1:] if len(colour) == 7 else "".join(2 * digit for digit in colour[1:])
    values = [int(digits[at : at + 2], 16) / 255 for at in (0, 2, 4)]
    linear = [v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in values]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_the_command_writes_the_page_and_prints_no_folder(evaluation) -> None:
    folder = evaluation("a", images=False)
    output = folder.path / "r.html"
    result = CliRunner().invoke(report, [str(folder.write()), str(output), "--title", "My title"])
    assert result.exit_code == 0, result.output
    assert str(folder.path) not in result.output
    assert tag("h1", "My title") in output.read_text()


def test_a_report_replaces_a_report_and_nothing_else(evaluation) -> None:
    folder = evaluation("a", images=False)
    path = folder.write()
    recipe, foreign, output = (folder.path / name for name in ("my.yaml", "mine.html", "r.html"))
    for file in (recipe, foreign):
        file.write_text("<!doctype html>\n<title>mine</title>")
    with pytest.raises(UsageError, match=r"OUTPUT_NAME my\.yaml: a report is an HTML file; name it my\.html"):
        write_report(path, recipe)
    with pytest.raises(UsageError, match=r"OUTPUT_EXISTS mine\.html exists and is no report of voxlate; name another"):
        write_report(path, foreign)
    assert recipe.read_text() == foreign.read_text() == "<!doctype html>\n<title>mine</title>"
    for title in (None, "x" * 9000):
        write_report(path, output, title=title)
    write_report(path, output, title="new")
    assert "<h1>new</h1>" in output.read_text()


def test_a_file_in_the_place_of_the_folder_of_an_evaluation_is_refused_with_the_remedy(evaluation) -> None:
    folder = evaluation("a", images=False).write()
    with pytest.raises(NoInput, match=r"EVALUATION_MISSING evaluation\.json is a file; name the folder that voxlate"):
        write_report(folder / "evaluation.json", folder / "x.html")


def test_the_verdict_comes_before_the_pictures_and_the_tables_are_folded(written: str) -> None:
    screens = [written.index(f'id="{name}"') for name in ("verdict", "pictures", "patients", "quality", "definitions")]
    assert screens == sorted(screens)
    assert written.index('class="case"') < written.index('id="pictures"')
    quality = written[written.index('id="quality"') :]
    assert quality.startswith('id="quality"><details class="fold"><summary>')
    assert " open" not in quality[: quality.index("<table")]


def test_a_definition_is_on_the_page_once(written: str) -> None:
    assert written.count("MAE in % of L inside the mask.") == 1


@pytest.mark.parametrize(("method", "is_range"), [("source", True), (None, False)])
def test_a_range_of_n_is_explained_where_methods_differ_and_not_where_regions_do(evaluation, method, is_range) -> None:
    folder = evaluation("a", "b", "c", images=False)
    psnr = [row for row in folder.content["summary"] if row["metric"] == "psnr"]
    lesions = [{**row, "region": "lesion", "n": 2} for row in psnr]
    lesions = [{**row, "n": 1} if row["method"] == method else row for row in lesions]
    folder.content["summary"] += lesions
    assert psnr
    assert ("its PSNR is infinite" in page(read_evaluation(folder.write()))) == is_range


def test_three_numbers_of_patients_are_shown_as_one_range(evaluation) -> None:
    folder = evaluation("a", "b", "c", images=False)
    for row in folder.content["summary"]:
        row["n"] = {"source": 1, "synthetic": 2}.get(row["method"], 3)
    text = page(read_evaluation(folder.write()))
    assert ">1–3<" in text
    assert "1–2" not in text


def test_one_patient_has_no_spread_and_no_plural(evaluation) -> None:
    folder = evaluation("a", images=False)
    for row in folder.content["summary"]:
        row["sd"] = None
    folder.compare(
        n=1,
        ci_low=None,
        ci_high=None,
        p_t=None,
        p_wilcoxon=None,
        p_permutation=None,
        p_adjusted=None,
        comparisons=0,
        note="1 patient; no test is run below 3",
    )
    text = page(read_evaluation(folder.write()))
    assert "± \N{EM DASH}" not in text
    assert not re.search(r"\b1 (patients|cases|tests|comparisons|rows)\b", text)
    assert "All 1 test" not in text
    assert "1 patient: too few for a test" in text


def test_the_middle_case_is_shown_at_the_top_and_not_again(written: str) -> None:
    top = written[written.index('id="verdict"') : written.index('id="pictures"')]
    assert "Median case: <b>beta</b>" in top
    assert written.count('class="case"') == 3
    assert written.count("case: <b>beta</b>") == 1


def test_the_page_states_the_number_of_test_families_and_the_primary_one(evaluation) -> None:
    folder = evaluation("a", "b", "c", images=False)
    folder.compare(family="primary")
    folder.compare(intensity="linear_fit")
    folder.content["primary"] = {
        "protocol": "voxlate",
        "intensity": "as_written",
        "region": "mask",
        "metrics": ["mae", "psnr", "ssim"],
    }
    text = page(read_evaluation(folder.write()))
    assert "Chosen before the run: MAE, PSNR, SSIM in the mask by protocol voxlate" in text
    assert "2 tests in 2 families, 1 of them exploratory" in text
    assert "The primary tests of this run are here" in text
    assert "All tests here are exploratory" in text


@pytest.mark.parametrize(("gap", "is_matched"), [(0.7, False), (0.02, True)])
def test_a_blur_with_another_psnr_is_called_not_matched(evaluation, gap, is_matched) -> None:
    folder = evaluation("a", "b", "c")
    for row in list(folder.content["summary"]):
        if (row["method"], row["metric"], row["intensity"]) == ("blurred_target", "mae", "as_written"):
            for metric, value in (("blur_sigma", 1.2), ("psnr_gap", gap)):
                folder.content["summary"].append({**row, "metric": metric, "mean": value, "unit": "mm"})
    assert ("not matched" in page(read_evaluation(folder.write()))) != is_matched


def test_a_metric_that_a_case_does_not_allow_is_listed_with_its_reason(evaluation) -> None:
    folder = evaluation("a", "b", "c")
    name = folder.content["cases"][0]["case"]
    entry = {"case": name, "protocol": folder.content["protocols"][0]["name"], "region": "mask", "metric": "ms_ssim"}
    folder.content["left_out"] = [{**entry, "reason": "24 slices are too few", "methods": "source, synthetic"}]
    assert "24 slices are too few" in page(read_evaluation(folder.write()))
    unequal = "Its means are over different patients"
    assert unequal not in page(read_evaluation(folder.write()))
    column = next(row for row in folder.content["summary"] if row["metric"] == "mae")
    folder.content["summary"] += [
        {**column, "metric": "ms_ssim", "method": m, "n": n} for m, n in (("source", 3), ("synthetic", 2))
    ]
    assert unequal in page(read_evaluation(folder.write()))


def test_a_cell_without_a_significant_difference_has_a_blank_instead_of_a_star(written: str) -> None:
    marks = re.findall(r"<sup([^>]*)>([^<]*)</sup>", written)
    assert {("", "*"), (' class="blank"', "")} == set(marks)


def test_with_one_patient_a_sentence_stands_where_plots_of_a_single_point_would(evaluation) -> None:
    one, two = (page(read_evaluation(evaluation(*names, images=False).write())) for names in ("a", "ab"))
    told = "One patient was evaluated, so there are no plots over patients"
    assert told in one
    assert "box-mae" not in one
    assert told not in two
    assert "box-mae" in two
