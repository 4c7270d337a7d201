"""A person's grades are stored, and the page is protected like a reader study."""

import json
import secrets

import pytest
from starlette.testclient import TestClient

from voxlate.errors import InputRefused, UsageError
from voxlate.quality.items import Item
from voxlate.quality.review.regrade_server import create_regrade_app, serve_regrading
from voxlate.quality.review.regrading import RegradingSession, open_log, read_regrades
from voxlate.web.server.auth import Authenticator, issue_link
from voxlate.web.server.serve import Address

ORIGIN = "http://127.0.0.1:8766"
PNG = b"\x89PNG picture of "


def graded(folder, name, tiers, proper=0.99, agent=0.99):
    item = Item(name, "p", "e")
    row = {f"{tier}_probability": value for tier, value in zip(("good", "medium", "low"), tiers, strict=True)}
    row |= {"proper_probability": proper, "agent_probability": agent, "tier": "good", "agent": "yes"}
    (folder / "items").mkdir(exist_ok=True)
    grading = {"item": item.to_json(), "state": "OK", "row": row, "content": name}
    (folder / "items" / f"{item.file_name}.json").write_text(json.dumps(grading))
    (folder / "items" / f"{item.file_name}.png").write_bytes(PNG + name.encode())
    return item.file_name


@pytest.fixture
def served(tmp_path):
    keys = {name: graded(tmp_path, name, tiers) for name, tiers in
            (("sure", (0.98, 0.01, 0.01)), ("open", (0.4, 0.35, 0.25)), ("likely", (0.1, 0.1, 0.8)))}  # fmt: skip
    (tmp_path / "grades.tsv").write_text("item\n" + "".join(f"{name}\n" for name in keys))
    store = open_log(tmp_path)
    app = create_regrade_app(
        RegradingSession(tmp_path, store), Authenticator(store), origins=Address(port=8766).origins()
    )
    client = TestClient(app, base_url=ORIGIN, headers={"origin": ORIGIN})
    client.post("/api/session", json={"token": issue_link(store, {"ann"}, "ann")})
    client.headers["x-csrf-token"] = client.get("/api/state").json()["csrf"]
    yield client, keys, tmp_path
    store.close()


def send(client, item, **more):
    return client.post(
        "/api/grades", json={"item": item, "proper": True, "contrast": 0, "motion": 1, "noise": 0} | more
    )


def test_the_least_certain_scan_comes_first_and_the_page_hides_the_software_grades(served):
    client, keys, _ = served
    state = client.get("/api/state").json()
    assert state["items"] == [keys["open"], keys["likely"], keys["sure"]]
    assert set(state) == {"items", "said", "keys", "csrf"}
    assert state["said"] == {}
    assert client.get(f"/api/items/{keys['open']}/picture").content == PNG + b"open"


def test_the_last_grade_of_a_scan_counts_and_all_are_stored(served):
    client, keys, folder = served
    assert send(client, keys["open"], agent="yes").json() == {"kept": True}
    assert send(client, keys["open"], motion=2, agent="no").json() == {"kept": True}
    assert send(client, keys["sure"], proper=False, contrast=None).json() == {"kept": True}
    regrades = read_regrades(folder)
    assert regrades["open"] == {"tier": "low", "kind": "T1w", "grade_contrast": 0, "grade_motion": 2, "grade_noise": 0,
                            "agent": "no", "agent_by": "person", "content": "open"}  # fmt: skip
    assert regrades["sure"] == {"tier": "improper", "content": "sure"}
    store = open_log(folder)
    assert [entry.kind for entry in store.log()].count("regrade") == 3
    store.close()
    assert client.get("/api/state").json()["said"][keys["open"]]["grades"]["motion"] == 2


def test_a_second_grader_does_not_see_the_grades_of_the_first(served):
    client, keys, folder = served
    send(client, keys["open"])
    store = open_log(folder)
    token = issue_link(store, {"bob"}, "bob")
    store.close()
    other = TestClient(client.app, base_url=ORIGIN, headers={"origin": ORIGIN})
    other.post("/api/session", json={"token": token})
    assert other.get("/api/state").json()["said"] == {}


def test_the_cookie_differs_from_that_of_a_reader_study(served):
    client, _, _ = served
    assert [cookie.name for cookie in client.cookies.jar] == ["voxlate_regrader"]


@pytest.mark.parametrize(
    ("change", "status"),
    [({"motion": None}, 422), ({"motion": 3}, 422), ({"agent": "perhaps"}, 422), ({"item": "../x"}, 404),
     ({"colour": 1}, 422)],
)  # fmt: skip
def test_an_invalid_grade_is_refused_and_not_stored(served, change, status):
    client, keys, folder = served
    assert send(client, **({"item": keys["open"]} | change)).status_code == status
    assert read_regrades(folder) == {}


def test_requests_without_a_session_or_from_another_origin_are_refused(served):
    client, keys, _ = served
    picture = f"/api/items/{keys['open']}/picture"
    unknown = TestClient(client.app, base_url=ORIGIN, headers={"origin": ORIGIN})
    assert unknown.get("/api/state").status_code == 401 == unknown.get(picture).status_code
    assert unknown.post("/api/session", json={"token": secrets.token_urlsafe(32)}).status_code == 401
    assert client.get("/api/state", headers={"host": "evil.example"}).status_code == 400
    assert client.post("/api/grades", json={}, headers={"origin": "http://evil.example"}).status_code == 403
    assert client.post("/api/grades", json={}, headers={"x-csrf-token": "x"}).status_code == 403
    assert client.get("/page/..%2Fmain.js").status_code == 404


def test_everything_the_page_loads_is_served(served):
    client, _, _ = served
    page = client.get("/").text
    for part in ("page/page.css", "page/regrade.css", "page/regrade.js"):
        assert part in page
        assert client.get(f"/{part}").status_code == 200
    assert 'from "./api.js"' in client.get("/page/regrade.js").text
    assert client.get("/page/api.js").status_code == 200


def test_a_folder_without_grades_and_an_address_of_the_network_are_refused(tmp_path):
    with pytest.raises(UsageError, match="GRADES"):
        serve_regrading(tmp_path, "ann", Address(), announce=print)
    assert not list(tmp_path.iterdir())
    with pytest.raises(UsageError, match="NOT_LOOPBACK"):
        serve_regrading(tmp_path, "ann", Address(host="192.0.2.7"), announce=print)


def test_the_log_of_a_reader_study_is_refused(served):
    _, _, folder = served
    from voxlate.web.server.answer_log import AnswerLog
    from voxlate.web.server.sql import SqliteDatabase

    (folder / "other").mkdir()
    AnswerLog(SqliteDatabase(folder / "other" / "answers.sqlite"), "another study").close()
    with pytest.raises(InputRefused, match="PROTOCOL_CHANGED"):
        read_regrades(folder / "other")
