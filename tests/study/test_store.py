"""Both stores keep the contract."""

from archsmith.study import MemoryStore, SqliteStore
from archsmith.testing.store import StoreContract


class TestMemoryStore(StoreContract):
    make = staticmethod(lambda folder: MemoryStore())
    durable = False


class TestSqliteStore(StoreContract):
    make = staticmethod(lambda folder: SqliteStore(folder))
