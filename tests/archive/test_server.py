"""An archive behind DICOMweb, with the faults of real servers: slow, wrong or missing answers and redirections."""

import json
import socket
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import PurePosixPath
from urllib.parse import parse_qs, urlsplit

import pytest
from dicom_series import slice_header, voxels

from voxlate.archive import DicomWebServer, IndexStore, index, read_table
from voxlate.archive.indexing.dicomweb import index_server
from voxlate.errors import InputRefused, TemporaryFailure, UsageError

SERIES = 4


def instances():
    for number in range(SERIES):
        for k in range(3):
            dataset = slice_header(k, voxels()[:, :, 0].T)
            dataset.StudyInstanceUID, dataset.SeriesInstanceUID = f"1.2.{number // 2}", f"1.2.3.{number}"
            dataset.SOPInstanceUID = f"1.2.3.{number}.{k}"
            yield dataset


class Answers(BaseHTTPRequestHandler):
    """A server of `instances`; `server.fault` maps a part of an address to what happens there."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_GET(self):
        url = urlsplit(self.path)
        self.server.asked.append(self.path)
        fault = next((what for part, what in self.server.fault.items() if part in url.path), None)
        if fault is None:
            found = self.found(PurePosixPath(url.path).parts[2:], parse_qs(url.query))
            return self.say(200, json.dumps(found).encode())
        if fault == "slow":
            time.sleep(1.5)
            return self.say(200, b"[]")
        if fault == "elsewhere":
            self.send_response(302)
            self.send_header("Location", "http://192.0.2.1/")
            self.send_header("Content-Length", "0")
            return self.end_headers()
        if fault == "endless":
            self.send_response(200)
            self.send_header("Content-Type", "application/dicom+json")
            self.send_header("Connection", "close")
            self.end_headers()
            self.close_connection = True
            self.wfile.write(b"[" + b" " * 100_000)
            return None
        if fault == "huge":
            self.send_response(200)
            self.send_header("Content-Type", "application/dicom+json")
            self.send_header("Content-Length", str(1 << 40))
            return self.end_headers()
        return self.say(*fault)

    def say(self, status, content):
        self.send_response(status)
        self.send_header("Content-Type", "application/dicom+json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        try:
            self.wfile.write(content)
        except BrokenPipeError:
            self.close_connection = True

    def found(self, parts, query):
        chosen = self.server.instances
        for position, keyword in ((1, "StudyInstanceUID"), (3, "SeriesInstanceUID"), (5, "SOPInstanceUID")):
            if len(parts) > position:
                chosen = [each for each in chosen if each[keyword].value == parts[position]]
        if parts[-1] == "metadata":
            return [json.loads(each.to_json(bulk_data_threshold=1, bulk_data_element_handler=lambda _: "x"))
                    for each in chosen]  # fmt: skip
        key = {"studies": "StudyInstanceUID", "series": "SeriesInstanceUID", "instances": "SOPInstanceUID"}[parts[-1]]
        rows = {}
        for each in chosen:
            row = rows.setdefault(str(each[key].value), {})
            for name in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"):
                row[each[name].tag.json_key] = {"vr": "UI", "Value": [str(each[name].value)]}
            count = row.get("00201209", {"Value": [0]})["Value"][0]
            row["00201209"] = {"vr": "IS", "Value": [count + 1]}
        start = int(query.get("offset", ["0"])[0])
        return list(rows.values())[start : start + int(query.get("limit", ["100"])[0])]


@pytest.fixture
def served(monkeypatch):
    monkeypatch.setenv("VOXLATE_UID_SALT", "a secret of the site")
    monkeypatch.setattr("voxlate.archive.indexing.dicomweb.RETRY_MS", 1)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    server.instances, server.fault, server.asked = list(instances()), {}, []
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    server.address = f"http://127.0.0.1:{server.server_port}/dicom-web"
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def run(server, out):
    for _ in index(server.address, out):
        pass
    return (out / "series.parquet").read_bytes()


def test_a_server_is_read_page_by_page_and_each_series_once(served, tmp_path, monkeypatch):
    monkeypatch.setattr("voxlate.archive.indexing.dicomweb.PAGE", 1)
    first = run(served, tmp_path / "out")
    rows = read_table(tmp_path / "out")
    assert [row["files"] for row in rows] == [3] * SERIES
    assert {row["kind"] for row in rows} == {"T1w"}
    served.asked.clear()
    assert run(served, tmp_path / "out") == first
    assert not any("metadata" in path or "instances" in path for path in served.asked)


def test_series_added_to_or_removed_from_a_server_are_updated(served, tmp_path):
    run(served, tmp_path / "out")
    served.instances = [each for each in served.instances if each.SeriesInstanceUID != "1.2.3.0"][:-1]
    assert run(served, tmp_path / "out") == run(served, tmp_path / "fresh")
    assert sorted(row["files"] for row in read_table(tmp_path / "out")) == [2, 3, 3]


@pytest.mark.parametrize(
    "fault",
    [
        (200, b"<html>log in</html>"),
        (500, b""),
        (404, b"{}"),
        (403, b"{}"),
        (429, b""),
        (200, b"5"),
        (200, b"[]"),
        (200, b'{"a": 1}'),
        (200, b'["x"]'),
        (200, b'[{"00080018": null}]'),
        (200, b'[{"00080018": {"Value": 3}}]'),
        "huge",
        "elsewhere",
    ],
)
def test_a_series_with_a_wrong_answer_is_left_for_the_next_run(served, tmp_path, fault, caplog):
    whole = run(served, tmp_path / "whole")
    served.fault = {"/1.2.3.2/": fault}
    run(served, tmp_path / "out")
    told = json.loads((tmp_path / "out" / "index.json").read_text())
    assert (told["series"], told["pending_series"]) == (SERIES - 1, 1)
    assert "ARCHIVE" in caplog.text
    served.fault = {}
    assert run(served, tmp_path / "out") == whole


def test_series_are_kept_when_an_archive_answers_that_it_is_empty(served, tmp_path, caplog):
    whole = run(served, tmp_path / "out")
    held, served.instances = served.instances, []
    assert run(served, tmp_path / "out") == whole
    assert json.loads((tmp_path / "out" / "index.json").read_text())["pending_series"] == SERIES
    served.instances = held
    served.fault = {"/studies/1.2.1/series": (200, b"[]")}
    assert run(served, tmp_path / "out") == whole
    assert "ARCHIVE" in caplog.text


def test_a_study_that_always_fails_does_not_keep_another_that_was_erased(served, tmp_path):
    run(served, tmp_path / "out")
    served.instances = [each for each in served.instances if each.StudyInstanceUID != "1.2.0"]
    served.fault = {"/studies/1.2.1/series": (500, b"")}
    run(served, tmp_path / "out")
    assert len(read_table(tmp_path / "out")) == 2


def test_an_invalid_identifier_is_counted_as_refused(served, tmp_path):
    invalid = slice_header(0, voxels()[:, :, 0].T)
    invalid.StudyInstanceUID, invalid.SeriesInstanceUID, invalid.SOPInstanceUID = "1.2.1", "../evil", "1.1"
    served.instances.append(invalid)
    run(served, tmp_path / "out")
    assert json.loads((tmp_path / "out" / "index.json").read_text())["refused"] == {"UID_INVALID": 1}


def test_an_answer_without_a_length_ends_at_the_limit(served, monkeypatch):
    monkeypatch.setattr("voxlate.archive.indexing.dicomweb.MAX_ANSWER_BYTES", 1000)
    served.fault = {"/instances": "endless"}
    with pytest.raises(InputRefused, match="more than 1,000 bytes"):
        DicomWebServer(served.address).instances("1.2.0", "1.2.3.0")


def test_the_output_names_no_study_and_no_person(served, tmp_path):
    for each in served.instances:
        each.PatientBirthDate = "1956-12-24"
    command = [sys.executable, "-m", "voxlate", "index", served.address, tmp_path / "out"]
    ended = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
    assert ended.returncode == 0
    assert [line.split(" into ")[0] for line in ended.stderr.splitlines()] == ["indexing an archive"]
    assert "1.2." not in ended.stdout


def test_a_known_series_is_not_forgotten_when_the_server_fails(served, tmp_path):
    whole = run(served, tmp_path / "out")
    served.fault = {"/studies/1.2.1": (503, b"")}
    assert run(served, tmp_path / "out") == whole


def test_a_server_that_does_not_answer_in_time_ends_the_run(served, tmp_path):
    store = IndexStore(tmp_path, source=served.address)
    served.fault = {"studies": "slow"}
    with pytest.raises(TemporaryFailure, match="ARCHIVE"):
        list(index_server(DicomWebServer(served.address, answer_s=0.3), store))
    store.close()


def test_an_unreachable_server_is_a_temporary_failure(tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{taken.getsockname()[1]}/dicom-web"
    with pytest.raises(TemporaryFailure, match="ARCHIVE"):
        list(index(address, tmp_path))


def test_failures_in_a_row_end_the_run_and_read_series_stay(served, tmp_path):
    served.instances = [*served.instances]
    for number in range(10):
        dataset = slice_header(0, voxels()[:, :, 0].T)
        dataset.StudyInstanceUID, dataset.SeriesInstanceUID, dataset.SOPInstanceUID = "1.9", f"1.9.{number}", "1.9.9"
        served.instances.append(dataset)
    served.fault = {"/1.9/series/1": (500, b"")}
    with pytest.raises(TemporaryFailure, match="5 times in a row"):
        run(served, tmp_path / "out")
    store = IndexStore(tmp_path / "out", source=served.address)
    assert store.counts()["series"] == SERIES
    store.close()


def test_a_denied_server_and_an_address_with_a_password_are_usage_errors(served, tmp_path):
    served.fault = {"studies": (401, b"")}
    with pytest.raises(UsageError, match="ARCHIVE_DENIED"):
        run(served, tmp_path / "out")
    with pytest.raises(UsageError, match="ARCHIVE_ADDRESS"):
        DicomWebServer("http://me:secret@127.0.0.1/dicom-web")


def test_a_header_of_another_series_is_refused(served, monkeypatch):
    archive = DicomWebServer(served.address)
    assert archive.header("1.2.0", "1.2.3.0", "1.2.3.0.0").uid == "1.2.3.0"
    other = json.loads(served.instances[3].to_json(bulk_data_threshold=1, bulk_data_element_handler=lambda _: "x"))
    monkeypatch.setattr(archive._client, "retrieve_instance_metadata", lambda *_: other)
    with pytest.raises(InputRefused, match="header of another series"):
        archive.header("1.2.0", "1.2.3.0", "1.2.3.0.0")


def test_a_token_is_sent_to_the_archive_only(served, monkeypatch):
    monkeypatch.setenv("VOXLATE_ARCHIVE_TOKEN", "tok")
    archive = DicomWebServer(served.address)
    assert archive._client._session.headers["Authorization"] == "Bearer tok"
    assert archive._client._session.max_redirects == 0  # so that no other address ever sees it
