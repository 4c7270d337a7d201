"""Rebuilds the tables in the documents from the benchmark results, so that no number is typed by hand.

    python benchmarks/tables.py [--check]

A table lies between `<!-- table:NAME -->` and `<!-- end -->`. With --check nothing is written, and the exit status is 1
if a document differs from the results.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from math import isfinite
from pathlib import Path
from statistics import mean, median
from typing import Any

from cost_tables import COST_TABLES

from voxlate.evaluation.baselines import MATCHED_DB
from voxlate.evaluation.enhancement import DISTURBANCE, HALF, RESIDUAL

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results"
AGENT_METRICS = (RESIDUAL, HALF, DISTURBANCE)
TITLES = {
    "constant": "constant",
    "source": "untouched source",
    "histogram_match": "histogram-matched source",
    "blurred_target": "blurred target",
    "synthetic": "**voxlate**",
}


def result(name: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))
    return content


def machine(content: dict[str, Any]) -> str:
    stamp = content["machine"]
    return f"{stamp['cores']} cores of {stamp['processor']}, commit {stamp['commit']}"


def quality(name: str, intensity: str) -> str:
    content = result("real_pairs")
    lines = ["| in the brain, mean over 3 test subjects | MAE, % of range | PSNR, dB | SSIM |", "|---|---|---|---|"]
    for method, row in content[name]["mean"][intensity].items():
        lines.append(f"| {TITLES[method]} | {row['mae']:.2f} | {row['psnr']:.2f} | {row['ssim']:.3f} |")
    return "\n".join(lines)


def cases(name: str) -> str:
    heads = [TITLES[method] for method in ("source", "histogram_match", "synthetic")]
    lines = [f"| case | {' | '.join(heads)} |", "|---" * 4 + "|"]
    for case, figures in result("real_pairs")[name]["cases"].items():
        cells = []
        for method in ("source", "histogram_match", "synthetic"):
            row = figures["as_written"]["mask"][method]
            cells.append(f"{row['mae']:.2f} % / {row['psnr']:.2f} dB / {row['ssim']:.3f}")
        lines.append(f"| {case} | {' | '.join(cells)} |")
    return "\n".join(lines)


def enhancement(name: str) -> str:
    lines = ["| case | before (source) | synthetic | real target | change reached |", "|---|---|---|---|---|"]
    for row in result("real_pairs")[name]["lesions"]:
        if row["kind"] == "enhancement":
            figures = [f"{row[f'index_{role}']:.2f}" for role in ("source", "synthetic", "target")]
            lines.append(f"| {row['case']} | {' | '.join(figures)} | {100 * row['share_reached']:.0f} % |")
    return "\n".join(lines)


def training() -> str:
    content = result("real_pairs")
    seconds = {name: content[name]["training_seconds"] for name in ("t1ce_to_t1", "t1_to_t1ce")}
    spent = [f"{name} {found / 60:.0f} min" for name, found in seconds.items() if found is not None]
    if not spent:
        return f"An earlier run trained the bundles; its duration is not known ({machine(content)})."
    return f"Training took {' and '.join(spent)} on {machine(content)} while other jobs ran."


STEP_PARTS = {
    "draw": "windows drawn and augmented",
    "forward": "network, forward",
    "loss": "loss",
    "backward": "network and loss, backward",
    "update": "gradients clipped, AdamW",
    "average": "EMA weights",
    "step": "**whole step**",
}


def step() -> str:
    content = result("step")
    plain, ours = content["seconds"]["plain"], content["seconds"]["voxlate"]
    lines = ["| processor seconds of one step | plain torch | voxlate | plain / voxlate |", "|---|---|---|---|"]
    for part, title in STEP_PARTS.items():
        lines.append(f"| {title} | {plain[part]:.3f} | {ours[part]:.3f} | {plain[part] / ours[part]:.1f} |")
    lines += [
        "",
        "| change, seconds of the part that it changes | before | after | before / after |",
        "|---|---|---|---|",
    ]
    for title, row in content["changes"].items():
        before, after = row["before"], row["after"]
        lines.append(f"| {title} | {before:.3f} | {after:.3f} | {before / after:.2f} |")
    window = " x ".join(map(str, content["window"]))
    note = (
        f"`{content['recipe']}`, width {content['width']}, {content['batch']} windows of {window} voxels of "
        f"{content['data']}, one thread; medians of {content['rounds']} steps of each kind in turns, at a load of "
        f"{content['load_at_start']:.1f} when they began. Both kinds draw the same windows; their losses differed by a "
        f"share of at most {content['largest_relative_difference_of_loss']:.0e}. `python benchmarks/bench_step.py`, "
        f"{machine(content)}."
    )
    return "\n".join([*lines, "", note])


def speed() -> str:
    content = result("translate")
    shape = " x ".join(map(str, content["shape"]))
    return (
        f"A {shape} volume takes {content['seconds_median']:.1f} s (median of {content['repeats']}) and "
        f"{content['peak_gib']:.1f} GiB, from reading the bundle to writing the sidecar ({machine(content)})."
    )


def edge_agreement() -> str:
    content = result("prepare")["edge_agreement"]
    same, different = content["one_head"], content["two_heads"]
    return (
        f"On real skull-stripped scans ({same['n']} pairs of one head, T1ce with T1, T2 or FLAIR) edge agreement was "
        f"never below {same['min']:.2f}; after the best registration of two different heads ({different['n']} pairs) "
        f"it was never above {different['max']:.2f}. These are few scans, so the thresholds are provisional; the page "
        "shows every value."
    )


def prepare() -> str:
    content = result("prepare")
    made, real = content["simulated"], content["real"]
    rows = [
        ("rigid, simulated, moved by 15 mm and 15°: error in the brain", "rigid_error_mm", "mm"),
        ("the same pair moved and registered again: change", "rigid_repeat_error_mm", "mm"),
        ("rigid, 1 mm head", "rigid_seconds", "s"),
    ]
    lines = ["| | voxlate | plain ANTs calls |", "|---|---|---|"]
    for title, key, unit in rows:
        ours, theirs = made[key], made.get(f"ants_{key}")
        peer = f"{theirs['mean']:.3g} {unit}" if theirs else "not run"
        lines.append(f"| {title} (mean of {ours['n']}) | {ours['mean']:.3g} {unit} | {peer} |")
    for title, key, unit in (
        ("affine to the template, real 1 mm head", "affine_seconds", "s"),
        ("the same, moved and registered again: change", "affine_repeat_mm", "mm"),
        ("N4, real 1 mm head", "n4_seconds", "s"),
    ):
        peer = f"{real[f'ants_{key}']:.3g} {unit}" if f"ants_{key}" in real else "not run"
        lines.append(f"| {title} | {real[key]:.3g} {unit} | {peer} |")
    lines += ["", "| brain mask, simulated 1 mm heads | Dice, mean | lowest |", "|---|---|---|"]
    for name, row in made["mask_dice"].items():
        lines.append(f"| {name} | {row['mean']:.3f} | {row['min']:.3f} |")
    given = real["mask_dice_given"]
    lines.append(f"| deepbet T1ce, against the mask supplied with a real scan of 5.5 mm slices | {given:.3f} | |")
    peak = real["affine_peak_gib"]
    memory = f"{peak['here']:.1f} GiB in the main process and {peak['greedy']:.1f} GiB in the process of Greedy"
    lines += ["", f"The mask and the affine transform of this scan need {memory}."]
    lines += ["", "| whole real pair | seconds | moved | edge agreement |", "|---|---|---|---|"]
    for name, row in real["pairs"].items():
        lines.append(f"| {name} | {row['seconds']:.0f} | {row['moved_mm']:.1f} mm | {row['edge_agreement']:.2f} |")
    return "\n".join([*lines, "", f"`python benchmarks/bench_prepare.py`, {machine(content)}."])


def systems() -> str:
    content = result("systems")
    minutes = content["minutes_of_one_core"]
    lines = []
    for task in dict.fromkeys(row["task"] for row in content["systems"]):
        rows = [row for row in content["systems"] if row["task"] == task]
        head = f"| {task}, mean over {rows[0]['test_cases']} test cases, in the brain | MAE, % | PSNR, dB | SSIM |"
        lines += [head + " MAE after the best linear fit, % | steps |", "|---|---|---|---|---|---|"]
        own = next(row for row in rows if row["system"] == "voxlate")
        for baseline in ("source", "histogram_match"):
            lines.append(_system_line(TITLES[baseline], own["mean"], baseline, ""))
        best = max(rows, key=lambda row: row["mean"]["as_written"]["synthetic"]["psnr"])
        figures = best["mean"]["as_written"]
        gap = abs(figures["blurred_target"]["psnr"] - figures["synthetic"]["psnr"])
        matched = "" if gap <= MATCHED_DB else f" (not reached: {gap:.1f} dB away)"
        title = f"target blurred to the PSNR of {best['system']}{matched}"
        lines.append(_system_line(title, best["mean"], "blurred_target", ""))
        for row in rows:
            steps = " + ".join(f"{count:,}" for count in row["steps"])
            name = "**voxlate**" if row["system"] == "voxlate" else row["system"]
            lines.append(_system_line(name, row["mean"], "synthetic", steps))
        lines.append("")
    command = f"`python benchmarks/bench_systems.py --minutes {minutes:g}`, {machine(content)}"
    lines.append(
        f"Each system had {minutes:g} minutes of CPU time on one core for training, and a reduced width; "
        f"`benchmarks/results/systems.json` lists these and all other changes. {command}, other jobs running."
    )
    return "\n".join(lines)


def _system_line(title: str, mean: dict[str, Any], method: str, steps: str) -> str:
    row, line = mean["as_written"][method], mean["linear_fit"][method]
    return f"| {title} | {row['mae']:.2f} | {row['psnr']:.2f} | {row['ssim']:.3f} | {line['mae']:.2f} | {steps} |"


def networks() -> str:
    content = result("networks")
    size = " x ".join(map(str, content["volume"]))
    lines = [
        f"| network | parameters | window x batch | s per step | GiB | s per {size} volume |",
        "|---|---|---|---|---|---|",
    ]
    for name, row in content["networks"].items():
        window = " x ".join(map(str, row["window"])) + f" x {row['batch']}"
        volume = "" if row["seconds_per_volume"] is None else f"{row['seconds_per_volume']:.2f}"
        lines.append(
            f"| {name}, width {row['arguments']['width']} | {row['parameters']:,} | {window} | "
            f"{row['seconds_per_step']:.2f} | {row['training_gib']:.1f} | {volume} |"
        )
    return "\n".join([*lines, "", f"`python benchmarks/bench_networks.py`, {machine(content)}."])


def head_segmenter() -> str:
    content = result("head_segmenter")
    classes = list(content["dice"]["T1w"])
    lines = [f"| Dice on {content['tested_heads']} unseen simulated heads | {' | '.join(classes)} |"]
    lines.append("|---" * (len(classes) + 1) + "|")
    for contrast, row in content["dice"].items():
        lines.append(f"| {contrast} | {' | '.join(f'{row[name]:.2f}' for name in classes)} |")
    minutes = content["processor_seconds"] / 60
    made = f"Training: {content['heads']} heads, {content['steps']:,} steps, {minutes:.0f} minutes on one core"
    return "\n".join([*lines, "", f"{made} ({machine(content)})."])


def batch() -> str:
    content = result("batch")
    lines = [f"| {content['cases']:,} small volumes | cases per second | ms per case and worker | largest process |"]
    lines.append("|---|---|---|---|")
    for row in content["runs"]:
        name = f"{row['workers']} worker{'s' if row['workers'] > 1 else ''}"
        lines.append(
            f"| {name} | {row['cases_per_second']:.1f} | {row['ms_per_case_and_worker']:.0f} | {row['peak_mib']} MiB |"
        )
    quarter, own = content["a_quarter_of_the_cases"]["peak_mib"], content["overhead_ms_per_case"]
    added = f"{own:.0f} ms per case" if own > 0 else "below the variation between runs"
    text = (
        f"Translating and writing the same volumes in a loop takes {content['ms_in_a_row']:.0f} ms per case; the "
        f"overhead of the batch is {added}. "
        f"After a quarter of the cases the largest process had {quarter} MiB. A manifest of "
        f"{content['rows_planned']:,} rows is read, checked and split in {content['planning_seconds']:.1f} s. "
        f"`python benchmarks/bench_batch.py`, {machine(content)}."
    )
    return "\n".join([*lines, "", text])


def tissues() -> str:
    content = result("tissues")
    made, real = content["simulated_dice_with_truth"], content["real_dice_of_t1_with_t1ce"]
    kinds = ("CSF", "GM", "WM")
    head = "| | simulated T1w, Dice with the truth | simulated T1ce | real: Dice of T1 with T1ce of one brain |"
    lines = [head, "|---|---|---|---|"]
    for name in made["T1w"]:
        cells = [
            " / ".join(f"{row[kind]:.2f}" for kind in kinds)
            for row in (made["T1w"][name], made["T1ce"][name], real[name])
        ]
        lines.append(f"| `{name}` | {' | '.join(cells)} |")
    first = next(iter(made["T1w"].values()))["n"]
    second = next(iter(real.values()))["n"]
    note = f"CSF / GM / WM; {first} simulated heads at 2 mm, {second} real pairs"
    return "\n".join([*lines, "", f"{note}. `python benchmarks/bench_tissues.py`, {machine(content)}."])


def metrics() -> str:
    content = result("metrics")
    size = " x ".join(map(str, content["shape"]))
    lines = [f"| SSIM of one pair, {size} voxels | value | difference | seconds |", "|---|---|---|---|"]
    for name, row in content["ssim"].items():
        lines.append(f"| {name} | {row['ssim']:.4f} | {row['difference']:.1e} | {row['seconds']:.2f} |")
    text = (
        "Difference: to scikit-image in double precision, over the whole image without its border of 5 voxels, or over "
        f"the mask, which covers {100 * content['mask_share']:.0f} % of it. Other libraries pad the image or use other "
        f"windows, so their values are another quantity. `python benchmarks/bench_metrics.py`, {machine(content)}."
    )
    return "\n".join([*lines, "", text])


def evaluation() -> str:
    content = result("evaluate")
    memory, size = content["own_memory_mib"], " x ".join(map(str, content["shape"]))
    records = content.get("one_case", {})
    one_case = f"\n\n{_one_case(records['after'], records['before'])}" if "after" in records else ""
    return (
        f"{content['cases']:,} small cases ({size} voxels) by {content['processes']} processes: "
        f"{content['cases_per_second']:.1f} cases per second. The main process used "
        f"{memory['after_a_tenth']:.0f} MiB after a tenth of the cases and {memory['at_the_end']:.0f} MiB at the end, "
        f"the largest worker {content['largest_child_mib']:.0f} MiB. A second run, which reuses all results, takes "
        f"{content['seconds_of_a_second_run']:.0f} s (`python benchmarks/bench_evaluate.py`, {machine(content)}, "
        f"other jobs running).{one_case}"
    )


def _one_case(now: dict[str, Any], before: dict[str, Any]) -> str:
    size, parts = " x ".join(map(str, now["shape"])), now["processor_s_of_parts"]
    shares = ", ".join(f"{part} {seconds:.1f} s" for part, seconds in parts.items())
    return (
        f"One case of {size} voxels without skull, with a lesion, no model: {now['processor_s']:.1f} processor seconds "
        f"on one thread, peak {now['peak_mib']:.0f} MiB. Under a profiler, which adds some: {shares} (`start` is that "
        f"of the program, with the tables). Before the target's filters were shared (commit "
        f"{before['machine']['commit']}): {before['processor_s']:.1f} s, {before['peak_mib']:.0f} MiB. "
        f"`python benchmarks/bench_evaluate_case.py`, {machine(now)}, the fewest of {now['rounds']} rounds, other jobs "
        "running."
    )


def runtime() -> str:
    content = result("runtime")
    lines = [
        "| one 240 x 240 x 155 volume | seconds | times as fast as MONAI | GiB | largest difference, % of the range |",
        "|---|---|---|---|---|",
    ]
    for row in content["rows"]:
        apart = "" if row["largest_difference"] is None else f"{100 * row['largest_difference']:.2g}"
        figures = f"{row['seconds']:.1f} | {row['times_as_fast_as_monai']:.1f} | {row['peak_gib']:.1f} | {apart}"
        lines.append(f"| {row['engine']} | {figures} |")
    box = " x ".join(map(str, content["shapes"]["box"]))
    note = (
        f"`monai` is the SlidingWindowInferer of MONAI around the plain network, `monai-unet` the same around a U-Net "
        f"of MONAI, and `windows` is the sliding window of voxlate, all with windows of {content['window'][0]}³ that "
        f"overlap by {content['overlap']:.0%} over the whole volume. `box` is what `voxlate translate` does: the "
        f"bounding box of the brain, {box}, in one piece. Differences are to torch on the same windows; that of MONAI "
        "comes from its blending. "
        f"{_eight_bits(content)} Rounds: {content['rounds']}. `python benchmarks/bench_runtime.py`, {machine(content)}."
    )
    lines += ["", note]
    counted = content["operations"]
    limit = (
        f"The convolutions of the {counted['windows']} windows need {counted['gmac'] / 1000:.2f} T multiply-adds. At "
        f"the rate of this processor for one convolution of 64 channels ({counted['gmac_per_second_float32']:.0f} G "
        f"per second in 32 bits, {counted['gmac_per_second_int8']:.0f} G in 8 bits) they take at least "
        f"{counted['least_seconds_float32']:.1f} s and {counted['least_seconds_int8']:.1f} s."
    )
    return "\n".join([*lines, "", limit])


def _eight_bits(content: dict[str, Any]) -> str:
    judged, lost = content["accelerated"]["int8"], content["test_cases"]["lost"].get("int8")
    if lost is None:
        return (
            f"8 bits were rejected for this network: the worst of {judged['cases']} validation cases loses "
            f"{judged['ssim_lost']:.4f} SSIM and {judged['psnr_lost_db']:.3f} dB with {judged['kept']} convolutions at "
            f"either end kept in 32 bits."
        )
    cases = content["test_cases"]["cases"]
    return f"On {cases} test cases the 8-bit network loses {lost['psnr_db']:.3f} dB and {lost['ssim']:.4f} SSIM."


def gate() -> str:
    content = result("gate")
    lines = ["| real scans | n | in distribution | flagged | refused |", "|---|---|---|---|---|"]
    lines += [
        f"| {row['scans']} | {row['n']} | {row['known']} | {row['unusual']} | {row['unknown']} |"
        for row in content["rows"]
    ]
    note = f"{content['training_scans']} training scans, T1ce. `python benchmarks/bench_gate.py`, {machine(content)}."
    lines += ["", note]
    return "\n".join(lines)


def uncertainty() -> str:
    content = result("uncertainty")
    fitted = content["calibration"]
    lines = [
        "| simulated heads | n | within 1 expected error | within 2 | calibration error | within 1, uncalibrated |"
    ]
    lines.append("|---|---|---|---|---|---|")
    for name, row in content["spread"].items():
        shares = f"{row['within_one']:.0%} | {row['within_two']:.0%} | {row['calibration_error']:.2f}"
        lines.append(f"| {name} | {row['cases']} | {shares} | {row['uncalibrated']['within_one']:.0%} |")
    note = (
        f"{content['networks']} networks; expected error² = {fitted['floor']:.3f}² + ({fitted['factor']:.1f} x "
        f"SD^{fitted['power']:.2f})², fitted on {fitted['cases']} other heads. Normally distributed errors would give "
        f"68 % and 95 %. "
        f"`python benchmarks/bench_uncertainty.py`, {machine(content)}."
    )
    return "\n".join([*lines, "", note])


def expected_error() -> str:
    """Returns how well the expected error of the pretrained models predicts the error on real pairs."""
    content = result("expected_error")
    lines = ["| model | real pairs | within it | within twice of it | range over pairs | rank correlation |"]
    lines.append("|---" * 6 + "|")
    for name, each in content["models"].items():
        pooled, shares = each["left_one_out"], [case["within_one"] for case in each["cases"].values()]
        lines.append(
            f"| `{name}` | {len(each['cases'])} | {100 * pooled['within_one']:.0f} % | "
            f"{100 * pooled['within_two']:.0f} % | {100 * min(shares):.0f} to {100 * max(shares):.0f} % within it | "
            f"{pooled['correlation']:.2f} |"
        )
    note = (
        "Shares of the voxels of the brain whose error is below the expected error; normally distributed errors would "
        "give 68 % and 95 %. Each pair is judged by a fit on the others. Rank correlation of expected and actual "
        f"error. `python benchmarks/bench_expected_error.py`, {machine(content)}."
    )
    return "\n".join([*lines, "", note])


def coverage() -> str:
    content = result("uncertainty")["gate"]
    lines = ["| | n | wrong type or error | in distribution | flagged | refused |", "|---|---|---|---|---|---|"]
    for kind, each in content.items():
        for row in each["rows"]:
            counts = " | ".join(str(row[key]) for key in ("n", "wrong", "known", "flagged", "refused"))
            lines.append(f"| {kind}: {row['scans']} | {counts} |")
    areas = [
        f"{kind} {each['curve']['area']:.3f} (lowest possible {each['curve']['least_area']:.3f})"
        for kind, each in content.items()
    ]
    return "\n".join([*lines, "", f"Area under the risk-coverage curve: {', '.join(areas)}."])


def faults() -> str:
    content = result("faults")
    same = "the same bytes" if content["same_bytes_after_kills"] else "OTHER BYTES"
    disk = "the same bytes" if content["same_bytes_after_full_disk"] else "OTHER BYTES"
    statuses = ", ".join(f"{state} {status}" for state, status in content["disk_exit_statuses"].items())
    return (
        f"{content['cases']} cases with {content['kills_of_runs']} + {content['kills_of_commands']} SIGKILLs of the "
        f"run, {content['kills_of_workers']} of single workers, {content['second_runners_refused']} refused second "
        f"runs, and {content['files_spoiled']} truncated or foreign files: {same} as an uninterrupted run. A disk that "
        f"is first full, then read-only, then large enough (exit statuses: {statuses}): {disk}. "
        f"`python benchmarks/bench_faults.py`, {machine(content)}."
    )


def memory() -> str:
    content = result("memory")
    networks = "; ".join(
        f"`{row['recipe']}` {row['planned_mib']:.0f} and {row['measured_mib']:.0f} MiB" for row in content["networks"]
    )
    return (
        f"Copies of the volume: {content['copies_planned']} planned, {content['copies_measured']:.1f} measured. Memory "
        f"of the networks for a window of {content['window']}³, planned and measured: {networks}. `python "
        f"benchmarks/bench_memory.py`, {machine(content)}."
    )


def index() -> str:
    content = result("index")
    memory = content["resident_mib"]
    same = "the same bytes" if content["same_bytes_after_kill"] else "OTHER BYTES"
    return (
        f"{content['series']:,} simulated series of one file each: {content['series_per_s']:,.0f} series per second "
        f"with two processes, {content['ratio_to_pydicom_alone']:.2f} times the rate of pydicom alone in one process, "
        f"which checks and stores nothing; {content['series_per_s_when_nothing_changed']:,.0f} per second if nothing "
        f"has changed. Memory: {memory['quarter']} MiB after a quarter, {memory['all_read']} MiB after reading all "
        f"files, {memory['table_written']} MiB with pyarrow at the end. A run that was killed after a third and "
        f"continued gave {same}. Store {content['store_mib']:.0f} MiB, table {content['table_mib']:.1f} MiB "
        f"({machine(content)}; `benchmarks/bench_index.py`)."
    )


ASKED = {"proper": "proper T1w", "agent": "gadolinium", "low": "low quality", "medium": "medium against good"}
TARGET = {"proper": 0.94, "agent": 0.97, "low": 0.87, "medium": 0.79}


def accuracy(row: dict[str, Any] | None) -> str:
    return (
        "" if row is None else f"{row['balanced_accuracy']:.3f} ({row['interval'][0]:.3f} to {row['interval'][1]:.3f})"
    )


def warehouse() -> str:
    content = result("warehouse")
    heads = ("simulated, balanced accuracy (95 % interval)", "Bottani et al.", "header rules", "voxels", "both")
    lines = [
        f"| {' | '.join(heads)} | final answer (answered) | voxels, 90 % sure: answered, wrong |",
        "|---" * 7 + "|",
    ]
    for scanner in ("D", "F"):
        found = content[f"scanner_{scanner}"]
        for name, title in ASKED.items():
            cells = [accuracy(found[name].get(by)) for by in ("header", "pixels", "both")]
            answered = 100 * found[name]["told"]["answered"]
            cells.append(f"{accuracy(found[name]['told'])} ({answered:.0f} %)")
            sure = found[name]["abstaining"].get("pixels", found[name]["abstaining"])
            at = sure["sure"].index(0.9)
            wrong = sure["risk"][at]
            cells.append(f"{100 * sure['coverage'][at]:.0f} %, {'none' if wrong is None else f'{100 * wrong:.1f} %'}")
            images = found[name]["pixels"]["images"]
            lines.append(f"| scanner {scanner}, {title}, {images} images | {TARGET[name]:.2f} | {' | '.join(cells)} |")
    kinds = content["scanner_D"]["kinds"]
    evidence = {"pixels": "voxels"}
    rates = ", ".join(
        f"by {evidence.get(by, by)} {100 * row['right']:.0f} % ({100 * row['not_told']:.0f} %)"
        for by, row in kinds.items()
    )
    lines.append(f"\nContrast of the images of scanner D, correct (unknown): {rates}.")
    shares = {name: 100 * share for name, share in content["scanner_D"]["shares"].items()}
    lines.append(
        f"\nOf the images of scanner D, {shares['not_t1w']:.0f} % are not T1w, {shares['after_agent']:.0f} % of the "
        f"others are after gadolinium, and {shares['low']:.0f} % are of low quality. "
        f"{shares['header_conflict_or_unknown']:.0f} % of the headers are contradictory or do not mention a contrast "
        "agent. Neither these scanners nor these patients were used for training "
        f"({machine(content)}; `benchmarks/bench_warehouse.py`)."
    )
    return "\n".join(lines)


def warehouse_real() -> str:
    content = result("warehouse")
    total = content["real"]
    lines = ["| scan | contrast | predicted | agent | predicted, probability | layer A |", "|---" * 6 + "|"]
    for row in content["real_scans"]:
        agent = f"{row['told_agent']}, {row['agent_probability']:.2f}" if row["shows"] == "T1w" else ""
        layer = "; ".join(filter(None, (row["verdict"], row["failed"], row["noted"])))
        lines.append(f"| {row['scan']} | {row['shows']} | {row['told']} | {row['agent']} | {agent} | {layer} |")
    lines.append(
        f"\nThe contrast is correct for {total['contrast_right']} of {total['scans']} scans and unknown for "
        f"{total['contrast_unknown']}; the contrast agent is correct for {total['agent_right']} of {total['t1w']} T1w "
        f"and unknown for {total['agent_unknown']}."
    )
    return "\n".join(lines)


def quality_rules() -> str:
    from voxlate.quality.rules import RULES, VERSION

    lines = ["| code | value | warning | failure or note |", "|---" * 4 + "|"]
    for rule in RULES:
        sign = "below" if rule.is_least else "above"
        cells = [f"{sign} {limit:g}" if isfinite(limit) else "" for limit in (rule.warn, rule.fail)]
        lines.append(f"| {rule.code} | {rule.words} | {cells[0]} | {cells[1]}{' (noted)' if rule.is_note else ''} |")
    return "\n".join([*lines, "", f"Limits of version {VERSION}."])


def intervals() -> str:
    content = result("intervals")
    sizes = list(dict.fromkeys(row["n"] for row in content["rows"]))
    lines = [f"| values | {' | '.join(f'n = {n}' for n in sizes)} |", "|---" * (len(sizes) + 1) + "|"]
    for kind in dict.fromkeys(row["values"] for row in content["rows"]):
        cells = [f"{100 * row['covers']:.1f} %" for row in content["rows"] if row["values"] == kind]
        lines.append(f"| {kind} | {' | '.join(cells)} |")
    return "\n".join(
        [
            *lines,
            "",
            f"{content['samples']:,} samples each. `python benchmarks/bench_intervals.py`, {machine(content)}.",
        ]
    )


def agent() -> str:
    """Returns what is left of a contrast agent's enhancement, by baselines over all pairs and by a model."""
    content = result("enhancement")
    metrics = ("residual_enhancement", "less_than_half_removed", "disturbance")
    lines = ["| real pairs | residual enhancement | less than half removed | disturbance |", "|---" * 4 + "|"]
    lines.append("| untouched source | 100 % | 100 % | 100 % |")
    pairs = content["pairs"].values()
    for name, title in (("blurred", "source blurred by 2 mm"), ("curve", "best intensity curve of each scan (oracle)")):
        values = [[pair["left"][name][metric] for pair in pairs if pair["left"][name]] for metric in metrics]
        cells = [f"{mean(own):.0f} % (median {median(own):.0f} %)" for own in values]
        lines.append(f"| {title}, {len(pairs)} pairs | {' | '.join(cells)} |")
    regions = {"residual_enhancement": "enhanced", "less_than_half_removed": "enhanced", "disturbance": "mask"}
    own = {(r["region"], r["metric"], r["method"]): r for r in content["model"]["rows"]}
    for method, title in (("curve", "the same"), ("histogram_match", "histogram match"), ("synthetic", "**voxlate**")):
        found = [own[regions[metric], metric, method] for metric in metrics]
        cells = [f"{row['mean']:.0f} % (median {row['median']:.0f} %)" for row in found]
        lines.append(f"| {title}, the {len(content['model']['cases'])} test pairs | {' | '.join(cells)} |")
    shares = [pair["share_of_mask_percent"] for pair in pairs]
    reverse = [pair["reverse_share_percent"] for pair in pairs]
    note = (
        f"Of the mask, {min(shares):.2f} to {max(shares):.1f} % enhance. Where T1ce is darker, the rule finds "
        f"{median(reverse):.0f} % as many voxels in the median pair and {max(reverse):.0f} % at most. "
        f"`python benchmarks/bench_enhancement.py`, {machine(content)}."
    )
    return "\n".join([*lines, "", note])


def rows_by_method(
    head: str,
    rows: Iterable[Mapping[str, Any]],
    columns: Mapping[str, tuple[str, str, int, str]],
    methods: Mapping[str, str],
) -> list[str]:
    """Returns a table with a row for each method; the figures of the contrast agent have their intervals.

    Args:
        head: of the first column.
        rows: of a summary, with region, metric, method, mean, low and high.
        columns: region, metric, digits and unit by the head of each column.
        methods: title by method, in the order of the rows.
    """
    found = {(row["region"], row["metric"], row["method"]): row for row in rows}
    lines = [f"| {head} | {' | '.join(columns)} |", "|---" * (len(columns) + 1) + "|"]
    for method, title in methods.items():
        cells = []
        for region, metric, digits, unit in columns.values():
            row, is_agent = found.get((region, metric, method)), metric in AGENT_METRICS
            if row is None:
                cells.append("100 %" if method == "source" and is_agent else "")
                continue
            has_interval = is_agent and row["low"] is not None
            spread = f" [{row['low']:.0f}, {row['high']:.0f}]" if has_interval else ""
            cells.append(f"{row['mean']:.{digits}f}{unit}{spread}")
        lines.append(f"| {title} | {' | '.join(cells)} |")
    return lines


REMOVAL = {
    "residual enhancement": ("enhanced", "residual_enhancement", 0, " %"),
    "less than half removed": ("enhanced", "less_than_half_removed", 0, " %"),
    "disturbance": ("mask", "disturbance", 0, " %"),
    "MAE, % of range": ("mask", "mae", 2, ""),
    "PSNR, dB": ("mask", "psnr", 2, ""),
    "SSIM": ("mask", "ssim", 3, ""),
}
"""Columns of a model that removes contrast agent: region, metric, digits and unit by heading; see `rows_by_method`."""


def simulated_training() -> str:
    """Returns residual enhancement and image quality of a model trained on simulated heads alone, on real pairs."""
    content = result("simulated_training")
    methods = {
        "source": "untouched source",
        "histogram_match": "histogram match (to the simulated targets)",
        "curve": "best intensity curve of each scan (oracle)",
        "blurred_target": "blurred target",
        "synthetic": "**voxlate, trained on simulated heads alone**",
    }
    head = f"{len(content['cases'])} real pairs"
    lines = rows_by_method(head, [*content["enhancement"], *content["brain"]], REMOVAL, methods)
    note = (
        f"Means over the pairs with 95 % intervals in brackets; {content['heads']} simulated heads and windows of "
        f"{content['tissue_maps']} more from {content['maps']} label maps, {content['steps']:,} steps. "
        f"`python benchmarks/bench_simulated_training.py`, {machine(content)}."
    )
    return "\n".join([*lines, "", note])


def shipped() -> str:
    """Returns a sentence on the recommended model on real pairs, each by its training without the pair."""
    content = result("fine_tuning")
    rows = content["summary"]["shipped"]
    left, half = rows["enhanced:residual_enhancement"], rows["enhanced:less_than_half_removed"]
    errors = ", ".join(
        f"{title} {rows[key]['mean']:.{digits}f}{unit} (untouched {rows[f'source:{key}']['mean']:.{digits}f}{unit})"
        for title, key, digits, unit in (
            ("MAE in the brain", "mask:mae", 1, " %"),
            ("in lesions", "lesion:mae", 1, " %"),
            ("PSNR", "mask:psnr", 1, " dB"),
        )
    )
    return (
        f"`t1ce-to-t1` on {left['n']} real pairs, each translated by its training without the pair (leave-three-out): "
        f"**{left['mean']:.0f} % of the enhancement is left** [{left['low']:.0f}, {left['high']:.0f}], "
        f"{half['mean']:.0f} % of the enhanced voxels are less than half removed; {errors}. "
        f"`python benchmarks/bench_fine_tuning.py`, {machine(content)}."
    )


def start_share() -> str:
    """Returns what fine-tuned models do that keep a share of the weights that they started from."""
    content = result("start_share")
    columns = {
        "residual enhancement": "enhanced:residual_enhancement",
        "disturbance": "mask:disturbance",
        "MAE": "mask:mae",
        "in lesions: MAE": "lesion:mae",
    }
    lines = [f"| training | share kept | {' | '.join(columns)} | MAE, p |", "|---" * (len(columns) + 3) + "|"]
    for training, shares in content["trainings"].items():
        for number, (share, found) in enumerate(shares.items()):
            means = [found["summary"][key]["mean"] for key in columns.values()]
            p = found["minus_none_kept"].get("mask:mae", {}).get("p_permutation")
            cells = ["" if number else training, share, f"{means[0]:.0f} %", f"{means[1]:.0f} %"]
            cells += [f"{means[2]:.2f} %", f"{means[3]:.2f} %", "" if p is None else f"{p:.3f}"]
            lines.append("| " + " | ".join(cells) + " |")
    note = (
        "`t1ce-to-t1-simulated`, fine-tuned on six of nine real pairs and tested on the three others, in three folds: "
        "600 steps, and 1,800 processor seconds (some 7,000 steps). p: permutation test over the nine pairs against a "
        f"share of 0, not adjusted. `python benchmarks/bench_start_share.py`, {machine(content)}."
    )
    return "\n".join([*lines, "", note])


def fine_tuning() -> str:
    """Returns residual enhancement and image quality of fine-tuned models on pairs that they were not trained on."""
    content = result("fine_tuning")
    columns = {
        "residual enhancement, mean [95 %], median": ("enhanced:residual_enhancement", 0, " %"),
        "less than half removed": ("enhanced:less_than_half_removed", 0, " %"),
        "disturbance": ("mask:disturbance", 0, " %"),
        "in lesions: residual": ("enhanced_lesion:residual_enhancement", 0, " %"),
        "in lesions: MAE": ("lesion:mae", 1, " %"),
        "MAE": ("mask:mae", 2, " %"),
        "PSNR, dB": ("mask:psnr", 2, ""),
        "SSIM": ("mask:ssim", 3, ""),
    }
    titles = {
        "source": "untouched source, nine pairs",
        "zero_shot": "`t1ce-to-t1-simulated`: simulated heads alone",
        "real_only": "real pairs alone, leave-three-out",
        "fine_tuned": "A: `t1ce-to-t1-simulated`, then real pairs, leave-three-out",
        "mixed": "the same with simulated and semi-synthetic windows",
        "several_pairs": "B: the same with fewer of these windows, of 96 voxels, 900 steps",
        "shipped": "**`t1ce-to-t1`**: 40 % of the weights of A, 40 % of B, 20 % of their start",
        "two_pairs": "`t1ce-to-t1-simulated`, then two pairs; the seven others",
        "two_pairs_mixed": "the same with simulated and semi-synthetic windows of 96 voxels, 900 steps",
    }
    lines = [f"| | {' | '.join(columns)} |", "|---" * (len(columns) + 1) + "|"]
    for name, title in titles.items():
        rows = content["summary"]["zero_shot" if name == "source" else name]
        cells = []
        for key, digits, unit in columns.values():
            row = rows.get(f"source:{key}" if name == "source" else key)
            if row is None:
                cells.append("")
                continue
            text = f"{row['mean']:.{digits}f}{unit}"
            if "residual" in key and name != "source":
                text += f" [{row['low']:.0f}, {row['high']:.0f}], {row['median']:.0f}{unit}"
            cells.append(text)
        lines.append(f"| {title} | {' | '.join(cells)} |")

    def told(comparison: str) -> str:
        tests = content[comparison]
        return "; ".join(
            f"{name} {tests[key]['difference']:+.2f} (p = {tests[key]['p_permutation']:.3f}, n = {tests[key]['n']})"
            for name, key in (
                ("residual enhancement", "enhanced:residual_enhancement"),
                ("less than half removed", "enhanced:less_than_half_removed"),
                ("MAE in lesions", "lesion:mae"),
                ("MAE", "mask:mae"),
            )
        )

    # A training that does not depend on what has changed since needs no repetition.
    trained_at = {name: commit for name, commit in content["trained_at"].items() if commit}
    commits = "; ".join(
        f"{commit}: {', '.join(f'`{name}`' for name, other in trained_at.items() if other == commit)}"
        for commit in dict.fromkeys(trained_at.values())
    )
    note = (
        f"Each pair is tested by a model that did not see it; {content['steps']} steps on real pairs unless said. "
        f"Errors in % of the target's range. Permutation tests over pairs. Fine-tuned minus real pairs alone: "
        f"{told('fine_tuned_minus_real_only')}. With the further windows minus without, six pairs: "
        f"{told('mixed_minus_fine_tuned')}; two pairs: {told('two_pairs_mixed_minus_two_pairs')}. "
        f"`t1ce-to-t1` minus `t1ce-to-t1-simulated`: {told('shipped_minus_zero_shot')}; minus real pairs alone: "
        f"{told('shipped_minus_real_only')}. Trained at commits {commits}. "
        f"`python benchmarks/bench_fine_tuning.py`, {machine(content)}."
    )
    return "\n".join([*lines, "", note])


def cache() -> str:
    """Returns what a cache of fitted preparations saves."""
    content = result("cache")
    seconds, shape = content["runs"], " x ".join(map(str, content["shape"]))
    same = "the same bytes" if content["same_bytes"] else "OTHER BYTES"
    return (
        f"A simulated head of {shape} voxels with its mask, translated in the frame `t1_linear` with a bias-field "
        f"correction: {seconds['without']:.0f} processor seconds without a cache, {seconds['empty']:.0f} with an empty "
        f"one and {seconds['filled']:.0f} with a filled one, start of the program included; {same}. The cache takes "
        f"{content['kept_mib']:.1f} MiB. `python benchmarks/bench_cache.py`, {machine(content)}."
    )


def allocator() -> str:
    """Returns what the settings of the allocator save."""
    content = result("allocator")
    lines = [
        "| verb | processor seconds, glibc's defaults | voxlate's settings | times as fast | peak, MiB | peak, MiB |",
        "|---|---|---|---|---|---|",
    ]
    for verb, row in content["verbs"].items():
        seconds = " | ".join(f"{row[kind]['processor_s']:.1f}" for kind in ("default", "voxlate"))
        peaks = " | ".join(f"{row[kind]['peak_mib']:,.0f}" for kind in ("default", "voxlate"))
        lines.append(f"| `{verb}` | {seconds} | {row['times_as_fast']:.2f} | {peaks} |")
    lines.append(
        f"\nOne head of 1 mm each, start of the program included; `train` takes {content['training_steps']} steps on "
        f"heads of 2 mm. One thread, the lower of {content['rounds']} rounds; peaks in the order of the seconds. "
        f"`python benchmarks/bench_allocator.py`, {machine(content)}."
    )
    return "\n".join(lines)


def single_sample() -> str:
    """Returns what convolutions of one sample cost, by PyTorch's own way and by oneDNN."""
    content = result("single_sample")
    lines = [
        "| processor seconds | PyTorch's own way | voxlate | times as fast | each of two windows |",
        "|---|---|---|---|---|",
    ]
    rows = [(f"step on one window, {name}", row) for name, row in content["steps"].items()]
    rows.append(("`t1ce-to-t1` on one brain", content["inference"]))
    for name, row in rows:
        two = f"{row['two']:.2f}" if "two" in row else ""
        lines.append(f"| {name} | {row['own']:.2f} | {row['onednn']:.2f} | {row['own'] / row['onednn']:.1f} | {two} |")
    lines.append(
        "\nForward and backward on 64 x 64 x 64 voxels; a brain of 150 x 180 x 150 voxels. One thread, the least of "
        f"five rounds. `python benchmarks/bench_single_sample.py`, {machine(content)}."
    )
    return "\n".join(lines)


def like() -> str:
    """Returns the error of a translated scan with the contrast of a reference scan."""
    content = result("like")
    titles = {
        "source": "untouched source",
        "synthetic": "translated",
        "both_visit": "`--like` a scan of the same patient from another visit",
        "network_visit": "the same by the network alone",
        "curve_visit": "the same by a curve alone",
        "both_others": "`--like` a scan of another patient (real pairs: mean over the eight others)",
        "network_others": "the same by the network alone",
        "curve_others": "the same by a curve alone",
        "both_target": "*bound:* `--like` the target itself",
        "network_target": "the same by the network alone",
        "curve_target": "the same by a curve alone",
    }
    groups = {
        f"simulated, scanner {name} to {content['reference']}": [
            row for row in content["simulated"] if row["scanner"] == name
        ]
        for name in dict.fromkeys(row["scanner"] for row in content["simulated"])
    }
    groups["real pairs"] = content["real"]
    lines = [f"| MAE in the brain, % | {' | '.join(groups)} |", "|---" * (len(groups) + 1) + "|"]
    for key, title in titles.items():
        cells = []
        for rows in groups.values():
            values = [row[key] for row in rows if key in row]
            better = sum(row[key] < row["synthetic"] for row in rows if key in row)
            told = "" if key in ("source", "synthetic") else f" ({better} of {len(values)} better)"
            cells.append(f"{sum(values) / len(values):.2f}{told}" if values else "")
        lines.append(f"| {title} | {' | '.join(cells)} |")
    note = (
        "Mean absolute error in % of the target's range, each image in units of its median. Better: than translated. "
        f"{_agent_with_reference(content['real'])}`python benchmarks/bench_like.py`, {machine(content)}."
    )
    return "\n".join([*lines, "", note])


def _agent_with_reference(rows: list[dict[str, Any]]) -> str:
    """Returns what is left of the enhancement of real pairs without and with the target as reference; empty without."""
    if not rows:
        return ""
    texts = []
    for key in ("residual_enhancement", "less_than_half_removed"):
        means = [sum(row["agent"][way][key] for row in rows) / len(rows) for way in ("synthetic", "both_target")]
        texts.append(f"{key.replace('_', ' ')} {means[0]:.0f} % and {means[1]:.0f} %")
    worst = max(rows, key=lambda row: row["agent"]["both_target"]["residual_enhancement"])
    pair = [worst["agent"][way]["residual_enhancement"] for way in ("synthetic", "both_target")]
    return (
        f"Real pairs, translated and with the target as reference: {', '.join(texts)}; in the pair where most is left "
        f"{pair[0]:.0f} % and {pair[1]:.0f} %. "
    )


def _cells_by_set(sets: dict[str, Any], method: str) -> list[str]:
    """Returns MAE, PSNR and SSIM of a method in each test set; empty where it was not measured."""
    return [
        f"{rows[method][key]:.{digits}f}" if method in rows else ""
        for rows in sets.values()
        for key, digits in (("mae", 1), ("psnr", 1), ("ssim", 3))
    ]


def ct_to_mr() -> str:
    """Returns the image quality of the models of CT on simulated heads that they never saw."""
    content = result("simulated_models")
    titles = {
        "constant": "constant",
        "histogram_match": "CT, histogram matched to the training targets",
        "blurred_target": "blurred target (knows the target)",
        "synthetic": "**translated**",
    }
    lines = ["| model | | MAE, % | PSNR, dB | SSIM | new scanner: MAE, % | PSNR, dB | SSIM |", "|---" * 8 + "|"]
    names = [name for name in content["models"] if name.startswith("ct-")]
    for name in names:
        sets = content["models"][name]["sets"]
        for method, title in titles.items():
            cells = _cells_by_set(sets, method)
            shown = f"`{name}`" if method == "constant" else ""
            lines.append(f"| {shown} | {title} | {' | '.join(cells)} |")
    count = len(content["models"][names[0]]["cases"]) // 2
    note = (
        f"Means in the brain over {count} simulated heads of known scanners and {count} of a new one, all of label "
        f"maps that training never saw. `python benchmarks/bench_simulated_models.py`, {machine(content)}."
    )
    return "\n".join([*lines, "", note])


def drawn_windows() -> str:
    """Returns what windows drawn from tissue maps cost and bring, beside windows cut from simulated heads."""
    content = result("drawn_windows")
    real = content["t1ce_to_t1"]
    lines: list[str] = []
    titles = {"cut": "windows of 44 simulated heads", "drawn": f"half of them drawn from {content['heads']} maps"}
    for kind, title in titles.items():
        rows = [*real[kind]["enhancement"], *real[kind]["brain"]]
        methods = ({"source": "untouched source"} if kind == "cut" else {}) | {"synthetic": title}
        table = rows_by_method(f"T1ce to T1, {len(real[kind]['cases'])} real pairs", rows, REMOVAL, methods)
        lines += table if kind == "cut" else table[2:]
    shipped = result("simulated_training")
    title = "shipped `t1ce-to-t1-simulated`: windows of 44 heads, then 6,000 steps like the row above"
    lines += rows_by_method("", [*shipped["enhancement"], *shipped["brain"]], REMOVAL, {"synthetic": title})[2:]
    lines += ["", "| CT to T1, simulated heads | MAE, % | PSNR, dB | SSIM | new scanner: MAE, % | PSNR, dB | SSIM |"]
    lines.append("|---" * 7 + "|")
    for kind, title in (("cut", "windows of 32 simulated heads"), ("drawn", "all windows drawn")):
        sets = content["ct_to_t1"][kind]
        cells = _cells_by_set(sets, "synthetic")
        lines.append(f"| {title} | {' | '.join(cells)} |")
    cost = content["cost"]
    note = (
        f"Second stage of the training (of CT, the last), {content['steps']['drawn']:,} steps from the same weights. "
        f"The shipped model: `python benchmarks/bench_simulated_training.py`, {machine(shipped)}. Means in the brain "
        f"with 95 % intervals in brackets. Two windows of 64 voxels take {1000 * cost['draw_drawn']:.0f} ms of one "
        f"core to draw and {1000 * cost['draw_cut']:.0f} ms to cut; a step takes {cost['step_drawn']:.2f} s and "
        f"{cost['step_cut']:.2f} s. `python benchmarks/bench_drawn_windows.py`, {machine(content)}."
    )
    return "\n".join([*lines, "", note])


def added_agent() -> str:
    """Returns what the model that adds contrast agent does on real pairs."""
    content = result("simulated_models")
    model = content["models"]["t1-t2-flair-to-t1ce"]
    columns = {
        "missing enhancement": ("enhanced", "residual_enhancement", 0, " %"),
        "in lesions": ("enhanced_lesion", "residual_enhancement", 0, " %"),
        "less than half added": ("enhanced", "less_than_half_removed", 0, " %"),
        "disturbance": ("mask", "disturbance", 0, " %"),
        "MAE": ("mask", "mae", 2, " %"),
        "in lesions: MAE": ("lesion", "mae", 1, " %"),
        "PSNR, dB": ("mask", "psnr", 2, ""),
        "SSIM": ("mask", "ssim", 3, ""),
    }
    methods = {
        "source": "untouched T1",
        "histogram_match": "histogram match",
        "constant": "constant",
        "synthetic": "**translated**",
    }
    lines = rows_by_method("nine real pairs", model["rows"], columns, methods)
    note = (
        "Means over the pairs with 95 % intervals in brackets; 100 % missing is the untouched T1. The model saw no "
        f"real scan. `python benchmarks/bench_simulated_models.py`, {machine(content)}."
    )
    return "\n".join([*lines, "", note])


_SPACING_HEAD = (
    "| voxels, mm | | residual enhancement, mean [95 %], median | less than half removed | disturbance | MAE |",
    "|---" * 6 + "|",
)


def spacing() -> str:
    """Returns residual enhancement and error of the pretrained models by voxel size."""
    content = result("spacing")
    titles = {
        "resampled": "resampled to 1 mm and back (default)",
        "kept": "own voxels (`--keep-spacing`)",
        "before": "*bound:* translated at 1 mm, then averaged",
    }
    lines = list(_SPACING_HEAD)
    for name, ways in content["conditions"].items():
        is_original = name == "1 x 1 x 1"
        source = ways["source"]["mask:mae"]["mean"]
        lines.append(f"| {name} | untouched source | 100 % | 100 % | 100 % | {source:.2f} % |")
        lines += [_spacing_line("translated", ways["resampled"])] if is_original else []
        lines += [] if is_original else [_spacing_line(title, ways[way]) for way, title in titles.items()]
    note = (
        "Model `t1ce-to-t1-simulated`, which saw no real scan in training, on nine real pairs whose voxels of 1 mm "
        "were averaged over slices (left-right x back-front x down-up); 0.5 mm is interpolated. Mean absolute error in "
        "the brain in % of the target's range, each image in units of its median. "
        f"`python benchmarks/bench_spacing.py`, {machine(content)}."
    )
    return "\n".join([*lines, "", note])


def scanners() -> str:
    """Returns the two models that remove contrast agent by simulated scanner."""
    content = result("scanners")
    heads = (
        "scanner",
        "model",
        "residual enhancement",
        "less than half removed",
        "MAE in the brain (untouched)",
        "in lesions (untouched; constant)",
        "RMSE over the lowest possible",
    )
    lines = ["| " + " | ".join(heads) + " |", "|---" * len(heads) + "|"]
    for name, scanner in content["scanners"].items():
        about = f"{name}: {scanner['about']}" + (" (not in training)" if scanner["is_held_out"] else "")
        for number, model in enumerate(content["models"]):
            rows, oracle = scanner[model]["rows"], scanner[model]["oracle"]
            means = {key: row["mean"] for key, row in rows.items()}
            brain, untouched = means["synthetic:mask:mae"], means["source:mask:mae"]
            lesion, before, constant = (means[f"{way}:lesion:mae"] for way in ("synthetic", "source", "constant"))
            cells = (
                "" if number else about,
                f"`{model}`",
                f"{means['synthetic:enhanced:residual_enhancement']:.0f} %",
                f"{means['synthetic:enhanced:less_than_half_removed']:.0f} %",
                f"{brain:.1f} % ({untouched:.1f})",
                f"{lesion:.1f} % ({before:.1f}; {constant:.1f})",
                f"{oracle['synthetic_rmse_percent'] / oracle['oracle_rmse_percent']:.1f}",
            )
            lines.append("| " + " | ".join(cells) + " |")
    note = (
        f"Means over {content['patients']} simulated patients of a scanner, the same for all, 1 mm, with the true "
        "brain mask; their anatomy is not among those of training. Source and target have one sequence, each its own "
        f"noise and shading. `python benchmarks/bench_scanners.py`, {machine(content)}."
    )
    return "\n".join([*lines, "", note])


def spacing_tuned() -> str:
    """Returns the two models that remove contrast agent by voxel size, on pairs that neither has seen."""
    content = result("spacing")
    lines = list(_SPACING_HEAD)
    for name, models in content["fine_tuned"].items():
        for number, (model, rows) in enumerate(models.items()):
            lines.append(_spacing_line(f"`{model}`", rows, first="" if number else name))
    note = (
        "Nine real pairs, translated the default way; `t1ce-to-t1` by its training without the pair. "
        f"`python benchmarks/bench_spacing.py`, {machine(content)}."
    )
    return "\n".join([*lines, "", note])


def _spacing_line(title: str, rows: dict[str, Any], *, first: str = "") -> str:
    left = rows["enhanced:residual_enhancement"]
    half, elsewhere = (rows[key]["mean"] for key in ("enhanced:less_than_half_removed", "mask:disturbance"))
    text = f"{left['mean']:.0f} % [{left['low']:.0f}, {left['high']:.0f}], {left['median']:.0f} %"
    return f"| {first} | {title} | {text} | {half:.0f} % | {elsewhere:.0f} % | {rows['mask:mae']['mean']:.2f} % |"


def readers() -> str:
    content = result("readers")
    lines = [
        "| readers | cases | true AUC | coverage of 95 % interval | declared different | equivalence declared (± 0.1) |"
    ]
    lines.append("|---" * 6 + "|")
    for row in content["statistics"]["rows"]:
        shares = [f"{100 * row[key]:.1f} %" for key in ("coverage_95", "declared_different", "declared_equivalent_0.1")]
        lines.append(f"| {row['readers']} | {row['cases']} | {row['true_auc']:.2f} | {' | '.join(shares)} |")
    load, leaks = content["load"], content["leaks"]
    found = sum(leaks["planted_found"].values())
    note = (
        f"1,000 simulated studies each (Roe and Metz). {load['readers']} simultaneous readers, the server killed "
        f"{load['kills']} times: {load['answers_kept']:,} of {load['answers_acknowledged']:,} acknowledged answers "
        f"kept, {load['lost']} lost, {load['doubled']} duplicated. {found} of {len(leaks['planted_found'])} planted "
        f"leaks found, {leaks['false_alarms']} false alarms in {leaks['trials_without_leak']} studies without one. "
        f"`python benchmarks/bench_readers.py --parts load,leaks,statistics`, commits "
        f"{', '.join(dict.fromkeys(content[part]['commit'] for part in ('statistics', 'load', 'leaks')))}."
    )
    return "\n".join([*lines, "", note])


def simulate() -> str:
    content = result("simulate")
    lines = ["| one subject | seconds | processor-seconds | memory |", "|---|---|---|---|"]
    for name, row in content["one_subject"].items():
        lines.append(f"| {name} | {row['clock_s']:.1f} | {row['processor_s']:.1f} | {row['peak_gib']:.1f} GiB |")
    stream = content["stream"]
    beside = content["beside_real"]
    ratios = {
        kind: [row["grey_to_white_clusters"] for name, row in beside.items() if name.startswith(kind) and len(row) > 0
               and "grey_to_white_clusters" in row]
        for kind in ("simulated", "real")
    }  # fmt: skip
    note = (
        f"Memory over {stream['subjects']:,} subjects in a row: {stream['peak_gib_after_a_quarter']:.2f} GiB after a "
        f"quarter, {stream['peak_gib_at_the_end']:.2f} GiB at the end (`{stream['command']}`). Grey over white matter "
        f"in T1w: simulated {min(ratios['simulated']):.2f} to {max(ratios['simulated']):.2f}, real "
        f"{min(ratios['real']):.2f} to {max(ratios['real']):.2f}; the simulated tissues differ too much. "
        f"`python benchmarks/bench_simulate.py`, {machine(content)}."
    )
    return "\n".join([*lines, "", note])


GPUS = {"RTX 3060": (12, 12.7), "T4": (16, 8.1), "RTX 4090": (24, 82.6), "A100": (40, 156.0)}
"""Memory in GiB, and dense rate in 1e12 operations per second that NVIDIA states: float32, for the A100 TF32, which
torch uses there for convolutions."""

GPU_SHARE = 0.2
"""Share of the stated rate that a training reaches; assumed, not measured. The networks that were timed on two CPU
cores reach 1 to 36 % of the rate of a plain convolution (`runtime.json`)."""

GPU_OVERHEAD_GIB = 1.0
"""Memory of the driver and of cuDNN on a GPU; chosen by hand; not measured."""


def hardware_measured() -> str:
    content, counted = result("networks"), result("hardware")["measured"]
    lines = [
        "| network | window x batch | training, GiB | s per step | 1e9 operations per s | one volume, GiB | s |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, row in content["networks"].items():
        if row["seconds_per_volume"] is None:
            continue
        window = " x ".join(map(str, row["window"])) + f" x {row['batch']}"
        rate = 2 * counted[name] / row["seconds_per_step"]
        lines.append(
            f"| {name}, width {row['arguments']['width']} | {window} | {row['training_gib']:.1f} | "
            f"{row['seconds_per_step']:.2f} | {rate:.0f} | {row['peak_gib']:.1f} | {row['seconds_per_volume']:.2f} |"
        )
    size, whole = " x ".join(map(str, content["volume"])), result("translate")
    text = (
        f"A volume is {size} voxels. GiB are of the whole process, program included. {speed()} The runtimes of "
        "OpenVINO are faster ([speed](../how-to/speed.md)). `python benchmarks/bench_networks.py`, "
        f"{machine(content)}; `bench_translate.py`, {machine(whole)}."
    )
    return "\n".join([*lines, "", text])


def hardware_estimated() -> str:
    content = result("hardware")
    rate = _cpu_rate(content)
    lines = [
        f"| recipe | parameters | training, GiB | fits into | 2 CPU cores | {' | '.join(GPUS)} | one brain, GiB |",
        "|---" * (6 + len(GPUS)) + "|",
    ]
    for row in content["recipes"]:
        name = row["recipe"].removesuffix(".yaml") + (f", {row['variant']}" if row["variant"] else "")
        operations = 2e9 * row["gmac_of_a_step"] * row["steps"]
        need = row["training_gib"] + GPU_OVERHEAD_GIB
        times = [_duration(operations / rate)]
        for gib, speed_of in GPUS.values():
            times.append(_duration(operations / (GPU_SHARE * 1e12 * speed_of)) if need <= gib else "does not fit")
        smallest = min((gib for gib, _ in GPUS.values() if gib >= need), default=0)
        fits = f"{smallest} GiB" if smallest else "none of these"
        lines.append(
            f"| {name} | {row['parameters'] / 1e6:.1f} M | {row['training_gib']:.1f} | {fits} | {' | '.join(times)} | "
            f"{row['volume_gib']:.1f} |"
        )
    text = (
        "**Estimated, not measured.** GiB: weights, optimiser, activations and gradients of one step, counted on "
        f"torch's meta device; {GPU_OVERHEAD_GIB:g} GiB is added for a GPU. Measured peaks of three networks on a CPU "
        "were 7 to 20 % higher. Time: operations of all steps, forward and backward, divided by "
        f"{100 * GPU_SHARE:.0f} % of the rate that NVIDIA states ("
        + ", ".join(f"{name} {rate_of:g}" for name, (_, rate_of) in GPUS.items())
        + " x 10¹² per second; A100: TF32), or by the median rate of the networks that were timed on two CPU cores "
        f"({rate / 1e9:.0f} x 10⁹). Reading, augmentation, validation and frozen networks of feature losses are not "
        "counted; a discriminator is counted in every step. A brain is "
        f"{' x '.join(map(str, content['box']))} voxels. `python benchmarks/bench_hardware.py`, commit "
        f"{content['machine']['commit']}."
    )
    return "\n".join([*lines, "", text])


def _cpu_rate(content: dict[str, Any]) -> float:
    """Returns the median operations per second of the generators that were timed on the CPU."""
    timed = result("networks")["networks"]
    return median(
        2e9 * content["measured"][name] / row["seconds_per_step"]
        for name, row in timed.items()
        if row["seconds_per_volume"] is not None
    )


def _duration(seconds: float) -> str:
    """Returns a duration with as many digits as an estimate deserves."""
    for unit, size in (("days", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size or unit == "min":
            return f"{seconds / size:.0f} {unit}" if seconds >= size else f"below 1 {unit}"
    raise AssertionError


TABLES: dict[str, Callable[[], str]] = {
    "hardware_measured": hardware_measured,
    "hardware_estimated": hardware_estimated,
    "evaluation": evaluation,
    "intervals": intervals,
    "agent": agent,
    "readers": readers,
    "simulate": simulate,
    "spacing": spacing,
    "spacing_tuned": spacing_tuned,
    "scanners": scanners,
    "metrics": metrics,
    "batch": batch,
    "index": index,
    "warehouse": warehouse,
    "warehouse_real": warehouse_real,
    "quality_rules": quality_rules,
    "gate": gate,
    "uncertainty": uncertainty,
    "expected_error": expected_error,
    "coverage": coverage,
    "faults": faults,
    "memory": memory,
    "runtime": runtime,
    "head_segmenter": head_segmenter,
    "networks": networks,
    "systems": systems,
    "tissues": tissues,
    "t1ce_to_t1": lambda: quality("t1ce_to_t1", "as_written"),
    "t1ce_to_t1_linear": lambda: quality("t1ce_to_t1", "linear_fit"),
    "t1ce_to_t1_cases": lambda: cases("t1ce_to_t1"),
    "t1_to_t1ce": lambda: quality("t1_to_t1ce", "as_written"),
    "t1_to_t1ce_cases": lambda: cases("t1_to_t1ce"),
    "t1ce_to_t1_enhancement": lambda: enhancement("t1ce_to_t1"),
    "t1_to_t1ce_enhancement": lambda: enhancement("t1_to_t1ce"),
    "edge_agreement": edge_agreement,
    "simulated_training": simulated_training,
    "fine_tuning": fine_tuning,
    "shipped": shipped,
    "start_share": start_share,
    "like": like,
    "cache": cache,
    "allocator": allocator,
    "single_sample": single_sample,
    "ct_to_mr": ct_to_mr,
    "drawn_windows": drawn_windows,
    "added_agent": added_agent,
    "prepare": prepare,
    "training": training,
    "speed": speed,
    "step": step,
}


def cost(name: str) -> str:
    content = result("cost_laws")
    return f"{COST_TABLES[name](content)} `python benchmarks/bench_cost_laws.py`, {machine(content)}."


TABLES |= {name: partial(cost, name) for name in COST_TABLES}


def rebuilt(text: str) -> str:
    """Returns a document with each of its tables made anew."""

    def table(found: re.Match[str]) -> str:
        return f"<!-- table:{found[1]} -->\n{TABLES[found[1]]()}\n<!-- end -->"

    return re.sub(r"<!-- table:(\w+) -->\n.*?<!-- end -->", table, text, flags=re.DOTALL)


def main() -> int:
    stale = []
    for path in [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]:
        text = path.read_text(encoding="utf-8")
        if (new := rebuilt(text)) != text:
            stale.append(path.name)
            if "--check" not in sys.argv:
                path.write_text(new, encoding="utf-8")
    print(f"{'differ from the results' if '--check' in sys.argv else 'rebuilt'}: {', '.join(stale) or 'none'}")
    return int(bool(stale) and "--check" in sys.argv)


if __name__ == "__main__":
    sys.exit(main())
