"""The ledger survives torn lines, wrong clocks and hostile names."""

import errno
import logging
import os
import threading

import pytest

from voxlate.errors import TemporaryFailure
from voxlate.jobs import batch
from voxlate.jobs.batch import record_outcome, write_table
from voxlate.jobs.ledger import Ledger, read_ledger
from voxlate.jobs.states import DONE, REFUSED, CaseOutcome


def test_a_torn_line_and_lines_of_nonsense_are_ignored(tmp_path):
    ledger = Ledger(tmp_path)
    ledger.add("a", "done", files={"a.txt": "0"})
    ledger.close()
    with ledger.path.open("ab") as stream:
        stream.write(b'{"case": "b", "event": "do')
    nonsense = b'[]\n{"case": 1}\n\xff\n{"case": "c", "event": "refused"}\n'
    damaged = nonsense + b'{"case": "d", "event": "done", "files": "x"}\n'
    (tmp_path / ".runs" / "x.jsonl").write_bytes(damaged + b"[" * 100_000 + b"\n")
    found = read_ledger(tmp_path)
    assert (found["a"].state, found["c"].state, sorted(found)) == ("done", "refused", ["a", "c"])


def test_a_line_that_the_disk_takes_in_part_is_written_to_its_end_or_told(tmp_path, monkeypatch):
    write, room = os.write, [5, 1000]
    monkeypatch.setattr(os, "write", lambda handle, data: write(handle, data[: room.pop(0)]))
    ledger = Ledger(tmp_path)
    ledger.add("a", "done", files={"a.txt": "0"})
    assert read_ledger(tmp_path)["a"].state == "done"

    def write_until_full(handle, data):
        if not room:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write(handle, data[: room.pop(0)])

    room.append(5)
    monkeypatch.setattr(os, "write", write_until_full)
    with pytest.raises(TemporaryFailure, match="No space left"):
        ledger.add("b", "done", files={"b.txt": "0"})
    ledger.close()
    assert list(read_ledger(tmp_path)) == ["a"]


def test_a_clock_that_was_set_back_changes_no_book(tmp_path):
    first = Ledger(tmp_path)
    first.add("a", "done", files={"a.txt": "0"})
    first.close()
    second = Ledger(tmp_path)
    second.add("a", "retry")
    second.add("a", "refused", code="NO_INPUT", message="gone")
    second.close()
    os.utime(first.path, (4e9, 4e9))
    assert (read_ledger(tmp_path)["a"].state, read_ledger(tmp_path)["a"].code) == ("refused", "NO_INPUT")


def test_cells_of_the_ledger_start_no_formula(tmp_path):
    ledger = Ledger(tmp_path)
    ledger.add("=cmd()", "done", files={"=cmd().txt": "0"})
    ledger.close()
    (tmp_path / "names.txt").write_text("=cmd()\n+1\n")
    write_table(tmp_path)
    rows = [line.split("\t") for line in (tmp_path / "ledger.tsv").read_text().splitlines()]
    assert [row[0] for row in rows[1:]] == ["'=cmd()", "'+1"]
    assert rows[1][4].startswith("'=cmd")


def test_of_two_shards_that_end_together_the_table_of_the_later_one_stays(tmp_path, monkeypatch):
    (tmp_path / "names.txt").write_text("a\nb\n")
    read, has_read, is_other_written = batch.batch_outcomes, threading.Event(), threading.Event()

    def read_slowly(out):
        outcomes = read(out)
        if threading.current_thread() is first:
            has_read.set()
            is_other_written.wait(1)  # with a long ledger, the other shard ends meanwhile
        return outcomes

    def end(case):
        ledger = Ledger(tmp_path)
        record_outcome(CaseOutcome(case, DONE, files={f"{case}.txt": "0"}), ledger)
        ledger.close()
        write_table(tmp_path)

    monkeypatch.setattr(batch, "batch_outcomes", read_slowly)
    first = threading.Thread(target=end, args=("a",))
    first.start()
    assert has_read.wait(10)
    end("b")
    is_other_written.set()
    first.join()
    rows = [line.split("\t")[:2] for line in (tmp_path / "ledger.tsv").read_text().splitlines()]
    assert rows[1:] == [["a", "done"], ["b", "done"]]


def test_a_flagged_case_is_in_the_log_at_the_usual_level_and_printed_once(tmp_path, caplog):
    caplog.set_level(logging.INFO, "voxlate")
    ledger = Ledger(tmp_path)
    record_outcome(CaseOutcome("case7", DONE, flag="INPUT_UNUSUAL"), ledger)
    ledger.close()
    (record,) = caplog.records
    assert record.getMessage() == "case7: flagged INPUT_UNUSUAL; look at it before use"
    assert record.is_shown  # the console leaves it out


def test_no_uid_and_no_path_of_a_message_is_kept(tmp_path):
    ledger = Ledger(tmp_path)
    message = "'/data/anna/a.nii' holds 2 series: 1.2.840.113619.2.5.1, 2.25.17"
    ledger.end(CaseOutcome("a", REFUSED, "SEVERAL_SERIES", message))
    ledger.close()
    assert read_ledger(tmp_path)["a"].message == "[path] holds 2 series: [UID], [UID]"
