"""What only the SQLite store does: locks, schemas, damage, full disks, readers beside a writer."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from archsmith._support.errors import RunFolderError, StoreError
from archsmith.history.trial import State, Trial
from archsmith.study import SqliteStore, sqlite
from archsmith.testing.store import META, trial


def filled(folder: Path, trials: int = 3) -> SqliteStore:
    store = SqliteStore(folder)
    store.begin(META)
    for number in range(trials):
        done(store, number)
    return store


def done(store: SqliteStore, number: int) -> Trial:
    one = trial(number)
    store.propose(one, "main")
    store.finish(one, State.FINISHED, {"accuracy": number / 100, "params": 1.0})
    return one


def until_refused(store: SqliteStore, number: int) -> tuple[int, str]:
    """Add trials until the store refuses one; the number of those that were taken, the message."""
    while number < 10_000:
        try:
            done(store, number)
        except StoreError as error:
            return number, str(error)
        number += 1
    raise AssertionError("the store took everything")


def test_a_second_writer_is_refused_and_told_who_holds_it(tmp_path: Path) -> None:
    store = filled(tmp_path)
    with pytest.raises(RunFolderError, match=f"process {os.getpid()}") as caught:
        SqliteStore(tmp_path)
    assert "another run folder" in str(caught.value)
    store.close()
    SqliteStore(tmp_path).close()


def test_another_process_is_refused_and_the_lock_dies_with_its_holder(tmp_path: Path) -> None:
    code = (
        "import sys; from archsmith.study import SqliteStore;"
        "s = SqliteStore(sys.argv[1]); print('held', flush=True); sys.stdin.read()"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == b"held\n"
    with pytest.raises(RunFolderError, match=f"process {holder.pid}"):
        SqliteStore(tmp_path)
    holder.kill()
    holder.communicate()
    SqliteStore(tmp_path).close()


def test_readers_look_on_while_a_writer_works(tmp_path: Path) -> None:
    with filled(tmp_path, 2) as writer:
        assert isinstance(writer, SqliteStore)
        with SqliteStore(tmp_path, read=True) as reader:
            assert len(reader.history().finished) == 2
            done(writer, 2)
            assert len(reader.history().finished) == 3
            with pytest.raises(StoreError, match="readonly"):
                reader.note("a", 1)
    with SqliteStore(tmp_path, read=True) as reader:
        assert len(reader.history().finished) == 3


def test_a_folder_without_a_study(tmp_path: Path) -> None:
    with pytest.raises(RunFolderError, match="without one"):
        SqliteStore(tmp_path, read=True)
    with pytest.raises(RunFolderError, match="no such folder"):
        SqliteStore(tmp_path / "missing", read=True)
    assert not (tmp_path / "missing").exists()


def test_a_file_in_place_of_the_folder(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("a file")
    with pytest.raises(RunFolderError):
        SqliteStore(tmp_path / "run")


def test_newer_schema(tmp_path: Path) -> None:
    filled(tmp_path).close()
    db = sqlite3.connect(tmp_path / "study.db")
    db.execute("PRAGMA user_version = 99")
    db.execute("INSERT OR REPLACE INTO meta VALUES ('versions', '{\"archsmith\": \"9.8.7\"}')")
    db.commit()
    db.close()
    for read in (False, True):
        with pytest.raises(RunFolderError) as caught:
            SqliteStore(tmp_path, read=read)
        text = str(caught.value)
        assert "schema 99 (written by archsmith 9.8.7)" in text
        assert f"schema {sqlite.schema()} or older" in text
        assert "pip install --upgrade" in text


def test_older_files_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    filled(tmp_path).close()

    def add_column(db: sqlite3.Connection) -> None:
        db.execute("ALTER TABLE events ADD COLUMN extra TEXT")

    monkeypatch.setattr(sqlite, "MIGRATIONS", (add_column,))
    assert sqlite.schema() == 2
    with SqliteStore(tmp_path, read=True) as reader:
        assert len(reader.history().finished) == 3
    db = sqlite3.connect(tmp_path / "study.db")
    assert db.execute("PRAGMA user_version").fetchone()[0] == 1, "readers change nothing"
    db.close()
    with SqliteStore(tmp_path) as store:
        assert isinstance(store, SqliteStore)
        store.begin(META)
        done(store, 3)
        assert len(store.history().finished) == 4
    db = sqlite3.connect(tmp_path / "study.db")
    assert db.execute("PRAGMA user_version").fetchone()[0] == 2
    db.close()


def test_a_migration_that_fails_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    filled(tmp_path).close()

    def half(db: sqlite3.Connection) -> None:
        db.execute("DELETE FROM events")
        db.execute("SELECT * FROM missing")

    with monkeypatch.context() as patch:
        patch.setattr(sqlite, "MIGRATIONS", (half,))
        with pytest.raises(StoreError):
            SqliteStore(tmp_path)
    with SqliteStore(tmp_path) as store:
        assert len(store.history().finished) == 3


def test_another_sqlite_file(tmp_path: Path) -> None:
    db = sqlite3.connect(tmp_path / "study.db")
    db.execute("CREATE TABLE mine (a)")
    db.commit()
    db.close()
    with pytest.raises(RunFolderError, match="another SQLite file"):
        SqliteStore(tmp_path)


def test_no_database_at_all(tmp_path: Path) -> None:
    (tmp_path / "study.db").write_bytes(b"not a database " * 100)
    with pytest.raises(StoreError, match="undamaged"):
        SqliteStore(tmp_path)
    (tmp_path / "study.db").unlink()
    SqliteStore(tmp_path).close()  # the refused one let go of the lock


@pytest.mark.slow
@pytest.mark.parametrize("cut", [1, 24, 1000, 4095, 4096 + 24, 20_000])
def test_a_torn_log_loses_its_tail_alone(tmp_path: Path, cut: int) -> None:
    store = filled(tmp_path / "live", 20)
    dead = tmp_path / "dead"
    dead.mkdir()
    # What a machine that lost power leaves: the files as they are, the log cut short.
    for name in ("study.db", "study.db-wal"):
        shutil.copy(tmp_path / "live" / name, dead / name)
    store.close()
    log = dead / "study.db-wal"
    os.truncate(log, log.stat().st_size - cut)
    with SqliteStore(dead, read=True) as reader:
        seen = len(reader.record().ended)
    with SqliteStore(dead) as again:
        assert isinstance(again, SqliteStore)
        record = again.begin(META)
        assert len(record.ended) == seen
        assert 20 - seen <= 1 + cut // 2048
        assert [t.number for t in record.trials] == list(range(len(record.trials)))
        done(again, len(record.trials))
        assert again.record().trials[-1].state is State.FINISHED


def test_garbage_at_the_end_of_the_log(tmp_path: Path) -> None:
    store = filled(tmp_path / "live", 5)
    dead = tmp_path / "dead"
    dead.mkdir()
    for name in ("study.db", "study.db-wal"):
        shutil.copy(tmp_path / "live" / name, dead / name)
    store.close()
    with (dead / "study.db-wal").open("ab") as log:
        log.write(os.urandom(5000))
    with SqliteStore(dead) as again:
        assert len(again.history().finished) == 5


def test_a_full_file_says_how_many_trials_are_safe(tmp_path: Path) -> None:
    store = filled(tmp_path, 4)
    pages = store._db.execute("PRAGMA page_count").fetchone()[0]
    store._db.execute(f"PRAGMA max_page_count = {pages}")
    number, text = until_refused(store, 4)
    assert "full" in text
    assert f"{number} ended trials are safe" in text
    assert "free some space" in text
    store._db.execute("PRAGMA max_page_count = 1000000")
    assert len(store.history().finished) == number
    store.close()
    with SqliteStore(tmp_path, read=True) as reader:
        assert len(reader.history().finished) == number


def test_a_full_disk(small_disk: Path) -> None:
    store = filled(small_disk / "run", 1)
    number, text = until_refused(store, 1)
    assert f"{number} ended trials are safe" in text
    assert "free some space" in text
    store.close()
    with SqliteStore(small_disk / "run", read=True) as reader:
        assert len(reader.history().finished) == number


def test_reading_where_nothing_can_be_written(small_disk: Path) -> None:
    filled(small_disk / "run").close()
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    with SqliteStore(small_disk / "run", read=True) as reader:
        assert len(reader.history().finished) == 3
    with pytest.raises(RunFolderError, match="can be written"):
        SqliteStore(small_disk / "run")
