import json
import shutil
import socket
import threading
import time
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from voxlate.cli import readers
from voxlate.errors import UsageError
from voxlate.readers.package import create_package, load_package
from voxlate.readers.server import session
from voxlate.readers.server.app import create_app
from voxlate.readers.server.serve import serve
from voxlate.web.server import connections
from voxlate.web.server.answer_log import AnswerLog, verify_chain
from voxlate.web.server.auth import COOKIE, issue_link
from voxlate.web.server.serve import Address, require_free_port, require_safe, run_app
from voxlate.web.server.sql import SqliteDatabase

from .conftest import ORIGIN, STUDY, Browser, fill

EVERYWHERE = ".".join("0000")


def test_a_whole_study_can_be_answered_and_every_answer_is_stored_once(browser):
    total = browser.state()["total"]
    for at in range(total):
        assert browser.answer(answer=fill(browser.state()["trial"]["design"], at)).status_code == 200
    assert browser.state()["done"] == total
    assert not browser.state()["trial"]
    assert [answer.revision for answer in browser.store.answers("anna")] == [0] * total
    assert verify_chain(browser.store.log()) is None


def test_a_link_works_once(browser, package, store):
    token = issue_link(store, set(package.trials), "ben")
    assert browser.post("session", {"token": token}).status_code == 200
    again = browser.post("session", {"token": token})
    assert (again.status_code, again.json()["code"]) == (401, "LINK")


def test_the_session_cookie_is_http_only_and_same_site(package, store):
    other = Browser(package, store, "ben")
    sent = other.post("session", {"token": issue_link(store, {"ben"}, "ben")})
    cookie = sent.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    secret = other.http.cookies[COOKIE]
    assert secret.encode() not in (package.folder / "answers.sqlite").read_bytes()


def test_an_expired_session_is_refused_with_401(browser, monkeypatch):
    class Later(datetime):
        @classmethod
        def now(cls, tz=None):
            return super().now(tz) + timedelta(days=31)

    monkeypatch.setattr("voxlate.web.server.answer_log.datetime", Later)
    assert browser.http.get("/api/state").status_code == 401


def test_after_sign_out_the_cookie_is_refused(browser):
    cookie = browser.http.cookies[COOKIE]
    assert browser.http.delete("/api/session", headers=browser.headers).status_code == 200
    stolen = TestClient(browser.http.app, base_url=ORIGIN, cookies={COOKIE: cookie})
    assert stolen.get("/api/state").status_code == 401


def test_many_wrong_links_do_not_lock_out_a_correct_one(package, store):
    right = issue_link(store, set(package.trials), "anna")
    browser = Browser(package, store, "anna")
    for number in range(40):
        browser.post("session", {"token": f"wrong{number}"})
    assert browser.post("session", {"token": right}).status_code == 200


def test_the_number_and_rate_of_drafts_are_limited(browser, monkeypatch):
    monkeypatch.setattr(session, "DRAFT_SECONDS", 0.0)
    monkeypatch.setattr(session, "MAX_DRAFTS", 3)
    trial = browser.state()["trial"]["id"]
    statuses = [
        browser.post("drafts", {"page": browser.page, "trial": trial, "content": str(number)}).status_code
        for number in range(5)
    ]
    assert statuses == [200, 200, 200, 429, 429]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b'{"token": ' + b"[" * 20_000, 400),
        (b'{"token": "a\\u0000b"}', 401),
        (b"\xff", 400),
    ],
)
def test_a_malformed_request_is_answered_in_one_line(browser, body, status):
    headers = browser.headers | {"content-type": "application/json"}
    sent = browser.http.post("/api/session", content=body, headers=headers)
    assert sent.status_code in (status, 422)
    assert set(sent.json()) == {"code", "message"}


@pytest.mark.parametrize("seconds", ["NaN", "Infinity", "1e999"])
def test_a_time_that_is_not_a_number_is_refused_and_the_answer_can_be_sent_again(browser, seconds):
    trial = browser.state()["trial"]
    body = json.dumps(browser.filled(trial)).replace("3.5", seconds)
    headers = browser.headers | {"content-type": "application/json"}
    assert browser.http.post("/api/answers", content=body, headers=headers).status_code in (400, 422)
    assert browser.answer().status_code == 200


def test_a_comment_with_a_null_character_is_refused(browser):
    assert browser.answer(comment="a\0b").status_code == 422


def served(package, store):
    """Returns the port of a server that runs until the tests end."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    app = create_app(package, store, origins=[f"http://127.0.0.1:{port}"])
    threading.Thread(target=run_app, args=(app, Address(port=port)), daemon=True).start()
    return port


def connected(port):
    deadline = time.monotonic() + 10
    while True:
        try:
            return socket.create_connection(("127.0.0.1", port), timeout=5)
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


def test_connections_without_a_request_are_closed(monkeypatch, package, store):
    monkeypatch.setattr(connections, "HEAD_SECONDS", 0.3)
    port = served(package, store)
    held = connected(port)
    held.sendall(b"GET / HTTP/1.1\r\n")
    assert held.recv(1) == b""
    whole = connected(port)
    whole.sendall(f"GET / HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode())
    assert whole.recv(12) == b"HTTP/1.1 200"


def test_half_open_connections_do_not_block_readers_and_later_heads_have_a_time_limit(monkeypatch, package, store):
    monkeypatch.setattr(connections, "MAX_CONNECTIONS", 5)
    port = served(package, store)
    asked = f"GET / HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode()
    held = [connected(port) for _ in range(12)]
    for one in held:
        one.sendall(b"GET / HTTP/1.1\r\n")
    reader = connected(port)
    reader.sendall(asked)
    assert reader.recv(12) == b"HTTP/1.1 200"
    monkeypatch.setattr(connections, "HEAD_SECONDS", 0.3)
    again = connected(port)
    again.sendall(asked)
    assert again.recv(1 << 20)
    time.sleep(0.2)
    again.sendall(b"GET / HTTP/1.1\r\n")
    again.settimeout(5)
    while again.recv(1 << 20):
        pass  # until it is closed, which a socket without limit would never be


def test_many_wrong_links_are_slowed_down(browser):
    statuses = [browser.post("session", {"token": f"wrong{at}"}).status_code for at in range(22)]
    assert statuses[:20] == [401] * 20
    assert statuses[-1] == 429


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1:9999", "127.0.0.1:8765.evil.example", ""])
def test_a_foreign_host_is_refused_with_400(browser, host):
    assert browser.http.get("/api/state", headers={"host": host}).status_code == 400


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
@pytest.mark.parametrize("origin", ["https://evil.example", "null", None])
def test_unsafe_methods_from_other_pages_are_refused_with_403(browser, method, origin):
    headers = {"x-csrf-token": browser.headers["x-csrf-token"]} | ({"origin": origin} if origin else {})
    answer = browser.http.request(method, "/api/answers", headers=headers, json={})
    assert (answer.status_code, answer.json()["code"]) == (403, "ORIGIN")


@pytest.mark.parametrize("token", ["", "0" * 64, None])
def test_a_request_without_the_csrf_token_is_refused_with_403(browser, token):
    headers = {"origin": ORIGIN} | ({"x-csrf-token": token} if token is not None else {})
    answer = browser.http.post("/api/page", headers=headers, json={})
    assert (answer.status_code, answer.json()["code"]) == (403, "CSRF")


@pytest.mark.parametrize(
    "headers",
    [{"content-length": str(4 << 30)}, {"content-encoding": "gzip"}, {"content-length": "-1"}, {"content-length": "x"}],
)
def test_a_body_with_a_large_content_length_or_compression_is_refused_with_413(browser, headers):
    answer = browser.http.post("/api/answers", headers=browser.headers | headers, content=b"{}")
    assert answer.status_code == 413


def test_a_chunked_body_that_is_too_large_is_refused_with_413(browser):
    parts = (b" " * 40_000 for _ in range(4))
    assert browser.http.post("/api/answers", headers=browser.headers, content=parts).status_code == 413


@pytest.mark.parametrize(
    "path",
    [
        "/case/../../etc/passwd",
        "/page/../server.py",
        "/page/%2e%2e%2fserver.py",
        "/page/index.html",
        "/api/trials/../../key.json/images/0",
        "/docs",
        "/openapi.json",
        "/key.json",
        "/answers.sqlite",
    ],
)
def test_no_path_leads_outside_the_page(browser, path):
    assert browser.http.get(path).status_code == 404


def test_every_response_has_a_policy_against_other_scripts_and_sources(browser):
    for path in ("/", "/api/state", "/page/main.js", "/nothing"):
        headers = browser.http.get(path).headers
        assert "default-src 'none'" in headers["content-security-policy"]
        assert "unsafe-inline" not in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"


def test_an_image_response_has_no_header_that_identifies_the_file(browser):
    trial = browser.state()["trial"]
    headers = browser.http.get(f"/api/trials/{trial['id']}/images/0").headers
    assert headers["cache-control"] == "no-store"
    assert not {"etag", "last-modified", "content-disposition"} & set(headers)


def test_only_the_open_and_the_next_case_can_be_loaded(browser, package):
    trials = package.trials["anna"]
    statuses = [browser.http.get(f"/api/trials/{trial.id}/images/0").status_code for trial in trials[:4]]
    assert statuses == [200, 200, 403, 403]


def test_another_reader_s_case_is_refused_with_403(browser, package):
    trial = package.trials["ben"][0]
    assert browser.http.get(f"/api/trials/{trial.id}/images/0").status_code == 403
    sent = browser.answer(trial=trial.id)
    assert (sent.status_code, sent.json()["code"]) == (403, "OTHER_READER")


def test_another_reader_s_token_gives_no_access_to_this_reader_s_cases(browser, package, store):
    ben = Browser(package, store, "ben").enter()
    trial = browser.state()["trial"]["id"]
    assert ben.answer(trial=trial).status_code == 403
    swapped = ben.post("page", {}, **{"x-csrf-token": browser.headers["x-csrf-token"]})
    assert swapped.status_code == 403


def test_the_same_submission_sent_twice_is_stored_once(browser):
    sent = browser.filled(browser.state()["trial"])
    first, again = browser.post("answers", sent).json(), browser.post("answers", sent).json()
    assert (first["again"], again["again"]) == (False, True)
    assert first["kept"] == again["kept"]
    assert len(browser.store.answers("anna")) == 1


def test_a_repeated_submission_with_another_answer_is_refused_with_409(browser):
    sent = browser.filled(browser.state()["trial"])
    browser.post("answers", sent)
    changed = browser.post("answers", sent | {"comment": "changed"})
    assert (changed.status_code, changed.json()["code"]) == (409, "SUBMISSION")


def test_an_answer_sent_again_as_a_new_submission_is_refused_with_409(browser):
    sent = browser.filled(browser.state()["trial"])
    browser.post("answers", sent)
    again = browser.post("answers", sent | {"submission": "another-name"})
    assert (again.status_code, again.json()["code"]) == (409, "ANSWERED")
    assert len(browser.store.answers("anna")) == 1


def test_an_answer_out_of_turn_is_refused_with_409(browser, package):
    later = browser.answer(trial=package.trials["anna"][3].id)
    assert (later.status_code, later.json()["code"]) == (409, "NOT_YET")


@pytest.mark.parametrize(
    "answer",
    [
        {"kind": "real_or_synthetic", "confidence": 7},
        {"kind": "real_or_synthetic", "confidence": 0},
        {"kind": "real_or_synthetic", "confidence": "3"},
        {"kind": "real_or_synthetic", "confidence": 3, "is_admin": True},
        {"kind": "forced_choice", "side": "left"},
        {"kind": "similarity", "scores": {"disc": 50, "muscle": 101}},
        {"kind": "guess"},
        {},
    ],
)
def test_a_forged_answer_is_refused_with_422_and_not_stored(browser, answer):
    assert browser.answer(answer=answer).status_code == 422
    assert browser.store.answers("anna") == []


def test_a_second_window_takes_over_and_the_first_is_refused(browser):
    trial, first = browser.state()["trial"], browser.page
    browser.open()
    refused = browser.post("answers", browser.filled(trial, page=first))
    assert (refused.status_code, refused.json()["code"]) == (409, "OTHER_WINDOW")
    assert browser.post("answers", browser.filled(trial)).status_code == 200


def test_an_unfinished_answer_survives_a_reload(browser):
    trial = browser.state()["trial"]["id"]
    assert browser.post("drafts", {"page": browser.page, "trial": trial, "content": '{"form":"4"}'}).status_code == 200
    assert browser.state()["draft"] == '{"form":"4"}'
    browser.answer()
    assert browser.state()["draft"] is None


@pytest.mark.parametrize("jump_s", [-86_400.0, 7_200.0])
def test_a_clock_jump_is_logged_and_loses_no_answer(browser, monkeypatch, jump_s):
    browser.answer()
    now = time.time
    monkeypatch.setattr("voxlate.readers.server.session.time.time", lambda: now() + jump_s)
    assert browser.answer(timing={"viewed_s": -5.0, "hidden_s": None}).status_code == 200
    jumps = [json.loads(entry.body) for entry in browser.store.log() if entry.kind == "clock_jump"]
    assert jumps == [{"seconds": jump_s}]
    assert len(browser.store.answers("anna")) == 2


def test_markup_in_free_text_is_returned_unchanged(browser):
    text = "<script>alert(1)</script>"
    browser.answer(comment=text)
    assert browser.store.answers("anna")[0].body["comment"] == text
    assert "<script>alert" not in browser.http.get("/").text


def test_the_state_does_not_reveal_the_version_shown(browser):
    text = json.dumps(browser.state())
    assert not any(word in text for word in ("case0", "version", "margin", "is_repeat", "tolerance"))


@pytest.mark.parametrize("host", [EVERYWHERE, "192.168.1.5", "::", "example.org"])
def test_other_addresses_than_loopback_are_refused_unless_allowed(host):
    with pytest.raises(UsageError, match="NOT_LOOPBACK"):
        require_safe(Address(host=host))


def test_a_network_address_needs_encryption_and_a_name(tmp_path):
    with pytest.raises(UsageError, match="TLS"):
        require_safe(Address(host=EVERYWHERE, is_network_allowed=True))
    files = {"certificate": tmp_path / "c.pem", "certificate_key": tmp_path / "k.pem"}
    address = Address(host=EVERYWHERE, is_network_allowed=True, public_names=("study.example",), **files)
    require_safe(address)
    assert address.origins()[0] == "https://study.example"


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost", "127.0.0.5"])
def test_loopback_addresses_are_served(host):
    require_safe(Address(host=host))


def test_the_source_of_a_case_is_sent_as_its_first_panel(sources, tmp_path):
    shutil.copytree(sources / "real", tmp_path / "real")
    for name in ("synthetic", "lesions"):
        shutil.copytree(sources / name, tmp_path / name)
    only = "designs:\n  - {kind: forced_choice, name: choice}\nwashout"
    head, tail = STUDY.replace("levels: 64}", "levels: 64, source: real}").split("designs:")
    (tmp_path / "study.yaml").write_text(head + only + tail.split("washout")[1])
    create_package(tmp_path / "study.yaml", tmp_path / "out")
    package = load_package(tmp_path / "out")
    store = AnswerLog(SqliteDatabase(package.folder / "answers.sqlite"), package.protocol_hash)
    try:
        reader = Browser(package, store, "anna").enter()
        shown = reader.state()["trial"]
        assert (shown["panels"], shown["has_source"]) == (3, True)
        trial = package.trials["anna"][0]
        for slot, image in enumerate((trial.source, *trial.images)):
            sent = reader.http.get(f"/api/trials/{shown['id']}/images/{slot}")
            assert sent.content == package.image_path(image).read_bytes()
        assert reader.http.get(f"/api/trials/{shown['id']}/images/3").status_code == 404
        assert reader.answer().status_code == 200
    finally:
        store.close()


def test_a_port_that_another_program_has_is_refused_before_a_link_is_made():
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = Address(port=other.getsockname()[1])
        with pytest.raises(UsageError, match=rf"PORT port {taken.port} of 127.0.0.1 cannot be used \(Address already"):
            require_free_port(taken)
        with pytest.raises(UsageError, match="PORT"):
            serve(Path("nowhere"), taken, announce=print)
    require_free_port(taken)


def test_only_the_owner_can_read_a_file_of_links_from_its_first_byte_on(tmp_path, monkeypatch):
    modes, write = [], Path.write_text

    def note(path, *args, **more):
        modes.append(path.stat().st_mode & 0o777)
        return write(path, *args, **more)

    monkeypatch.setattr(Path, "write_text", note)
    readers._announce({"anna": "http://127.0.0.1:8765/#secret"}, tmp_path / "links.tsv")
    assert (modes, (tmp_path / "links.tsv").stat().st_mode & 0o777) == ([0o600], 0o600)
