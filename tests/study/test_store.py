from archsmith.study import MemoryStore, SqliteStore
from archsmith.study.store import Store
from archsmith.testing.store import META, StoreContract


class Contract(StoreContract):
    def test_what_is_no_part_of_the_study_may_change(self, store: Store) -> None:
        newer = {**META, "command": "archsmith search digits --trials 100"}
        store.begin(META)
        store.begin(newer)
        assert store.meta() == newer


class TestMemoryStore(Contract):
    make = staticmethod(lambda folder: MemoryStore())
    durable = False


class TestSqliteStore(Contract):
    make = staticmethod(lambda folder: SqliteStore(folder))
