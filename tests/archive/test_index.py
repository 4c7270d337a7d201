"""An index lists the series of an archive, survives interruptions, and names no patient."""

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
import zipfile
from contextlib import closing
from datetime import date
from pathlib import Path
from typing import get_type_hints

import pytest
from click.testing import CliRunner
from dicom_series import slice_header, unreadable, voxels, write_series
from phantoms import DATA
from pydicom import dcmread
from pydicom.datadict import dictionary_VR
from pydicom.dataelem import DataElement

from voxlate.archive import IndexStore, index, indexed_series, read_stamps, read_table, series_files
from voxlate.archive.pseudonyms import pseudonym
from voxlate.archive.rows import IndexRow
from voxlate.cli import voxlate
from voxlate.errors import CannotWrite, InputRefused, NoInput, TemporaryFailure, UsageError
from voxlate.io.dicom import find_series, read_series

DICOM_DATA = DATA / "dicom"


@pytest.fixture(autouse=True)
def key(monkeypatch):
    monkeypatch.setenv("VOXLATE_UID_SALT", "a secret of the site")


def archive(folder, series=3, slices=4):
    for number in range(series):

        def change(dataset, k, number=number):
            dataset.SeriesInstanceUID = f"1.2.3.{number}"
            dataset.SOPInstanceUID = f"1.2.3.{number}.{k}"
            dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
            dataset.PatientID, dataset.StudyInstanceUID = f"P{number // 2}", f"1.2.{number // 2}"
            dataset.StudyDate, dataset.AcquisitionTime = f"201903{10 + number}", f"10{number:02d}00"

        write_series(folder / f"s{number}", change, data=voxels()[:, :, :slices])
    return folder


def run(source, out, jobs=1):
    for _ in index(str(source), out, jobs=jobs):
        pass
    return (out / "series.parquet").read_bytes()


def test_every_series_has_a_row_with_its_series_type(tmp_path):
    run(archive(tmp_path / "in"), tmp_path / "out")
    rows = read_table(tmp_path / "out")
    assert len(rows) == 3
    assert {row["files"] for row in rows} == {4} == {row["slices"] for row in rows}
    assert {row["agent"] for row in rows} == {"yes"}
    assert len({row["patient"] for row in rows}) == 2 == len({row["study"] for row in rows})
    assert sorted(row["minute"] for row in rows) == [0, 0, 1]
    told = json.loads((tmp_path / "out" / "index.json").read_text())
    assert told == {
        "files": 12, "read": 12, "no_dicom": 0, "refused": {}, "duplicates": 0, "pending_series": 0, "series": 3
    }  # fmt: skip


def test_the_columns_of_the_table_are_the_fields_of_a_row_in_order_and_of_their_types(tmp_path):
    run(archive(tmp_path / "in", series=1), tmp_path / "out")
    (row,) = read_table(tmp_path / "out")
    assert list(row) == list(IndexRow.__annotations__)
    for name, hint in get_type_hints(IndexRow).items():
        assert isinstance(row[name], hint), name


def test_the_table_is_the_same_with_several_processes_and_after_a_second_run(tmp_path):
    archive(tmp_path / "in", series=5)
    one = run(tmp_path / "in", tmp_path / "one")
    assert run(tmp_path / "in", tmp_path / "two", jobs=2) == one == run(tmp_path / "in", tmp_path / "one")


def test_an_update_after_changed_removed_and_new_files_equals_a_new_index(tmp_path):
    source = archive(tmp_path / "in", series=4)
    run(source, tmp_path / "out")
    (source / "s1" / "IM0002.dcm").unlink()
    for path in (source / "s2").iterdir():
        path.unlink()
    changed = slice_header(0, voxels()[:, :, 0].T)
    changed.SeriesInstanceUID, changed.PatientID, changed.SeriesDescription = "1.2.3.3", "P1", "T1 nativ and longer"
    changed.save_as(source / "s3" / "IM0000.dcm", enforce_file_format=True)
    write_series(source / "new", lambda dataset, k: setattr(dataset, "SeriesInstanceUID", "1.2.3.77"))
    updated = run(source, tmp_path / "out")
    assert updated == run(source, tmp_path / "fresh")
    rows = read_table(tmp_path / "out")
    assert sorted(row["files"] for row in rows) == [3, 4, 4, 8]
    assert {row["fault"] for row in rows} == {"", "STUDY_MIXED"}


def test_files_of_one_series_in_several_folders_are_one_series(tmp_path):
    paths = write_series(tmp_path / "in" / "a")
    (tmp_path / "in" / "b").mkdir()
    paths[3].rename(tmp_path / "in" / "b" / "IM.dcm")
    run(tmp_path / "in", tmp_path / "out")
    assert [row["files"] for row in read_table(tmp_path / "out")] == [8]


def test_copies_of_a_file_in_another_folder_count_once_and_are_told(tmp_path):
    source = archive(tmp_path / "in", series=2)
    alone = run(source, tmp_path / "alone")
    shutil.copytree(source / "s0", source / "backup" / "s0")
    result = CliRunner().invoke(voxlate, ["index", str(source), str(tmp_path / "out"), "-j", "1"])
    assert "12 files: 12 DICOM, 0 not DICOM; 4 are copies of others and do not count; refused: none" in result.output
    table = (tmp_path / "out" / "series.parquet").read_bytes()
    assert table == alone  # as if there were no copies
    assert run(source, tmp_path / "again", jobs=2) == table
    (name,) = (row["series"] for row in read_table(tmp_path / "out") if row["number"] and row["minute"] == 0)
    with indexed_series(tmp_path / "out", name) as found:
        assert read_series(found).volume.data.shape[2] == 4
    shutil.rmtree(source / "s0")  # the copies are all that is left
    assert [row["files"] for row in read_table_after(source, tmp_path / "out")] == [4, 4]
    assert json.loads((tmp_path / "out" / "index.json").read_text())["duplicates"] == 0


def test_frames_of_copies_count_once_and_files_without_an_identifier_each_for_itself(tmp_path):
    def change(dataset, k):
        dataset.NumberOfFrames, dataset.SOPInstanceUID = 10 + k, f"1.2.3.4.{k // 2}"
        if k > 3:
            del dataset.SOPInstanceUID

    for k, path in enumerate(write_series(tmp_path / "in")):
        dataset = dcmread(path)
        change(dataset, k)
        dataset.save_as(path)
    run(tmp_path / "in", tmp_path / "out")
    (row,) = read_table(tmp_path / "out")
    assert (row["files"], row["slices"]) == (2 + 4, 11 + 13 + 14 + 15 + 16 + 17)


def test_an_index_of_an_earlier_version_is_read_anew_with_its_own_secret(tmp_path, monkeypatch):
    monkeypatch.delenv("VOXLATE_UID_SALT")
    source = archive(tmp_path / "in", series=2)
    table = run(source, tmp_path / "out")
    with closing(sqlite3.connect(tmp_path / "out" / "index.sqlite")) as store:
        store.executescript("DROP INDEX by_series; ALTER TABLE files DROP COLUMN frames; PRAGMA user_version = 0")
    with pytest.raises(UsageError, match=r"INDEX .*another version of voxlate; run voxlate index again"):
        read_stamps(tmp_path / "out")
    assert run(source, tmp_path / "out") == table


def read_table_after(source, out):
    run(source, out)
    return read_table(out)


def test_the_header_of_a_series_is_that_of_its_first_file_also_when_it_was_added_later(tmp_path):
    paths = write_series(tmp_path / "in" / "m", lambda dataset, k: setattr(dataset, "SeriesDescription", "T1 +C"))
    run(tmp_path / "in", tmp_path / "out")
    assert read_table(tmp_path / "out")[0]["agent"] == "yes"
    first = dcmread(paths[0])
    first.SeriesDescription, first.SOPInstanceUID = "T1 nativ", "1.2.3.4.99"
    (tmp_path / "in" / "a").mkdir()
    first.save_as(tmp_path / "in" / "a" / "IM.dcm")
    updated = run(tmp_path / "in", tmp_path / "out")
    assert read_table(tmp_path / "out")[0]["agent"] == "no"
    assert updated == run(tmp_path / "in", tmp_path / "fresh")


def test_faults_and_damaged_files_are_reported_and_the_others_are_read(tmp_path):
    source = archive(tmp_path / "in")
    (source / "note.txt").write_text("hello")
    (source / "s0" / "empty.dcm").write_bytes(b"")
    mixed = slice_header(9, voxels()[:, :, 0].T)
    mixed.SeriesInstanceUID, mixed.StudyInstanceUID, mixed.PatientID = "1.2.3.1", "1.2.0", "SOMEBODY ELSE"
    mixed.save_as(source / "s1" / "other.dcm", enforce_file_format=True)
    result = CliRunner().invoke(voxlate, ["index", str(source), str(tmp_path / "out")], standalone_mode=False)
    assert result.return_value == 8
    assert "1 not DICOM; refused: 1 EMPTY" in result.output
    assert sorted(row["fault"] for row in read_table(tmp_path / "out")) == ["", "", "PATIENT_MIXED"]


def test_nothing_that_names_a_patient_leaves_the_store(tmp_path):
    canaries = {"PatientName": "CANARY^ANNA", "PatientID": "CANARY-0815", "PatientBirthDate": "19561224",
                "StudyDate": "20190817", "SeriesDescription": "T1 +C CANARY-Anna", "ProtocolName": "CANARY prot",
                "InstitutionName": "CANARY HOSPITAL", "ReferringPhysicianName": "CANARY^DOC",
                "AccessionNumber": "CANARY77", "ManufacturerModelName": "CANARY Anna",
                "Manufacturer": "CANARY WORKS", "PatientComments": "CANARY", "StudyDescription": "CANARY",
                "BodyPartExamined": "CANARY", "StationName": "CANARYST", "ContrastBolusAgent": "CANARY gd",
                "PatientAge": "097Y"}  # fmt: skip
    write_series(
        tmp_path / "in", lambda dataset, k: [setattr(dataset, name, value) for name, value in canaries.items()]
    )
    result = CliRunner().invoke(voxlate, ["index", str(tmp_path / "in"), str(tmp_path / "out")], standalone_mode=False)
    row = read_table(tmp_path / "out")[0]
    written = result.output + str(row) + (tmp_path / "out" / "index.json").read_text()
    written += (tmp_path / "out" / "series.parquet").read_bytes().decode("latin-1")
    for planted in ("CANARY", "ANNA", "Anna", "canary", "0815", "1956", "20190817", "2019-08-17", "1.2.3"):
        assert planted not in written, planted
    assert row["age_years"] == 89
    assert (tmp_path / "out" / "index.sqlite").stat().st_mode & 0o077 == 0


def test_dates_of_a_patient_are_shifted_by_the_same_days(tmp_path):
    run(archive(tmp_path / "in", series=4), tmp_path / "out")
    days = {}
    for row in read_table(tmp_path / "out"):
        days.setdefault(row["patient"], []).append(date.fromisoformat(row["day"]))
    assert [abs((one - other).days) for one, other in days.values()] == [1, 1]
    assert all(day < date(2018, 3, 20) for pair in days.values() for day in pair)
    first, second = (min(pair) for pair in days.values())
    assert abs((first - second).days) > 2


def test_the_fingerprint_of_a_series_changes_with_its_files_and_does_not_tell_their_dates(tmp_path):
    stored_ns = 1_552_212_000_123_456_789  # the morning of 10 March 2019
    for path in archive(tmp_path / "in", series=1).rglob("*.dcm"):
        os.utime(path, ns=(stored_ns, stored_ns))
    run(tmp_path / "in", tmp_path / "out")
    (stamp,) = read_stamps(tmp_path / "out").values()
    assert str(stored_ns)[:7] not in stamp
    assert (stamp,) == tuple(read_stamps(tmp_path / "out").values())
    os.utime(tmp_path / "in" / "s0" / "IM0001.dcm", ns=(stored_ns, stored_ns + 1))
    run(tmp_path / "in", tmp_path / "out")
    assert (stamp,) != tuple(read_stamps(tmp_path / "out").values())


@pytest.mark.parametrize(("has_dates", "minutes"), [(True, [0, 10, 20]), (False, [1430, 0, 10])])
def test_a_study_that_runs_past_midnight_is_in_the_order_of_its_dates(tmp_path, has_dates, minutes):
    moments = [("20190310", "235000", "T1"), ("20190311", "000000", "T1 +C"), ("20190311", "001000", "T1")]
    for number, (day, time_of_day, text) in enumerate(moments):

        def change(dataset, k, number=number, day=day, time_of_day=time_of_day, text=text):
            dataset.SeriesInstanceUID, dataset.SOPInstanceUID = f"1.2.3.{number}", f"1.2.3.{number}.{k}"
            dataset.SeriesNumber, dataset.StudyDate = number + 1, "20190310"
            dataset.AcquisitionTime, dataset.SeriesDescription = time_of_day, text
            if has_dates or number:  # one series without a date: its order is not known
                dataset.AcquisitionDate = day

        write_series(tmp_path / "in" / str(number), change)
    run(tmp_path / "in", tmp_path / "out")
    rows = sorted(read_table(tmp_path / "out"), key=lambda row: row["number"])
    assert [row["minute"] for row in rows] == minutes
    if has_dates:
        assert [row["may_be_enhanced"] for row in rows] == [False, False, True]


def test_another_key_or_another_source_is_refused(tmp_path, monkeypatch):
    run(archive(tmp_path / "in"), tmp_path / "out")
    with pytest.raises(UsageError, match="SETTINGS_DIFFER"):
        run(archive(tmp_path / "in2"), tmp_path / "out")
    monkeypatch.setenv("VOXLATE_UID_SALT", "another")
    with pytest.raises(UsageError, match="KEY"):
        run(tmp_path / "in", tmp_path / "out")


def test_without_a_key_the_index_draws_one_and_stores_it(tmp_path, monkeypatch):
    monkeypatch.delenv("VOXLATE_UID_SALT")
    archive(tmp_path / "in")
    assert run(tmp_path / "in", tmp_path / "one") == run(tmp_path / "in", tmp_path / "one")
    run(tmp_path / "in", tmp_path / "two")
    names = [{row["patient"] for row in read_table(tmp_path / name)} for name in ("one", "two")]
    assert not names[0] & names[1]


def test_a_zip_is_indexed_like_its_folder(tmp_path):
    source = archive(tmp_path / "in")
    with zipfile.ZipFile(tmp_path / "in.zip", "w") as packed:
        for path in sorted(source.rglob("*.dcm")):
            packed.write(path, path.relative_to(source))
    run(source, tmp_path / "folder")
    run(tmp_path / "in.zip", tmp_path / "zip")
    run(tmp_path / "in.zip", tmp_path / "zip")
    assert read_table(tmp_path / "zip") == read_table(tmp_path / "folder")
    name = read_table(tmp_path / "zip")[0]["series"]
    with series_files(tmp_path / "zip", name) as files, series_files(tmp_path / "folder", name) as others:
        assert [path.read_bytes() for path in files] == [path.read_bytes() for path in others]


def test_an_unchanged_zip_is_not_read_again_and_its_fingerprints_stay(tmp_path):
    source = archive(tmp_path / "in")

    def pack():
        with zipfile.ZipFile(tmp_path / "in.zip", "w") as packed:
            for path in sorted(source.rglob("*.dcm")):  # the time of every member is the same, as many programs write
                packed.writestr(zipfile.ZipInfo(path.relative_to(source).as_posix()), path.read_bytes())

    def read():
        return [progress.read for progress in index(str(tmp_path / "in.zip"), tmp_path / "out")][-1]

    pack()
    assert read() == 12
    stamps = read_stamps(tmp_path / "out")
    assert read() == 0
    assert read_stamps(tmp_path / "out") == stamps
    changed = dcmread(source / "s1" / "IM0000.dcm")
    changed.SeriesDescription = changed.SeriesDescription[::-1]  # the size stays
    changed.save_as(source / "s1" / "IM0000.dcm")
    pack()
    assert read() == 4
    assert sum(stamps[name] != stamp for name, stamp in read_stamps(tmp_path / "out").items()) == 1


def index_command(source, out):
    return CliRunner().invoke(voxlate, ["index", str(source), str(out), "-j", "1"], standalone_mode=False)


def test_an_unreadable_folder_keeps_its_series_and_is_read_again_by_the_next_run(tmp_path, monkeypatch):
    source = archive(tmp_path / "in", series=3)
    (source / "s1").rename(source / "s1\udcff")  # a name that is not UTF-8
    table = run(source, tmp_path / "out")
    (source / "s0" / "new.txt").write_text("another file")
    with monkeypatch.context() as patch:
        unreadable(patch, source / "s1\udcff", source / "s2")
        result = index_command(source, tmp_path / "out")
        assert result.return_value == 8
        assert "3 series, 2 pending" in result.output
        assert "refused: 2 UNREADABLE_FOLDER" in result.output
        assert (tmp_path / "out" / "series.parquet").read_bytes() == table
    shutil.rmtree(source / "s2")
    result = index_command(source, tmp_path / "out")
    assert (result.return_value, "2 series, 0 pending" in result.output) == (0, True)


def test_files_of_a_folder_that_may_be_listed_and_not_entered_are_kept(tmp_path, monkeypatch):
    source = archive(tmp_path / "in", series=2)
    table, stat = run(source, tmp_path / "out"), Path.stat

    def refused(path, **options):
        if path.parent.name == "s1":
            raise PermissionError(13, "Permission denied")
        return stat(path, **options)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "stat", refused)
        assert index_command(source, tmp_path / "out").return_value == 8
        assert (tmp_path / "out" / "series.parquet").read_bytes() == table
    assert index_command(source, tmp_path / "out").return_value == 0


@pytest.mark.parametrize("how", ["empty", "unreadable"])
def test_an_archive_that_holds_nothing_any_more_ends_with_75_and_keeps_the_index(tmp_path, monkeypatch, how):
    source = archive(tmp_path / "in", series=2)
    table = run(source, tmp_path / "out")
    source.rename(tmp_path / "elsewhere")
    source.mkdir()  # the place of a mount
    with monkeypatch.context() as patch:
        if how == "unreadable":
            unreadable(patch, source)
        with pytest.raises(TemporaryFailure, match=r"ARCHIVE .*; .*run voxlate index again"):
            run(source, tmp_path / "out")
    assert (tmp_path / "out" / "series.parquet").read_bytes() == table
    source.rmdir()
    (tmp_path / "elsewhere").rename(source)
    assert run(source, tmp_path / "out") == table
    (tmp_path / "nothing").mkdir()
    assert len(read_table_after(tmp_path / "nothing", tmp_path / "new")) == 0


def test_a_series_beside_an_unreadable_folder_or_a_lost_link_is_not_read_as_if_it_were_whole(tmp_path, monkeypatch):
    source = tmp_path / "in"
    paths = write_series(source / "p0" / "a")
    (source / "p0" / "b").mkdir()
    paths[-1].rename(source / "p0" / "b" / paths[-1].name)
    archive(source / "other", series=2)
    with monkeypatch.context() as patch:
        unreadable(patch, source / "p0" / "b")
        run(source, tmp_path / "out")
    name = pseudonym("a secret of the site", "series", "1.2.3.4")
    with indexed_series(tmp_path / "out", name) as found, pytest.raises(InputRefused, match=r"SLICE_MISSING .*folder"):
        read_series(found)
    for row in read_table(tmp_path / "out"):
        if row["series"] != name:
            with indexed_series(tmp_path / "out", row["series"]) as found:
                read_series(found)
    (source / "p0" / "a" / paths[-1].name).symlink_to("nowhere")
    shutil.rmtree(source / "p0" / "b")
    assert index_command(source, tmp_path / "out").return_value == 8
    with indexed_series(tmp_path / "out", name) as found, pytest.raises(InputRefused, match="SLICE_MISSING"):
        read_series(found)


def test_the_files_of_a_row_are_found_again(tmp_path):
    run(archive(tmp_path / "in"), tmp_path / "out")
    for row in read_table(tmp_path / "out"):
        with series_files(tmp_path / "out", row["series"]) as files:
            assert read_series(find_series(files)[0]).volume.data.shape == (12, 10, 4)
    with pytest.raises(UsageError, match="SERIES"), series_files(tmp_path / "out", "0" * 16):
        pass
    with pytest.raises(UsageError, match="INDEX"), series_files(tmp_path / "elsewhere", "0" * 16):
        pass


def test_a_missing_source_is_refused(tmp_path):
    with pytest.raises(NoInput, match="NO_INPUT"):
        run(tmp_path / "none", tmp_path / "out")


def test_a_damaged_store_or_table_is_refused(tmp_path):
    run(archive(tmp_path / "in"), tmp_path / "out")
    (tmp_path / "out" / "series.parquet").write_bytes(b"PAR1 nonsense")
    with pytest.raises(UsageError, match="INDEX"):
        read_table(tmp_path / "out")
    for path in (tmp_path / "out").glob("index.sqlite*"):
        path.unlink()
    (tmp_path / "out" / "index.sqlite").write_bytes(b"no database" * 1000)
    with pytest.raises(CannotWrite, match="INDEX"):
        run(tmp_path / "in", tmp_path / "out")


def test_a_run_killed_at_any_moment_is_resumed(tmp_path):
    """Killed each time as soon as the store holds more than before; the end is that of a run never disturbed."""
    archive(tmp_path / "in", series=40, slices=3)
    whole = run(tmp_path / "in", tmp_path / "whole")
    slow = (
        "import runpy, sys, time, voxlate.archive.indexing.folder as f; read = f.read_chunk; sys.argv = sys.argv[1:]\n"
    )
    slow += "def slowly(root, bite):\n    time.sleep(0.05)\n    return read(root, bite)\n"
    slow += "f.read_chunk = slowly\nrunpy.run_module('voxlate', run_name='__main__')"
    command = [sys.executable, "-c", slow, "voxlate", "index", tmp_path / "in", tmp_path / "out", "--jobs", "1"]
    kept = [0]
    for _ in range(4):
        started = subprocess.Popen(list(map(str, command)), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 30
        while files_kept(tmp_path / "out") <= kept[-1] and time.monotonic() < deadline:
            time.sleep(0.01)
        assert started.poll() is None
        os.kill(started.pid, signal.SIGKILL)
        started.wait()
        kept.append(files_kept(tmp_path / "out"))
    assert kept == sorted(set(kept))
    assert kept[-1] < 120
    assert run(tmp_path / "in", tmp_path / "out") == whole


def files_kept(out):
    try:
        with closing(sqlite3.connect(f"file:{out / 'index.sqlite'}?mode=ro", uri=True)) as store:
            return store.execute("SELECT count(*) FROM files").fetchone()[0]
    except sqlite3.Error:
        return 0


def test_a_disk_that_fills_ends_with_75_and_loses_only_what_was_not_stored(tmp_path):
    archive(tmp_path / "in", series=60, slices=2)
    small = "import resource, runpy, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (150_000, 150_000)); "
    small += "import signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN); sys.argv = sys.argv[1:]; "
    small += "runpy.run_module('voxlate', run_name='__main__')"
    command = [sys.executable, "-c", small, "voxlate", "index", tmp_path / "in", tmp_path / "out", "--jobs", "1"]
    ended = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
    assert ended.returncode == 75, ended.stderr
    assert "FAILED:IO" in ended.stderr
    assert [line.split(":")[0] for line in ended.stderr.strip().splitlines()[1:]] == ["voxlate"]  # after what begins
    assert not (tmp_path / "out" / "series.parquet").exists()
    assert run(tmp_path / "in", tmp_path / "out") == run(tmp_path / "in", tmp_path / "fresh")


def test_a_second_run_at_the_same_time_is_refused(tmp_path):
    run(archive(tmp_path / "in"), tmp_path / "out")
    other = IndexStore(tmp_path / "out", source=str((tmp_path / "in").resolve()))
    with pytest.raises(TemporaryFailure, match="LOCKED"):
        run(tmp_path / "in", tmp_path / "out")
    with series_files(tmp_path / "out", read_table(tmp_path / "out")[0]["series"]) as files:  # reading may go on
        assert files
    other.close()
    run(tmp_path / "in", tmp_path / "out")


@pytest.mark.parametrize(
    ("change", "column", "value"),
    [
        ({"NumberOfFrames": "3000000000"}, "slices", 4),
        ({"PatientAge": "²5Y"}, "age_years", None),
        ({"PatientAge": "006M"}, "age_years", 0.5),
        ({"SeriesNumber": "99999999999"}, "number", None),
        ({"ManufacturerModelName": "MAGNETOM Skyra"}, "model", "MAGNETOM Skyra"),
        ({"ManufacturerModelName": "DISCOVERY MR750w"}, "model", "DISCOVERY MR750w"),
        ({"BodyPartExamined": "brain"}, "body_part", "BRAIN"),
        ({"BodyPartExamined": "SMITH JOHN"}, "body_part", "other"),
        ({"ConvolutionKernel": "H31s"}, "kernel", "soft"),
        ({"ConvolutionKernel": "B70f"}, "kernel", "sharp"),
        ({"ConvolutionKernel": "BONE"}, "kernel", "sharp"),
        ({"ConvolutionKernel": ["Br40f", "3"]}, "kernel", "soft"),
        ({"ConvolutionKernel": ["STANDARD", "AR40"]}, "kernel", "soft"),
        ({"ConvolutionKernel": "SMITH"}, "kernel", "other"),
        ({"RepetitionTime": "nan"}, "repetition_ms", None),
        ({"SeriesDescription": "T1 GADOMSKI"}, "agent", "unknown"),
        ({"SeriesDescription": "T1 Nativel Anna"}, "evidence", ""),
    ],
)
def test_an_odd_value_is_left_out_and_never_ends_the_run(tmp_path, change, column, value):
    def set_all(dataset, k):
        for name, each in change.items():
            dataset[name] = DataElement(name, dictionary_VR(name), each, validation_mode=0)

    write_series(tmp_path / "in", set_all, data=voxels()[:, :, :4])
    run(tmp_path / "in", tmp_path / "out")
    assert read_table(tmp_path / "out")[0][column] == value


def test_sites_scanners_and_unknown_models_have_pseudonyms(tmp_path):
    def told(dataset, k):
        dataset.InstitutionName, dataset.DeviceSerialNumber = "Hospital of Mercy", "0815"
        dataset.ManufacturerModelName = "Dr Smith's magnet"

    write_series(tmp_path / "in", told)
    run(tmp_path / "in", tmp_path / "out")
    row = read_table(tmp_path / "out")[0]
    assert [row[name].split("-")[0] for name in ("site", "scanner", "model")] == ["site", "scanner", "model"]
    assert "Mercy" not in str(row)


def test_a_file_whose_name_is_not_utf_8_is_indexed_like_any_other(tmp_path):
    write_series(tmp_path / "in")
    (tmp_path / "in" / "IM0003.dcm").rename(os.fsdecode(os.fsencode(tmp_path / "in") + b"/M\xfcller.dcm"))
    first = run(tmp_path / "in", tmp_path / "out")
    assert run(tmp_path / "in", tmp_path / "out") == first
    with series_files(tmp_path / "out", read_table(tmp_path / "out")[0]["series"]) as files:
        assert sum(path.is_file() for path in files) == 8


def test_an_inaccessible_file_is_reported_and_read_again_by_the_next_run(tmp_path, monkeypatch):
    archive(tmp_path / "in")
    from voxlate.io.dicom import parse

    whole = parse.read_dataset

    def failing(path, **named):
        if path.name == "IM0002.dcm":
            raise PermissionError(13, "no")
        return whole(path, **named)

    monkeypatch.setattr(parse, "read_dataset", failing)
    run(tmp_path / "in", tmp_path / "out")
    assert json.loads((tmp_path / "out" / "index.json").read_text())["refused"] == {"NO_ACCESS": 3}
    monkeypatch.undo()
    monkeypatch.setenv("VOXLATE_UID_SALT", "a secret of the site")
    assert run(tmp_path / "in", tmp_path / "out") == run(tmp_path / "in", tmp_path / "fresh")


def test_a_patient_number_with_two_birth_dates_is_a_fault(tmp_path):
    def born(number):
        def change(dataset, k):
            dataset.PatientID, dataset.PatientBirthDate = "ANON", f"19{50 + number}0101"
            dataset.SeriesInstanceUID, dataset.StudyInstanceUID = f"1.2.{number}", f"1.3.{number}"

        return change

    for number in range(2):
        write_series(tmp_path / "in" / str(number), born(number))
    run(tmp_path / "in", tmp_path / "out")
    assert [row["fault"] for row in read_table(tmp_path / "out")] == ["PATIENT_ID_SHARED"] * 2


def scanned(folder, number, issuer="", birth="19700101", name="ONE^A", patient="77"):
    """Writes one series of a patient into `folder`."""

    def change(dataset, k):
        dataset.SeriesInstanceUID, dataset.StudyInstanceUID = f"1.2.{number}", f"1.3.{number}"
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = f"1.2.{number}.{k}"
        dataset.PatientID, dataset.PatientBirthDate, dataset.PatientName = patient, birth, name
        dataset.SeriesNumber = number
        if issuer:
            dataset.IssuerOfPatientID = issuer

    write_series(folder / str(number), change, data=voxels()[:, :, :1])


def owners(out):
    """Returns pseudonym and fault of the series, in the order of their numbers."""
    rows = sorted(read_table(out), key=lambda row: row["number"])
    return [row["patient"] for row in rows], [row["fault"] for row in rows]


@pytest.mark.parametrize(
    ("persons", "expected", "faults"),
    [
        ([{}, {"issuer": "HOSP"}], [1, 1], ["", ""]),
        ([{"birth": ""}, {"issuer": "HOSP"}], [1, 1], ["", ""]),
        ([{"name": "One^Ann"}, {"issuer": "HOSP"}], [1, 1], ["", ""]),
        ([{"birth": "", "name": "One^Ann"}, {"issuer": "HOSP"}], [0, 1], ["PATIENT_ISSUER", ""]),
        ([{"birth": "19800101"}, {"issuer": "HOSP"}], [0, 1], ["", ""]),
        ([{}, {"issuer": "HOSP"}, {"issuer": "CLINIC"}], [0, 1, 2], ["PATIENT_ISSUER", "", ""]),
        ([{"patient": "78"}, {"issuer": "HOSP"}], [0, 1], ["", ""]),
        ([{"patient": ""}, {"patient": "", "issuer": "HOSP"}], [0, 1], ["", ""]),
    ],
)
def test_a_number_without_issuer_is_that_of_the_only_issuer_if_the_person_agrees(tmp_path, persons, expected, faults):
    for number, person in enumerate(persons, start=1):
        scanned(tmp_path / "in", number, **person)
    run(tmp_path / "in", tmp_path / "out")
    patients, found = owners(tmp_path / "out")
    assert [patients.index(patient) for patient in patients] == [expected.index(k) for k in expected]
    assert found == faults
    names = [row["series"] for row in read_table(tmp_path / "out") if not row["fault"]]
    for name in names:
        with indexed_series(tmp_path / "out", name) as series:
            assert len(series.files) == 1


def test_a_second_issuer_that_comes_later_undoes_the_choice_of_the_first(tmp_path):
    scanned(tmp_path / "in", 1)
    scanned(tmp_path / "in", 2, issuer="HOSP")
    run(tmp_path / "in", tmp_path / "out")
    assert len(set(owners(tmp_path / "out")[0])) == 1
    scanned(tmp_path / "in", 3, issuer="CLINIC")
    assert run(tmp_path / "in", tmp_path / "out") == run(tmp_path / "in", tmp_path / "fresh")
    patients, faults = owners(tmp_path / "out")
    assert (len(set(patients)), faults) == (3, ["PATIENT_ISSUER", "", ""])


def test_a_series_whose_files_changed_since_the_index_is_refused(tmp_path):
    archive(tmp_path / "in")
    run(tmp_path / "in", tmp_path / "out")
    rows = read_table(tmp_path / "out")
    for row in rows:
        with indexed_series(tmp_path / "out", row["series"]) as found:
            assert len(found.files) == 4
    (tmp_path / "in" / "s0" / "IM0003.dcm").unlink()  # the last: no gap tells that it is missing
    for path in (tmp_path / "in" / "s1").iterdir():  # another's, at the same places
        path.write_bytes((tmp_path / "in" / "s2" / path.name).read_bytes())
    changed = [row["series"] for row in rows if not is_as_indexed(tmp_path / "out", row["series"])]
    assert len(changed) == 2
    for series in changed:
        with pytest.raises(InputRefused, match="SERIES_CHANGED"), indexed_series(tmp_path / "out", series):
            pass


def test_a_series_that_was_given_to_another_patient_since_the_index_is_refused(tmp_path):
    archive(tmp_path / "in", series=1)
    run(tmp_path / "in", tmp_path / "out")
    (row,) = read_table(tmp_path / "out")
    for path in (tmp_path / "in" / "s0").iterdir():  # as a PACS corrects a scan that was filed under a wrong person
        dataset = dcmread(path)
        dataset.PatientID, dataset.PatientName = "P9", "TEST^NINE"
        dataset.save_as(path)
    with pytest.raises(InputRefused, match="SERIES_CHANGED"), indexed_series(tmp_path / "out", row["series"]):
        pass
    run(tmp_path / "in", tmp_path / "out")
    (corrected,) = read_table(tmp_path / "out")
    assert corrected["patient"] != row["patient"]
    with indexed_series(tmp_path / "out", corrected["series"]) as found:
        assert len(found.files) == 4


@pytest.mark.parametrize("size", [0, 150, 420])
def test_a_series_whose_last_file_is_damaged_is_not_read_as_if_it_were_whole(tmp_path, size):
    last = archive(tmp_path / "in", series=2, slices=6) / "s0" / "IM0005.dcm"  # no gap tells that it is missing
    last.write_bytes(last.read_bytes()[:size])
    run(tmp_path / "in", tmp_path / "out")
    named = [row for row in read_table(tmp_path / "out") if row["fault"] != "UID_MISSING"]
    damaged, whole = sorted(named, key=lambda row: row["files"])
    with indexed_series(tmp_path / "out", whole["series"]) as found:
        assert read_series(found).volume.data.shape[2] == 6
    with (
        indexed_series(tmp_path / "out", damaged["series"]) as found,
        pytest.raises(InputRefused, match="SLICE_MISSING"),
    ):
        read_series(found)


def test_a_damaged_file_beside_several_series_refuses_none_of_them(tmp_path):
    source = archive(tmp_path / "in", series=2)
    for path in (source / "s1").iterdir():
        path.rename(source / "s0" / f"other-{path.name}")
    (source / "s0" / "IM9999.dcm").write_bytes(b"")
    run(source, tmp_path / "out")
    for row in read_table(tmp_path / "out"):
        with indexed_series(tmp_path / "out", row["series"]) as found:
            assert read_series(found).volume.data.shape[2] == 4


def is_as_indexed(out, series):
    try:
        with indexed_series(out, series):
            return True
    except InputRefused:
        return False


@pytest.mark.skipif(not DICOM_DATA.is_dir(), reason="needs the shared data")
def test_the_series_of_four_vendors_are_all_listed(tmp_path):
    run(DICOM_DATA, tmp_path / "out", jobs=2)
    rows = read_table(tmp_path / "out")
    assert len(rows) == 14
    assert {row["manufacturer"] for row in rows} == {"GE", "SIEMENS", "PHILIPS"}
    assert not any(row["fault"] for row in rows)
    store = IndexStore(tmp_path / "out", source="", is_new=False)
    assert all(store.files_of(row["series"]) for row in rows)
    store.close()
