import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from voxlate.errors import CannotWrite, InputRefused, UsageError
from voxlate.io.documents import canonical_json
from voxlate.web.server import sql
from voxlate.web.server.answer_log import AnswerLog, verify_chain
from voxlate.web.server.sql import SqliteDatabase, open_database

BINARIES = Path("/usr/lib/postgresql/15/bin")
BODY = {"answer": {"kind": "forced_choice", "side": "left"}}


def sqlite(path):
    return AnswerLog(SqliteDatabase(path / "answers.sqlite"), "protocol")


@pytest.fixture(scope="module")
def postgres_url():
    """Starts a PostgreSQL server of our own on loopback, as no superuser, in a folder of its own."""
    if not (BINARIES / "initdb").exists():
        pytest.skip("PostgreSQL 15 is not installed")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with tempfile.TemporaryDirectory() as folder:
        as_user = {"user": "nobody"} if os.geteuid() == 0 else {}
        if as_user:
            shutil.chown(folder, "nobody")

        def run(*command):
            subprocess.run([str(part) for part in command], check=True, capture_output=True, cwd=folder, **as_user)

        run(BINARIES / "initdb", "-D", f"{folder}/data", "-A", "trust", "-U", "voxlate")
        options = f"-c listen_addresses=127.0.0.1 -c port={port} -c unix_socket_directories={folder}"
        run(BINARIES / "pg_ctl", "-D", f"{folder}/data", "-w", "-o", options, "-l", f"{folder}/log", "start")
        try:
            yield f"postgresql://voxlate@127.0.0.1:{port}/postgres"
        finally:
            run(BINARIES / "pg_ctl", "-D", f"{folder}/data", "-m", "immediate", "stop")


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.slow)])
def store(request, tmp_path):
    if request.param == "sqlite":
        opened = sqlite(tmp_path)
    else:
        url = request.getfixturevalue("postgres_url")
        schema = f"t{abs(hash(request.node.name)) % 10**9}"
        import psycopg

        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(f"CREATE SCHEMA {schema}")
        opened = AnswerLog(open_database(tmp_path, f"{url}?options=-csearch_path%3D{schema}"), "protocol")
    yield opened
    opened.close()


def test_an_answer_is_returned_as_it_was_stored(store):
    store.add_answer("anna", "t1", "s-1", BODY | {"comment": "größer als 5 %, ' OR 1=1 --"}, revision=0)
    (answer,) = store.answers("anna")
    assert answer.body["comment"] == "größer als 5 %, ' OR 1=1 --"
    assert (answer.trial, answer.revision, answer.submission) == ("t1", 0, "s-1")
    assert store.answers("ben") == []


def test_a_second_answer_to_a_trial_is_refused_and_a_correction_is_a_new_row(store):
    store.add_answer("anna", "t1", "s-1", BODY, revision=0)
    with pytest.raises(InputRefused, match="ANSWERED"):
        store.add_answer("anna", "t1", "s-2", BODY, revision=0)
    store.add_answer("anna", "t1", "s-3", BODY, revision=1)
    assert [answer.revision for answer in store.answers()] == [0, 1]


def test_of_twenty_threads_with_one_answer_exactly_one_succeeds(store):
    outcomes = []

    def send(at):
        try:
            store.add_answer("anna", "t1", f"s-{at}", BODY, revision=0)
            outcomes.append("kept")
        except InputRefused:
            outcomes.append("refused")

    threads = [threading.Thread(target=send, args=(at,)) for at in range(20)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert sorted(outcomes) == ["kept"] + ["refused"] * 19
    assert verify_chain(store.log()) is None


@pytest.mark.parametrize("table", sql.TABLES)
@pytest.mark.parametrize("statement", ["UPDATE {} SET {} = {}", "DELETE FROM {}"])
def test_no_row_can_be_changed_or_removed(store, table, statement):
    store.add_credential("d", "link", "anna", datetime.now(UTC) + timedelta(days=1))
    store.redeem("d", "link")
    store.add_answer("anna", "t1", "s-1", BODY, revision=0)
    column = "seq" if table in {"log", "answers"} else "digest"
    with pytest.raises(Exception, match="never changed"), store._database.transaction(is_write=True) as run:
        run(statement.format(table, column, column))


def test_a_credential_is_redeemed_once_and_not_after_it_expired(store):
    store.add_credential("one", "link", "anna", datetime.now(UTC) + timedelta(days=1))
    store.add_credential("old", "link", "anna", datetime.now(UTC) - timedelta(seconds=1))
    assert [store.redeem("one", "link"), store.redeem("one", "link")] == ["anna", None]
    assert store.redeem("old", "link") is None
    assert store.redeem("one", "session") is None


def test_another_study_s_database_is_refused(store):
    with pytest.raises(InputRefused, match="PROTOCOL_CHANGED"):
        AnswerLog(store._database, "another")


@pytest.mark.parametrize("change", ["body", "reader", "time_utc", "drop", "insert"])
def test_the_hash_chain_shows_where_a_row_was_changed_dropped_or_inserted(tmp_path, change):
    store = sqlite(tmp_path)
    for at in range(5):
        store.add_answer("anna", f"t{at}", f"s-{at}", BODY, revision=0)
    log = store.log()
    if change == "drop":
        del log[3]
    elif change == "insert":
        log.insert(3, log[2]._replace(seq=4, previous=log[2].hash))
    else:
        log[3] = log[3]._replace(**{change: "x"})
    assert verify_chain(log) == 4
    assert verify_chain(store.log()) is None


def test_an_acknowledged_answer_survives_a_killed_server(tmp_path):
    program = (
        "import os, sys; from pathlib import Path\n"
        "from voxlate.web.server.sql import SqliteDatabase\n"
        "from voxlate.web.server.answer_log import AnswerLog\n"
        "store = AnswerLog(SqliteDatabase(Path(sys.argv[1]) / 'answers.sqlite'), 'protocol')\n"
        "for at in range(1000):\n"
        "    store.add_answer('anna', f't{at}', f's-{at}', {'answer': {}}, revision=0)\n"
        "    os.write(1, b'.')\n"
    )
    process = subprocess.Popen([sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE)
    acknowledged = len(process.stdout.read(7))
    process.send_signal(signal.SIGKILL)
    acknowledged += len(process.stdout.read())
    process.wait()
    store = sqlite(tmp_path)
    assert acknowledged <= len(store.answers()) <= acknowledged + 1
    assert verify_chain(store.log()) is None


def test_sqlite_uses_a_write_ahead_log_and_full_synchronisation(tmp_path):
    connection = SqliteDatabase(tmp_path / "a.sqlite")._connection
    assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert connection.execute("PRAGMA synchronous").fetchone() == (2,)


def test_a_network_disk_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(sql, "_file_system", lambda _: "nfs4")
    with pytest.raises(CannotWrite, match="NETWORK_DISK"):
        SqliteDatabase(tmp_path / "a.sqlite")


def test_another_kind_of_database_address_is_refused(tmp_path):
    with pytest.raises(UsageError, match="DATABASE_URL"):
        open_database(tmp_path, "mysql://host/name")


def test_only_the_owner_can_read_the_file(tmp_path):
    sqlite(tmp_path)
    assert (tmp_path / "answers.sqlite").stat().st_mode & 0o077 == 0
    assert sqlite3.connect(tmp_path / "answers.sqlite").execute("SELECT count(*) FROM log").fetchone() == (1,)


def test_hashed_json_does_not_depend_on_the_order_of_keys_and_holds_no_nan():
    assert canonical_json({"b": [1, "ä"], "a": None}) == canonical_json({"a": None, "b": [1, "ä"]})
    assert canonical_json({"b": [1, "ä"], "a": None}) == '{"a":null,"b":[1,"ä"]}'
    with pytest.raises(ValueError, match="JSON compliant"):
        canonical_json([float("nan")])
