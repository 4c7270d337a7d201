"""Many cases: nothing lost, nothing twice, whatever dies."""

import gzip
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import fields, replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from dicom_series import everywhere, write_series
from faulty import Faulty
from phantoms import head

from voxlate.cli.batch import batch as command
from voxlate.cli.running import RunOptions, run_table
from voxlate.errors import CannotWrite, InputRefused, ModelInvalid, NoInput, TemporaryFailure, UsageError
from voxlate.inference.batch import Translation, translate_many
from voxlate.inference.files import translate_file
from voxlate.inference.item import Item
from voxlate.inference.manifest import read_manifest
from voxlate.inference.translate import Options
from voxlate.inference.verify import differences, status_of
from voxlate.io import atomic
from voxlate.io.nifti import read_volume, write_volume
from voxlate.jobs.batch import run_batch
from voxlate.jobs.executors import Limits, in_processes, in_this_process, on_dask
from voxlate.jobs.ledger import read_ledger
from voxlate.jobs.states import CaseOutcome, State

COUNT = 6


@pytest.fixture
def scans(tmp_path):
    """Six scans, one of which is refused, and their manifest."""
    folder = tmp_path / "scans"
    lines = ["case\tsource"]
    for number in range(COUNT):
        scan = head(number, shape=(14, 15, 13))
        write_volume(folder / f"s{number}.nii.gz", scan if number != 4 else scan.with_data(0 * scan.data))
        lines.append(f"case{number}\ts{number}.nii.gz")
    (folder / "manifest.tsv").write_text("\n".join(lines) + "\n")
    return folder / "manifest.tsv"


@pytest.fixture
def work(identity, bundle):
    return Translation((identity,), bundle.weights_sha256, Options())


@pytest.fixture
def engine(work):
    return partial(in_this_process, work)


def test_the_status_counts_the_done_cases_that_are_flagged(tmp_path, scans):
    from click.testing import CliRunner

    from voxlate import cli

    def ends(items, out):
        for item in items:
            write_volume(out / f"{item.name}.nii.gz", head(0, shape=(14, 15, 13)))
            flag = "INPUT_UNUSUAL" if item.name in ("case1", "case2") else ""
            digest = atomic.sha256(out / f"{item.name}.nii.gz")
            yield CaseOutcome(item.name, State.DONE, files={f"{item.name}.nii.gz": digest}, flag=flag)

    run_batch(read_manifest(scans), tmp_path / "out", {}, ends)
    assert status_of(tmp_path / "out").flags == {"INPUT_UNUSUAL": 2}
    said = CliRunner().invoke(cli.voxlate, ["status", str(tmp_path / "out")])
    assert "INPUT_UNUSUAL                 2 of the done: look at them before use" in said.output


def tree(out: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in out.iterdir() if not path.name.startswith(".")}


def named(tmp_path, *names):
    text = "case\tsource\n" + "".join(f"{name}\t{name}.nii\n" for name in names)
    (tmp_path / "named.tsv").write_text(text)
    return read_manifest(tmp_path / "named.tsv")


def test_every_case_comes_to_an_end_and_the_counts_add_up(scans, engine, tmp_path):
    seen = []
    run_batch(
        read_manifest(scans), tmp_path / "out", {"model": "m"}, engine, watch=lambda outcome: seen.append(outcome.state)
    )
    status = status_of(tmp_path / "out")
    assert (status.cases, status.done, status.refused, status.failed, status.pending) == (6, 5, 1, 0, 0)
    assert sum(status.codes.values()) == 1
    assert sorted(seen) == ["done"] * 5 + ["refused"]
    assert status.exit_status == 8
    rows = (tmp_path / "out" / "ledger.tsv").read_text().splitlines()
    assert [row.split("\t")[:2] for row in rows[1:]] == [
        [f"case{n}", "refused" if n == 4 else "done"] for n in range(COUNT)
    ]
    assert not list(differences(tmp_path / "out"))
    assert not (tmp_path / "out" / ".work").exists()


@pytest.mark.parametrize("code", ["NO_INPUT", "UNREADABLE", "MISSING_LIBRARY"])
def test_a_refusal_with_a_cause_outside_the_scan_is_retried_when_asked_for_and_any_other_is_not(tmp_path, code):
    manifest, out = named(tmp_path, "a", "b", "c"), tmp_path / "out"

    def refuses(items, out):
        for item in items:
            yield CaseOutcome(item.name, State.REFUSED, "CONSTANT" if item.name == "c" else code, "why")

    def ends(items, out):
        for item in items:
            (out / item.name).write_text("done")
            yield CaseOutcome(item.name, State.DONE, files={item.name: atomic.sha256(out / item.name)})

    run_batch(manifest, out, {}, refuses)
    run_batch(manifest, out, {}, ends)
    assert status_of(out).refused == 3
    run_batch(manifest, out, {}, ends, retry=True)
    status = status_of(out)
    assert (status.cases, status.done, status.refused, status.failed, status.pending) == (3, 2, 1, 0, 0)
    assert status.codes == {"CONSTANT": 1}


def test_a_second_run_does_nothing_and_a_broken_file_is_made_again(scans, engine, tmp_path):
    manifest, out = read_manifest(scans), tmp_path / "out"
    run_batch(manifest, out, {}, engine)
    before, seen = tree(out), []
    run_batch(manifest, out, {}, engine, watch=lambda outcome: seen.append(outcome.state))
    assert (seen, tree(out)) == ([], before)
    (out / "case1.nii.gz").write_bytes(before["case1.nii.gz"][:100])
    (out / "case2.json").unlink()
    (out / "stray.nii.gz").write_bytes(b"")
    assert [line.split(":")[0] for line in differences(out)] == ["case1.nii.gz", "case2.json", "stray.nii.gz"]
    (out / "stray.nii.gz").unlink()
    run_batch(manifest, out, {}, engine, watch=lambda outcome: seen.append(outcome.state))
    assert seen == ["done", "done"]
    assert tree(out) == before


def test_a_file_that_no_line_of_the_ledger_speaks_of_is_not_taken_for_done(scans, engine, tmp_path):
    manifest, out = read_manifest(scans), tmp_path / "out"
    with pytest.raises(KeyboardInterrupt):
        run_batch(manifest, out, {}, engine, watch=interrupt_after(2))
    (out / "case5.nii.gz").write_bytes(b"planted")
    (out / "case5.json").write_text("{}")
    run_batch(manifest, out, {}, engine)
    run_batch(manifest, tmp_path / "whole", {}, engine)
    assert tree(out) == tree(tmp_path / "whole")


def interrupt_after(count):
    left = [count]

    def watch(outcome):
        left[0] -= 1
        if not left[0]:
            raise KeyboardInterrupt

    return watch


def test_shards_part_the_cases_and_one_runner_has_a_shard(scans, engine, tmp_path):
    manifest, out = read_manifest(scans), tmp_path / "out"
    parts = [{item.name for item in manifest.items((k, 3))} for k in (1, 2, 3)]
    assert set().union(*parts) == set(manifest.names())
    assert sum(map(len, parts)) == COUNT
    run_batch(manifest, out, {}, engine, shard=(1, 3))
    assert status_of(out).pending == COUNT - len(parts[0])

    def twice(items, folder):
        with pytest.raises(TemporaryFailure, match="SHARD_BUSY"):
            run_batch(manifest, out, {}, engine, shard=(2, 3))
        return engine(items, folder)

    run_batch(manifest, out, {}, twice, shard=(2, 3))
    run_batch(manifest, out, {}, engine, shard=(3, 3))
    run_batch(manifest, tmp_path / "whole", {}, engine)
    files, whole = tree(out), tree(tmp_path / "whole")
    assert files.pop("batch.json") != whole.pop("batch.json")  # it holds the number of shards
    assert files == whole


def test_another_manifest_model_or_folder_is_refused(scans, engine, tmp_path):
    manifest, out = read_manifest(scans), tmp_path / "out"
    run_batch(manifest, out, {"model": "a"}, engine)
    with pytest.raises(UsageError, match=r"BATCH_DIFFERS .*model"):
        run_batch(manifest, out, {"model": "b"}, engine)
    with pytest.raises(UsageError, match=r"BATCH_DIFFERS .*manifest_sha256"):
        run_batch(named(tmp_path, "x"), out, {"model": "a"}, engine)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.docx").touch()
    with pytest.raises(UsageError, match="FOLDER_OCCUPIED"):
        run_batch(manifest, tmp_path / "full", {}, engine)
    with pytest.raises(NoInput):
        status_of(tmp_path / "full")


def test_a_process_that_dies_fails_its_case_and_not_the_run(tmp_path):
    manifest = named(tmp_path, "a", "dies", "b", "once", "c", "hangs", "huge", "d")
    engine = partial(in_processes, [Faulty()] * 2, limits=Limits(seconds=2, gib=1))
    run_batch(manifest, tmp_path / "out", {}, engine)
    status = status_of(tmp_path / "out")
    assert (status.done, status.failed, status.pending) == (5, 3, 0)
    assert status.codes == {"KILLED": 1, "MEMORY": 1, "TIME": 1}
    assert read_ledger(tmp_path / "out")["once"].state == "done"


def test_the_processes_of_a_batch_take_the_gpus_in_turn_and_know_how_many_share_each(
    monkeypatch, identity, bundle, scans, tmp_path
):
    found = []

    def ends(works, items, out, *, limits):
        found.extend((work.options.device, work.options.sharing) for work in works)
        yield from in_this_process(replace(works[0], options=Options()), items, out)

    monkeypatch.setattr("voxlate.inference.devices.choose_device", lambda name: torch.device("cuda"))
    monkeypatch.setattr("voxlate.jobs.executors.in_processes", ends)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    words = ["m.tsv", "out", "-m", "model", "-j", "3", "--device", "cuda", "--runtime", "torch", "--no-progress"]
    given = command.make_context("batch", words).params
    how = RunOptions(**{field.name: given[field.name] for field in fields(RunOptions) if field.name in given})
    run_table(read_manifest(scans), tmp_path / "out", (identity,), how)
    assert found == [(torch.device("cuda", k), sharing) for k, sharing in ((0, 2), (1, 1), (0, 2))]


def test_what_failed_is_tried_again_only_when_asked(tmp_path):
    manifest, out = named(tmp_path, "a", "b"), tmp_path / "out"

    def failing(items, folder):
        return (CaseOutcome(item.name, State.FAILED, "KILLED") for item in items)

    run_batch(manifest, out, {}, failing)
    run_batch(manifest, out, {}, partial(in_this_process, Faulty()))
    assert status_of(out).failed == 2
    run_batch(manifest, out, {}, partial(in_this_process, Faulty()), retry=True)
    assert status_of(out).done == 2


@pytest.mark.parametrize("as_list", [False, True])
def test_a_broken_gpu_ends_the_run_with_its_reason_and_blames_no_case(
    scans, engine, bundle, tmp_path, monkeypatch, as_list
):
    def fail(*given, **options):
        raise RuntimeError("CUDA error: an illegal memory access was encountered\nCompile with")

    monkeypatch.setattr("voxlate.inference.batch.translate_file", fail)
    manifest, out = read_manifest(scans), tmp_path / "out"
    run = partial(translate_many, bundle, manifest.items((1, 1)), out)
    with pytest.raises(TemporaryFailure, match=r"DEVICE_FAULT case0: the GPU failed: CUDA error: an ill.*; run"):
        run() if as_list else run_batch(manifest, out, {}, engine)
    assert as_list or status_of(out).pending == COUNT


@pytest.mark.parametrize("message", ["CUDA error: out of memory", "cuDNN error: CUDNN_STATUS_ALLOC_FAILED"])
def test_a_gpu_that_is_full_fails_the_case_alone(scans, engine, tmp_path, monkeypatch, message):
    def fail(*given, **options):
        raise RuntimeError(message)

    monkeypatch.setattr("voxlate.inference.batch.translate_file", fail)
    run_batch(read_manifest(scans), tmp_path / "out", {}, engine)
    assert status_of(tmp_path / "out").codes == {"MEMORY": COUNT}


def test_a_full_disk_ends_the_run_and_blames_no_case(scans, engine, tmp_path, monkeypatch):
    manifest, out = read_manifest(scans), tmp_path / "out"

    def full(*arguments, **options):
        raise TemporaryFailure("IO", "x: No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("voxlate.inference.batch.translate_file", full)
        with pytest.raises(TemporaryFailure, match="IO"):
            run_batch(manifest, out, {}, engine)
    assert status_of(out).pending == COUNT
    run_batch(manifest, out, {}, engine)
    assert status_of(out).pending == 0


def test_a_bundle_that_is_changed_while_it_is_used_stops_the_run(scans, identity, work, tmp_path):
    other = Translation((identity,), "0" * 64, work.options)
    with pytest.raises(ModelInvalid, match="MODEL_CHANGED"):
        run_batch(read_manifest(scans), tmp_path / "out", {}, partial(in_this_process, other))


def test_a_scan_that_is_too_large_fails_alone_and_the_others_go_on(scans, identity, bundle, tmp_path):
    path = scans.parent / "s1.nii"  # a header of 700 x 700 x 700 voxels, without one
    header = bytearray(gzip.decompress((scans.parent / "s1.nii.gz").read_bytes())[:352])
    header[42:48] = np.array([700, 700, 700], "<i2").tobytes()
    path.write_bytes(bytes(header))
    scans.write_text(scans.read_text().replace("s1.nii.gz", "s1.nii"))
    work = Translation((identity,), bundle.weights_sha256, Options(memory_gib=2))
    run_batch(read_manifest(scans), tmp_path / "out", {}, partial(in_this_process, work))
    status = status_of(tmp_path / "out")
    assert (status.done, status.refused, status.failed, status.codes["MEMORY"]) == (4, 1, 1, 1)


def test_a_defect_in_one_case_is_that_case_s_failure(scans, engine, tmp_path, monkeypatch):
    def broken(bundle, source, *arguments, **options):
        raise ZeroDivisionError

    monkeypatch.setattr("voxlate.inference.batch.translate_file", broken)
    run_batch(read_manifest(scans), tmp_path / "out", {}, engine)
    assert status_of(tmp_path / "out").codes == {"UNEXPECTED": COUNT}


def test_a_read_only_folder_is_refused_before_anything_is_done(scans, engine, tmp_path):
    if os.geteuid() == 0:
        (tmp_path / "file").touch()
        place = tmp_path / "file" / "out"
    else:
        (tmp_path / "locked").mkdir(mode=0o500)
        place = tmp_path / "locked" / "out"
    with pytest.raises(CannotWrite, match="WRITE"):
        run_batch(read_manifest(scans), place, {}, engine)


def test_a_parquet_manifest_is_called_one_and_a_path_with_a_nul_refuses_its_case_alone(tmp_path):
    (tmp_path / "m.tsv").write_bytes(b"PAR1xxxx")
    with pytest.raises(InputRefused, match="Parquet"):
        read_manifest(tmp_path / "m.tsv")
    (tmp_path / "m.tsv").write_text("case\tsource\na\tx\0y.nii\nb\tz.nii\n")
    found = read_manifest(tmp_path / "m.tsv")
    assert (found.names(), list(found.faults)) == (["line-2", "b"], ["line-2"])


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("case\tfile\na\tb\n", "column source"),
        ("case\tsource\na\n", "line 2: 1 fields"),
        ("case\tsource\na\t\n", "line 2: no source"),
        ("case\tsource\na\tx\nb\ty\na\tz\n", "line 4: a case that occurs twice"),
        ('case\tsource\na\t"x\ny"\n', "line 2: a field with a line break"),
        ("case\tsource\tsource\na\tx\ty\n", "twice"),
    ],
)
def test_a_manifest_that_is_not_one_is_refused_with_its_line(tmp_path, text, reason):
    (tmp_path / "m.tsv").write_text(text)
    with pytest.raises(InputRefused, match=reason):
        read_manifest(tmp_path / "m.tsv")


@pytest.mark.parametrize(
    "bad", ["../a", "a\x0bb", "a\x85b", "a\u2028b", "a\x1cb", "a\x00b", "x" * 201, "é" * 101, ".a", "a\u202eb"]
)
def test_a_name_that_cannot_name_a_file_is_one_refused_case_and_the_books_balance(scans, engine, tmp_path, bad):
    rows = scans.read_text().splitlines()
    table = scans.with_name("bad.tsv")
    table.write_text("\n".join([rows[0], bad + "\t" + rows[1].split("\t", 1)[1], *rows[2:]]) + "\n")
    out = tmp_path / "out"
    for _ in range(2):
        run_batch(read_manifest(table), out, {}, engine)
        status = status_of(out)
        # One more is refused: the fixture's scan of zeros.
        assert (status.cases, status.done, status.refused, status.pending) == (COUNT, COUNT - 2, 2, 0)
        assert status.codes["CASE_NAME"] == 1
        assert list(differences(out)) == []


def test_what_a_killed_run_left_half_written_is_removed_by_the_next(scans, engine, tmp_path):
    out = tmp_path / "out"
    run_batch(read_manifest(scans), out, {}, engine)
    command = [sys.executable, "-c", "import os; print(os.getpid())"]
    dead = subprocess.run(command, capture_output=True, text=True, check=True)
    name = atomic._prefix().replace(f"-{os.getpid()}-", f"-{dead.stdout.strip()}-")
    (out / f"{name}x.tsv").touch()
    (out / f"{atomic._prefix()}y.tsv").touch()
    run_batch(read_manifest(scans), out, {}, engine)
    assert [path.name for path in out.glob(".partial-*")] == [f"{atomic._prefix()}y.tsv"]


def test_no_name_of_a_file_from_outside_reaches_a_ledger_or_a_log(scans, engine, tmp_path, caplog):
    folder = scans.parent / "ZQDUPONT_19430117"
    folder.mkdir()
    for number in (1, 2):
        write_series(folder / f"ZQINNER{number}", everywhere(SeriesInstanceUID=f"1.2.3.{number}"))
    write_volume(scans.parent / "ZQMARTIN.nii.gz", head(1, shape=(14, 15, 13)))
    cut = (scans.parent / "ZQMARTIN.nii.gz").read_bytes()
    (scans.parent / "ZQMARTIN.nii.gz").write_bytes(cut[: len(cut) // 2])
    scans.write_text(f"case\tsource\na\t{folder.name}\nb\tZQMARTIN.nii.gz\nc\tZQGONE.nii.gz\n")
    run_batch(read_manifest(scans), tmp_path / "out", {}, engine)
    told = caplog.text + "".join(p.read_text() for p in (tmp_path / "out").rglob("*") if p.is_file())
    assert status_of(tmp_path / "out").refused == 3
    assert "ZQ" not in told
    assert "SEVERAL_SERIES the source holds 2 series" in told


def test_bytes_that_are_no_text_no_row_and_no_file_are_refused(tmp_path):
    (tmp_path / "m.tsv").write_bytes(b"case\tsource\n\xff\tx\n")
    with pytest.raises(InputRefused, match="not UTF-8"):
        read_manifest(tmp_path / "m.tsv")
    (tmp_path / "m.tsv").write_text("case\tsource\n")
    for path in (tmp_path / "m.tsv", tmp_path / "none.tsv"):
        with pytest.raises(NoInput):
            read_manifest(path)


def test_a_formula_in_a_manifest_is_nothing_but_a_name(tmp_path):
    (tmp_path / "m.tsv").write_text("case\tsource\n=cmd()\t=SUM(A1)\n")
    assert [item.source.name for item in read_manifest(tmp_path / "m.tsv").items()] == ["=SUM(A1)"]


def killed_again_and_again(scans, identity, out, moments):
    """Runs the command, kills it with all its processes after each of the moments, and lets it end at last."""
    command = [sys.executable, "-c", "from voxlate.cli import main; main()", "batch", scans, out, "-m", identity]
    command = [str(word) for word in [*command, "--no-progress"]]
    for seconds in moments:
        running = subprocess.Popen(command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        time.sleep(seconds)
        running.send_signal(signal.SIGKILL)
        running.wait()
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 8, done.stderr
    return done


@pytest.mark.slow
def test_a_run_that_is_killed_at_random_moments_ends_with_the_bytes_of_one_that_was_not(scans, identity, tmp_path):
    moments = np.random.default_rng(1).uniform(1.0, 5.0, 12)
    killed_again_and_again(scans, identity, tmp_path / "killed", moments)
    killed_again_and_again(scans, identity, tmp_path / "whole", [])
    assert tree(tmp_path / "killed") == tree(tmp_path / "whole")
    assert not list(differences(tmp_path / "killed"))


def in_session(number):
    found = subprocess.run(["ps", "-o", "pid=,stat=", "-s", str(number)], capture_output=True, text=True, check=False)
    return [line.split()[0] for line in found.stdout.splitlines() if "Z" not in line]


def test_no_worker_outlives_a_run_that_was_killed_while_it_still_began(scans, identity, tmp_path):
    command = [sys.executable, "-c", "from voxlate.cli import main; main()", "batch", scans, tmp_path / "out"]
    command = [str(word) for word in [*command, "-m", identity, "--no-progress", "--jobs", "2"]]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    running = subprocess.Popen(command, start_new_session=True, **quiet)
    deadline = time.monotonic() + 60
    while len(in_session(running.pid)) < 3 and time.monotonic() < deadline:
        time.sleep(0.02)  # its workers are there now, but have not yet loaded what they work with
    running.send_signal(signal.SIGKILL)
    running.wait()
    while in_session(running.pid) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert in_session(running.pid) == []


@pytest.mark.slow
def test_the_commands_say_what_became_of_a_batch(scans, identity, tmp_path):
    out = tmp_path / "out"
    killed_again_and_again(scans, identity, out, [])
    run = [sys.executable, "-c", "from voxlate.cli import main; main()"]
    status = subprocess.run([*run, "status", str(out), "--json"], capture_output=True, text=True, check=False)
    assert (status.returncode, json.loads(status.stdout)["done"]) == (8, 5)
    assert subprocess.run([*run, "verify", str(out)], capture_output=True, check=False).returncode == 0
    (out / "case0.json").write_text("{}")
    verify = subprocess.run([*run, "verify", str(out)], capture_output=True, text=True, check=False)
    assert verify.returncode == 8
    assert "case0.json: changed" in verify.stdout


@pytest.mark.slow
def test_a_dask_scheduler_runs_the_cases_and_survives_one_that_kills_its_worker(tmp_path):
    distributed = pytest.importorskip("distributed")
    manifest = named(tmp_path, "a", "dies", "b", "c")
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, dashboard_address=None, host="127.0.0.1"
        ) as cluster,
    ):
        engine = partial(on_dask, Faulty(), address=cluster.scheduler_address)
        run_batch(manifest, tmp_path / "out", {}, engine)
    status = status_of(tmp_path / "out")
    assert (status.done, status.codes) == (3, {"KILLED": 1})


@pytest.mark.slow
def test_an_address_where_no_scheduler_answers_is_refused(tmp_path):
    pytest.importorskip("distributed")
    with pytest.raises(UsageError, match="SCHEDULER"):
        list(on_dask(Faulty(), iter(()), tmp_path, address="tcp://127.0.0.1:9"))


def test_a_folder_whose_claim_was_interrupted_is_claimed_again(scans, engine, tmp_path):
    manifest, out = read_manifest(scans), tmp_path / "out"
    (out / ".runs").mkdir(parents=True)
    (out / "names.txt").write_text("case0\n")
    run_batch(manifest, out, {}, engine)
    assert status_of(out).pending == 0


def test_another_number_of_shards_and_a_case_that_would_write_over_our_files_are_refused(scans, engine, tmp_path):
    run_batch(read_manifest(scans), tmp_path / "out", {}, engine, shard=(1, 3))
    with pytest.raises(UsageError, match=r"BATCH_DIFFERS .*shards"):
        run_batch(read_manifest(scans), tmp_path / "out", {}, engine)
    for name in ("batch", "Run"):
        (message,) = named(tmp_path, name).faults.values()
        assert "is reserved for a file of the whole run" in message


def listed(scans):
    return [item for item in read_manifest(scans).items() if item.name != "case4"]


def test_translating_many_scans_goes_on_where_it_was_stopped(scans, bundle, tmp_path, monkeypatch):
    items, out = listed(scans), tmp_path / "out"
    with pytest.raises(KeyboardInterrupt):
        translate_many(bundle, items, out, watch=interrupt_after(2))
    assert not (out / "run.json").exists()
    translated = []

    def counting(bundle, item, *arguments, **options):
        translated.append(item.name)
        return translate_file(bundle, item, *arguments, **options)

    monkeypatch.setattr("voxlate.inference.batch.translate_file", counting)
    seen = []
    outcomes = translate_many(bundle, items, out, watch=seen.append)
    assert [outcome.state for outcome in outcomes] == ["done"] * 5
    assert seen == outcomes
    assert translated == [item.name for item in items[2:]]
    translate_many(bundle, items, tmp_path / "whole")
    assert tree(out) == tree(tmp_path / "whole")


def test_a_run_goes_on_with_another_cache_as_with_the_same(scans, bundle, tmp_path):
    items, out, seen = listed(scans), tmp_path / "out", []
    with pytest.raises(KeyboardInterrupt):
        translate_many(bundle, items, out, options=Options(cache=tmp_path / "cache"), watch=interrupt_after(2))
    first = {path: path.stat().st_mtime_ns for path in out.glob("*.nii.gz")}
    translate_many(bundle, items, out, watch=seen.append)
    assert [outcome.state for outcome in seen] == ["done"] * 5  # one that is translated anew would be refused
    assert {path: path.stat().st_mtime_ns for path in first} == first


def test_only_what_the_run_that_is_continued_wrote_is_taken_for_done(scans, bundle, tmp_path):
    items, out = listed(scans)[:1], tmp_path / "out"
    image = out / "case0.nii.gz"

    def stopped(**options):
        with pytest.raises(KeyboardInterrupt):
            translate_many(bundle, items, out, watch=interrupt_after(1), **options)

    def ended(**options):
        (outcome,) = translate_many(bundle, items, out, **options)
        return outcome.code or outcome.state

    stopped()
    kept = image.read_bytes()
    assert ended() == "done"
    assert not (out / ".translate").exists()
    record = (out / "run.json").read_bytes()
    assert ended() == "OUTPUT_EXISTS"  # that run ended, and nothing is replaced without being asked
    assert (out / "run.json").read_bytes() == record  # a run that did nothing keeps the record of the one before
    stopped(overwrite=True)
    assert ended(options=Options(keep_spacing=True)) == "OUTPUT_EXISTS"
    stopped(overwrite=True)
    image.write_bytes(kept[:-9])
    assert ended() == "OUTPUT_EXISTS"
    stopped(overwrite=True)
    write_volume(scans.parent / "s0.nii.gz", head(9, shape=(14, 15, 13)))
    assert ended() == "OUTPUT_EXISTS"
    assert image.read_bytes() == kept


def test_the_uncertainty_of_many_scans_is_that_of_each_and_is_made_when_it_is_asked_for_later(scans, bundle, tmp_path):
    items, out, deviations = listed(scans)[:2], tmp_path / "out", tmp_path / "deviations"
    options = Options(mirror=True)
    with torch.no_grad():
        for weight in bundle.network.parameters():
            weight.normal_(std=0.1)  # a network whose answers to a scan and its mirror image differ
    with pytest.raises(KeyboardInterrupt):
        translate_many(bundle, items, out, options=options, watch=interrupt_after(2))
    outcomes = translate_many(bundle, items, out, spread=deviations, options=options, overwrite=True)
    assert [outcome.state for outcome in outcomes] == ["done"] * 2
    for item in items:
        alone = translate_file(bundle, item, tmp_path / f"{item.name}.nii.gz", options=options)
        found = read_volume(deviations / f"{item.name}.nii.gz")
        assert np.allclose(found.data, alone.spread.data, rtol=1e-5)
        assert found.data.max() > 0
        assert "Standard deviation" in json.loads((deviations / f"{item.name}.json").read_text())["Description"]
    kept = (out / "case0.nii.gz").read_bytes()
    with pytest.raises(KeyboardInterrupt):
        translate_many(bundle, items, out, spread=deviations, options=options, overwrite=True, watch=interrupt_after(2))
    (deviations / "case1.nii.gz").write_bytes(b"")
    states = [
        outcome.code or outcome.state
        for outcome in translate_many(bundle, items, out, spread=deviations, options=options)
    ]
    assert states == ["done", "OUTPUT_EXISTS"]  # the second is not what the run wrote
    assert (out / "case0.nii.gz").read_bytes() == kept


def test_the_uncertainty_of_one_prediction_and_one_among_the_outputs_are_refused_before_the_first_scan(
    scans, bundle, tmp_path
):
    with pytest.raises(UsageError, match="ONE_ANSWER"):
        translate_many(bundle, listed(scans), tmp_path / "out", spread=tmp_path / "deviations")
    with pytest.raises(UsageError, match="OUTPUT_IS_INPUT out is also the folder"):
        translate_many(
            bundle, listed(scans), tmp_path / "out", spread=tmp_path / "x" / ".." / "out", options=Options(mirror=True)
        )
    assert not (tmp_path / "out").exists()


def test_a_name_that_no_file_can_have_is_one_refused_scan_of_many(scans, bundle, tmp_path):
    items = [Item("bad\udcff/", scans.parent / "s0.nii.gz"), *listed(scans)[:1]]
    outcomes = translate_many(bundle, items, tmp_path / "out")
    assert [(outcome.case, outcome.state) for outcome in outcomes] == [("bad\\xff/", "refused"), ("case0", "done")]
    (refused,) = json.loads((tmp_path / "out" / "run.json").read_text())["not_done"]
    assert (refused["name"], refused["code"]) == ("bad\\xff/", "CASE_NAME")
