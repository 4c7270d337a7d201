"""The report of a comparison: its table as a paper prints it, sentences, tests, folds, and slices of all systems."""

import re
import shutil
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest
from click.testing import CliRunner
from small_study import write_case

from voxlate.cli import voxlate
from voxlate.errors import UsageError
from voxlate.evaluation.comparison import ComparisonSettings, compare_systems, read_comparison
from voxlate.evaluation.comparison.schema import ComparedScore, JoinedRow, SystemRow, SystemsComparison
from voxlate.evaluation.comparison.tables import summarize, tables_by_set
from voxlate.evaluation.comparison.testing import compare_methods
from voxlate.evaluation.schema.results import Direction, ProtocolDefinition
from voxlate.evaluation.schema.table import MetricKey
from voxlate.evaluation.settings import Settings
from voxlate.io.nifti import read_volume, write_volume
from voxlate.reporting.comparison.first_screen import headline
from voxlate.reporting.comparison.page import comparison_page, write_comparison_report
from voxlate.reporting.comparison.pictures import box_plots, chosen_cases, patient_means_by_set
from voxlate.reporting.comparison.printed import printed_table
from voxlate.reporting.comparison.sentences import outcome_of
from voxlate.reporting.comparison.tests_and_folds import equivalence, folds
from voxlate.reporting.comparison.view import Results, main_view

VOID = {"meta", "img", "br", "link", "col", "path", "use"}


class Page(HTMLParser):
    """Checks that elements close in order, and collects their text."""

    def __init__(self, text):
        super().__init__()
        self.open, self.text = [], []
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag, attrs):
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        pass

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


def write_system(folder, name, cases, noise, *, gain=1.0):
    (folder / name).mkdir()
    for seed, case in enumerate(cases):
        shutil.copy(folder / "synthetic" / f"{case.case}.json", folder / name)
        image = read_volume(folder / "synthetic" / f"{case.case}.nii.gz")
        added = 500 * noise * np.random.default_rng(seed).normal(size=image.data.shape) * (image.data != 0)
        write_volume(folder / name / f"{case.case}.nii.gz", image.with_data((gain * image.data + added).astype("f4")))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Returns the folder of a comparison of four systems on two sets; one collapsed, one without images."""
    root = tmp_path_factory.mktemp("compared")
    cases = [replace(write_case(root, f"case_{k}", seed=k), set="A" if k < 3 else "B") for k in range(6)]
    for name, noise, gain in (("fine", 0.0, 1.0), ("near", 0.01, 1.0), ("noisy", 0.4, 1.0), ("zero", 0.0, 0.0)):
        write_system(root, name, cases, noise, gain=gain)
    (root / "none").mkdir()
    how = ComparisonSettings(test="t", correction="none", margins={"mae": 3.0})
    systems = {name: root / name for name in ("fine", "near", "noisy", "zero", "none")}
    settings = Settings(protocols=("lee2020",), data_kind="simulated")
    compare_systems(cases, systems, root / "out", settings=settings, comparison=how)
    return root / "out"


@pytest.fixture(scope="module")
def text(folder):
    return comparison_page(read_comparison(folder))


def rows_of(text):
    """Returns the rows of the first table, each as its cells without markup."""
    table = text[text.index("<table") : text.index("</table>")]
    return [
        [re.sub("<[^>]*>", "", cell) for cell in re.findall(r"<t[hd][ >].*?</t[hd]>", row)]
        for row in re.findall(r"<tr.*?</tr>", table)
    ]


def test_the_page_is_whole_loads_nothing_and_shows_no_folder(text, folder):
    page = Page(text)
    assert "Definitions" in page.text
    assert str(folder.parent) not in text
    assert not re.search(r'(src|href)="(?!#|data:)', text.replace('xlink:href="', 'href="'))


def test_the_first_table_has_a_block_of_rows_for_each_set_and_every_method_in_it(text, folder):
    rows = rows_of(text)
    assert [cell.split(" ")[0] for cell in rows[0]] == ["Method", "n", "MAE", "PSNR", "PSNR"]  # and as printed
    names = [row[0] for row in rows[1:]]
    block = ["Untouched source", "fine", "near", "noisy", "zero†", "none†"]
    assert names == ["A · 3 patients", *block, "B · 3 patients", *block]
    of_fine = next(
        r for r in read_comparison(folder).comparison.summary if (r.method, r.metric, r.set) == ("fine", "mae", "A")
    )
    assert rows[3][2].startswith(f"{of_fine.mean:.1f} ± ")
    assert rows[7][1:3] == ["0", "—"]


@pytest.mark.parametrize(
    ("protocol", "heads"),
    [
        ("chen2022", ["mask: MAE", "mask: PSNR", "slices: SSIM", "lesion: MAE", "lesion: PSNR"]),
        ("li2022", ["PSNR", "SSIM", "RMSE", "Tenengrad", "Tenengrad of the target", "Tenengrad ratio"]),
        ("voxlate", ["MAE", "PSNR", "SSIM"]),
    ],
)
def test_the_first_table_has_the_columns_of_the_paper(tmp_path, protocol, heads):
    case = write_case(tmp_path, "case_0", seed=0)
    settings = Settings(protocols=(protocol,))
    compare_systems([case], {"ours": tmp_path / "synthetic"}, tmp_path / "out", settings=settings)
    rows = rows_of(comparison_page(read_comparison(tmp_path / "out")))
    assert [re.sub(" [↓↑→].*| $", "", cell).split(" dB")[0].split(" grey")[0].strip() for cell in rows[0][2:]] == heads


def test_the_best_mean_is_bold_a_star_differs_from_the_source_and_a_mark_says_what_is_open(folder, text):
    compared = read_comparison(folder)
    view, results = main_view(compared.comparison), Results(compared.comparison)
    assert results.best(view, "A", ("mask", "mae")) in ("fine", "near")
    first = rows_of(text)[1:8]
    cells = {row[0]: row[2] for row in first if len(row) > 2}
    best = results.best(view, "A", ("mask", "mae"))
    assert f"<b>{cells[best].rstrip('*≈')}</b>" in text
    assert "≈" not in cells[best]
    for name in ("fine", "near", "noisy"):
        assert ("*" in cells[name]) == results.test(view, "A", name, "source", ("mask", "mae")).is_significant
        if name != best:
            assert "baselines against a best baseline" in text
            assert ("≈" in cells[name]) != results.test(view, "A", name, best, ("mask", "mae")).is_significant


def test_sentences_say_better_worse_equivalent_or_that_nothing_is_shown(folder, text):
    compared = read_comparison(folder)
    tests = {(t.first, t.second): t for t in compared.comparison.tests if (t.set, t.metric) == ("A", "mae")}
    assert outcome_of(tests["fine", "source"]) == "better"
    assert outcome_of(tests["zero", "source"]) == "worse"
    base = tests["fine", "near"].model_copy(update={"is_significant": False, "p_adjusted": 0.4})
    assert outcome_of(base) == "equivalent"
    open_ = base.model_copy(update={"equivalence": None, "ci_low": -1.0, "ci_high": 1.0})
    assert outcome_of(open_) == "open"
    assert outcome_of(open_.model_copy(update={"ci_low": 0.1})) == "leaning"
    assert outcome_of(open_.model_copy(update={"p_adjusted": None})) == "untested"
    plain = "".join(Page(text).text)
    assert "A: better than the untouched source: " in plain
    # The interval of the test of equivalence and its margin, in the direction of the words.
    row = tests["fine", "near"].equivalence
    low, high = sorted((abs(row.low), abs(row.high)))
    ends = r"90 % interval (\S+) to (\S+) within the margin ± 3, TOST p"
    shown = re.search(rf"near MAE \S+ grey levels higher \([^)]*{ends}", plain)
    assert shown is not None
    assert [float(text.replace("−", "-")) for text in shown.groups()] == pytest.approx([low, high], abs=0.006)
    assert re.search(r"fine MAE \d+\.\d grey levels lower \(95 % interval ", plain)


def test_tests_equivalence_and_the_independent_t_are_printed_with_what_they_are(text):
    plain = "".join(Page(text).text)
    for words in ("pseudo-replication", "Two one-sided tests (TOST)", "as Li 2022 printed it", "not adjusted"):
        assert words in plain


def test_collapsed_and_absent_systems_are_named_with_their_reason(text):
    plain = "".join(Page(text).text)
    assert "in 6 of 6 cases the synthetic image has the one value 0 in the mask: the network has collapsed" in plain
    assert "6 of 6 cases have no scores: no synthetic" in plain
    assert "Collapsed and not drawn: zero." in plain


def test_one_collapsed_case_does_not_take_a_system_out_of_the_pictures(tmp_path):
    cases = [write_case(tmp_path, f"case_{k}", seed=k) for k in range(3)]
    write_system(tmp_path, "whole", cases, 0.0)
    write_system(tmp_path, "once", cases, 0.1)
    flat = tmp_path / "once" / "case_1.nii.gz"
    write_volume(flat, read_volume(flat).with_data(np.zeros_like(read_volume(flat).data)))
    systems = {name: tmp_path / name for name in ("whole", "once")}
    compare_systems(cases, systems, tmp_path / "out", settings=Settings(protocols=("lee2020",)))
    compared = read_comparison(tmp_path / "out")
    tables = tables_by_set(compared.scores, compared.comparison.sets)
    plain = "".join(Page(str(box_plots(compared.comparison, tables))).text)
    assert "in 1 of 3 cases" in compared.comparison.systems[1].reason
    assert "not drawn" not in plain
    assert "once" in plain
    assert chosen_cases(compared)[-1] == "case_1"  # the worst by the mean over both systems


@pytest.mark.parametrize(
    ("sets", "told"),
    [
        (("",), "One patient was evaluated, so there are no plots over patients; the tables hold the values."),
        (("A", "B"), "One patient of each set was evaluated, so there are no plots over patients"),
        (("A", "A", "B"), "Boxes: quartiles and median; dots and lines: patients. A: 2 patients; B: 1 patient."),
    ],
)
def test_boxes_are_drawn_from_two_patients_of_a_set_on(tmp_path, sets, told):
    cases = [replace(write_case(tmp_path, f"case_{k}", seed=k), set=name) for k, name in enumerate(sets)]
    write_system(tmp_path, "fine", cases, 0.0)
    compare_systems(cases, {"fine": tmp_path / "fine"}, tmp_path / "out", settings=Settings(protocols=("lee2020",)))
    text = comparison_page(read_comparison(tmp_path / "out"))
    shown = text[text.index('id="plots"') : text.index('id="shown"')]
    assert told in "".join(re.sub("<[^>]*>", "", shown))
    assert ("<svg" in shown) == (len(sets) > 2)


def test_one_metric_in_two_regions_has_two_plots(tmp_path):
    cases = [write_case(tmp_path, f"case_{k}", seed=k) for k in range(2)]
    settings = Settings(protocols=("chen2022",))
    compare_systems(cases, {"ours": tmp_path / "synthetic"}, tmp_path / "out", settings=settings)
    compared = read_comparison(tmp_path / "out")
    tables = tables_by_set(compared.scores, compared.comparison.sets)
    plain = "".join(Page(str(box_plots(compared.comparison, tables))).text)
    assert all(f"{region}: {metric}: All cases" in plain for region in ("mask", "lesion") for metric in ("MAE", "PSNR"))


def test_a_system_with_the_label_of_a_baseline_is_drawn_beside_it(tmp_path):
    cases = [write_case(tmp_path, f"case_{k}", seed=k) for k in range(2)]
    write_system(tmp_path, "fine", cases, 0.0)
    systems = {"Untouched source": tmp_path / "fine"}
    compare_systems(cases, systems, tmp_path / "out", settings=Settings(protocols=("lee2020",)))
    compared = read_comparison(tmp_path / "out")
    tables = tables_by_set(compared.scores, compared.comparison.sets)
    key = MetricKey("lee2020", "as_written", "mask", "mae")
    found = patient_means_by_set(compared.comparison, tables, key)["All cases"]
    assert list(found) == ["source", "Untouched source"]
    assert found["source"] != found["Untouched source"]


def test_the_same_slices_are_shown_for_the_median_and_the_worst_case_of_each_set(folder, text):
    compared = read_comparison(folder)
    chosen = chosen_cases(compared)
    assert len(chosen) == 4
    losses = {
        case.case: np.mean(
            [
                s.value
                for s in compared.scores
                if (s.case, s.metric) == (case.case, "mae") and s.system in ("fine", "near", "noisy")
            ]
        )
        for case in compared.comparison.cases
    }
    worst = max((name for name in losses if int(name[-1]) < 3), key=losses.get)
    assert chosen[1] == worst
    assert 'id="slices-' in text


def test_a_comparison_whose_images_are_gone_still_has_a_report(folder, tmp_path):
    shutil.copytree(folder, tmp_path / "out")
    write_comparison_report(tmp_path / "out", tmp_path / "page.html", title="Ours")
    text = (tmp_path / "page.html").read_text()
    assert "The images could not be shown" in text
    assert "<h1>Ours</h1>" in text


def test_the_command_writes_the_report_of_a_comparison_and_refuses_a_viewer_of_it(folder, tmp_path):
    arguments = ["report", str(folder), str(tmp_path / "page.html")]
    assert CliRunner().invoke(voxlate, arguments, standalone_mode=False).exception is None
    assert "has the best mean" in (tmp_path / "page.html").read_text()
    error = CliRunner().invoke(voxlate, [*arguments, "--viewer"], standalone_mode=False).exception
    assert isinstance(error, UsageError)
    assert "VIEWER" in str(error)


def test_folds_are_a_table_of_their_own(tmp_path):
    cases = [replace(write_case(tmp_path, f"case_{k}", seed=k), split="train") for k in range(4)]
    for k, case in enumerate(cases):
        part = tmp_path / "run" / f"fold-{k % 2}" / "synthetic"
        part.mkdir(parents=True, exist_ok=True)
        for suffix in (".nii.gz", ".json"):
            shutil.copy(tmp_path / "synthetic" / f"{case.case}{suffix}", part)
    settings = Settings(protocols=("lee2020",))
    how = ComparisonSettings(are_folds=True)
    compare_systems(cases, {"ours": tmp_path / "run"}, tmp_path / "out", settings=settings, comparison=how)
    text = comparison_page(read_comparison(tmp_path / "out"))
    plain = "".join(Page(text).text)
    assert "Cross-validation" in plain
    for heading in ("Fold 0", "Fold 1", "Mean of folds ± SD between", "Patients ± SD"):
        assert heading in plain


def test_volumes_of_folds_and_their_margins_are_in_cubic_centimetres(folder):
    comparison = read_comparison(folder).comparison
    place = {"region": "GM", "metric": "avd", "unit": "cm3"}
    row = {"set": "A", "protocol": "lee2020", "intensity": "as_written", "method": "fine", **place}
    joined = JoinedRow(**row, folds=2, mean_of_folds=1.0, sd_between_folds=0.1, n=3, mean=1.0, sd=0.2)
    tests = [test.model_copy(update=place) for test in comparison.tests if test.equivalence]
    comparison = comparison.model_copy(update={"joined": [joined], "tests": tests})
    for block in (folds(comparison), equivalence(comparison)):
        assert "cm³" in block
        assert "cm3" not in block


def told_of(comparison) -> list[str]:
    return headline(Results(comparison), main_view(comparison))


def changed(comparison, **changes):
    """Returns the comparison with every test of MAE against the source changed."""
    tests = [t.model_copy(update=changes) if "source" in {t.first, t.second} else t for t in comparison.tests]
    return comparison.model_copy(update={"tests": tests})


def test_the_first_screen_names_the_best_system_what_is_shown_of_it_and_who_has_no_answer(folder, text) -> None:
    told = told_of(read_comparison(folder).comparison)
    assert told[0] == "fine has the best mean MAE in A and B."
    assert told[-1] == "Without a usable answer: zero (collapsed), none (no scores)."
    assert text.index(told[0]) < text.index("<table")


def test_the_first_screen_turns_with_the_tests_against_the_source(folder) -> None:
    comparison = read_comparison(folder).comparison
    better = {"mean_difference": -1.0, "ci_low": -1.2, "ci_high": -0.8, "p_adjusted": 0.01, "is_significant": True}
    systems = [test.first for test in comparison.tests if test.second == "source"]
    assert "fine" in systems
    assert any(
        line.startswith("Shown to be better than the untouched source: fine (A, B)")
        for line in told_of(changed(comparison, **better))
    )
    worse = {**better, "mean_difference": 1.0, "ci_low": 0.8, "ci_high": 1.2}
    assert any(
        line.startswith("Shown to be worse than the untouched source: fine (A, B)")
        for line in told_of(changed(comparison, **worse))
    )
    nothing = {"is_significant": False, "p_adjusted": 0.6}
    assert "No system is shown to differ from the untouched source." in told_of(changed(comparison, **nothing))


def test_the_first_screen_says_when_patients_are_too_few_for_a_test(folder) -> None:
    nothing = changed(read_comparison(folder).comparison, is_significant=False, p_adjusted=1.0, n=3, m=4)
    few = nothing.model_copy(update={"test": "permutation", "correction": "holm"})
    assert "No system is shown to differ from the untouched source: 3 patients are too few for a test." in told_of(few)


@pytest.mark.parametrize(("alpha", "is_too_few"), [(0.05, True), (0.1, False), (0.0625, True)])
def test_patients_are_too_few_for_a_test_at_the_level_of_the_comparison(folder, alpha, is_too_few) -> None:
    changes = {"is_significant": False, "p_adjusted": 1.0, "n": 5, "m": 1, "alpha": alpha}  # p is at least 2 / 2⁵
    nothing = changed(read_comparison(folder).comparison, **changes)
    told = told_of(nothing.model_copy(update={"test": "permutation", "correction": "holm"}))
    assert any("5 patients are too few for a test" in line for line in told) == is_too_few


def test_a_simple_method_with_the_best_mean_is_named_as_the_best(folder) -> None:
    comparison = read_comparison(folder).comparison
    rows = [
        row.model_copy(update={"mean": 0.0}) if (row.method, row.metric) == ("source", "mae") else row
        for row in comparison.summary
    ]
    turned = comparison.model_copy(update={"summary": rows})
    assert told_of(turned)[0].startswith("No system has a better mean MAE than the untouched source in A and B")


def without_hard_cases():
    """Returns a comparison of `part`, which has 9 easy cases of 14, and `whole`, which is better in each of these."""
    scored, random = [], np.random.default_rng(0)
    for k in range(14):
        level = (4.0 if k < 9 else 12.0) + random.normal()
        maes = {"part": level + 0.6, "whole": level + 0.05 * k}
        for system in ("part", "whole") if k < 9 else ("whole",):
            place = (f"case_{k}", f"case_{k}", "", "", system, "mask", "mae")
            scored.append(ComparedScore(*place, maes[system], "%", "lee2020", "as_written"))
    tables, names = tables_by_set(scored, [""]), ["part", "whole"]
    row = SystemRow(name="", evaluation="", state="partly", n_evaluated=0, n_missing=0, n_refused=0, reason="")
    return SystemsComparison(
        voxlate_version="0",
        data_kind="simulated",
        direction=Direction(),
        protocols=[ProtocolDefinition(name="lee2020", definition="")],
        systems=[row.model_copy(update={"name": name, "n_evaluated": n}) for name, n in (("part", 9), ("whole", 14))],
        baselines=[],
        references=[],
        sets=[""],
        **{name: getattr(ComparisonSettings(), name) for name in ("correction", "test", "alpha", "alphas", "margins")},
        cases=[],
        summary=summarize(tables, names),
        tests=compare_methods(tables, names, [], ComparisonSettings()),
    )


def test_a_system_without_the_hard_cases_is_not_called_better_than_one_that_is_better_on_the_shared_ones() -> None:
    comparison = without_hard_cases()
    (test,) = comparison.tests
    assert test.is_significant
    assert test.mean_difference > 0
    assert told_of(comparison) == [
        "part has the best mean MAE.",
        "Each mean is over the cases that its system has (part 9, whole 14); tests are over those that both have.",
        "part is shown to be worse than whole on the cases that both have.",
    ]
    table = str(printed_table(Results(comparison), main_view(comparison)))
    assert re.search(r"whole</b>.*≈", table)


def test_the_page_names_the_protocols_that_a_margin_does_not_count_for(folder):
    comparison = read_comparison(folder).comparison
    others = [
        test.model_copy(update={"protocol": "chen2022", "unit": "", "equivalence": None, "non_inferiority": None})
        for test in comparison.tests
    ]
    both = comparison.model_copy(update={"tests": [*comparison.tests, *others]})
    told = (
        "The margin of MAE is in the unit of lee2020; not tested for equivalence: chen2022 (state --margin mae@chen2022"
    )
    assert told in equivalence(both)
    assert "not tested for equivalence" not in equivalence(comparison)
