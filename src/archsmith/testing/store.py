"""The contract suite of a store. Subclass :class:`StoreContract` in a test module:

class TestMyStore(StoreContract):
    make = staticmethod(lambda folder: MyStore(folder))
"""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any, ClassVar

import pytest

from .._support.errors import RunFolderError
from ..history.objective import Limit, Objective
from ..history.trial import Fidelity, State, Trial, as_json
from ..space.architecture import Architecture
from ..study.record import Event
from ..study.store import Store

#: A description of a study like those of :func:`archsmith.study.meta.describe`.
META: dict[str, Any] = {
    "space": "toy",
    "arguments": {"width": 3},
    "fingerprint": "f00d",
    "strategy": "random",
    "objectives": [["accuracy", "maximize"], ["params", "minimize"]],
    "limits": [["params", "<=", 1000.0]],
    "seed": 7,
    "data": "digits",
    "command": "archsmith search digits",
}


def trial(number: int, **answers: Any) -> Trial:
    """A new trial with no field at its default."""
    architecture = Architecture({"width": number, "op": "conv3", "pads": (0, (1, 2)), **answers})
    return Trial(number, architecture, Fidelity(3, 0.5), 1000 + number, f"note {number}")


class StoreContract:
    """Tests of a store. ``make`` opens the store of a folder, also after it was closed."""

    #: Whether everything written is still there when the store is opened again.
    durable: ClassVar[bool] = True

    @staticmethod
    def make(folder: Path) -> Store:
        """The store to test."""
        raise NotImplementedError("a subclass says how to make its store")

    @pytest.fixture
    def store(self, tmp_path: Path) -> Any:
        store = self.make(tmp_path)
        yield store
        store.close()

    def again(self, store: Store, tmp_path: Path) -> Store:
        """The store as the next process opens it."""
        if not self.durable:
            return store
        store.close()
        return self.make(tmp_path)

    def test_new_store_is_empty(self, store: Store) -> None:
        assert store.meta() == {}
        assert list(store.events()) == []
        assert store.record().trials == []

    def test_meta_comes_back(self, store: Store, tmp_path: Path) -> None:
        store.begin(META)
        store = self.again(store, tmp_path)
        assert store.meta() == META
        history = store.history()
        assert history.objectives == (
            Objective("accuracy", "maximize"),
            Objective("params", "minimize"),
        )
        assert history.limits == (Limit("params", "<=", 1000.0),)
        store.close()

    @pytest.mark.parametrize("key", ["space", "arguments", "fingerprint", "seed", "data"])
    def test_another_study_is_refused(self, store: Store, key: str) -> None:
        store.begin(META)
        before = list(store.events())
        with pytest.raises(RunFolderError):
            store.begin({**META, key: "other"})
        assert store.meta() == META
        assert list(store.events()) == before

    def test_what_is_no_part_of_the_study_may_change(self, store: Store) -> None:
        newer = {**META, "command": "archsmith search digits --trials 100"}
        store.begin(META)
        store.begin(newer)
        assert store.meta() == newer

    def test_history_of_an_empty_store_is_refused(self, store: Store) -> None:
        with pytest.raises(RunFolderError):
            store.history()

    def test_life_of_a_trial(self, store: Store, tmp_path: Path) -> None:
        store.begin(META)
        live = trial(0)
        store.propose(live)
        assert store.record().trials[0].state is State.PROPOSED
        store.start(live, "main")
        store.epoch(live, {"epoch": 1.0, "loss": 2.5})
        store.epoch(live, {"epoch": 2.0, "loss": 1.5})
        store.finish(live, State.FINISHED, {"accuracy": 0.75, "params": 12.0})
        store = self.again(store, tmp_path)
        stored = store.record().trials[0]
        assert stored == live
        assert stored.state is State.FINISHED
        assert stored.architecture["pads"] == (0, (1, 2))
        assert stored.curve == [{"epoch": 1.0, "loss": 2.5}, {"epoch": 2.0, "loss": 1.5}]
        assert (stored.attempts, stored.worker) == (1, "main")
        assert stored.ended >= stored.started > 0
        store.close()

    def test_proposal_and_start_in_one_go(self, store: Store) -> None:
        store.begin(META)
        live = trial(0)
        store.propose(live, "worker-1")
        assert store.record().trials == [live]
        assert live.state is State.RUNNING
        assert live.worker == "worker-1"

    @pytest.mark.parametrize("state", [State.FAILED, State.PRUNED])
    def test_other_ends_keep_reason_and_metrics(self, store: Store, state: State) -> None:
        store.begin(META)
        live = trial(0)
        store.propose(live, "main")
        store.finish(live, state, {"params": 5.0}, "what happened")
        stored = store.record().trials[0]
        assert (stored.state, stored.reason, stored.metrics) == (
            state,
            "what happened",
            {"params": 5.0},
        )
        assert store.history().finished == []
        assert store.history().running == {}

    def test_running_trials_come_back(self, store: Store, tmp_path: Path) -> None:
        store.begin(META)
        first, second = trial(0), trial(1)
        store.propose(first, "main")
        store.epoch(first, {"epoch": 1.0})
        store.propose(second, "other")
        store.finish(second, State.FINISHED, {"accuracy": 0.5})
        store = self.again(store, tmp_path)
        record = store.begin(META)
        back = record.trials[0]
        assert (back.state, back.worker, back.curve) == (State.PROPOSED, "", [])
        assert (back.architecture, back.seed, back.attempts) == (first.architecture, first.seed, 1)
        assert record.trials[1] == second
        store.start(back, "main")
        assert back.attempts == 2
        assert store.record().trials[0] == back
        store.close()

    def test_given_back(self, store: Store) -> None:
        store.begin(META)
        live = trial(0)
        store.propose(live, "main")
        store.give_back([live], "interrupted")
        assert live.state is State.PROPOSED
        assert [as_json(t) for t in store.record().trials] == [as_json(live)]

    def test_finished_are_in_order_of_finishing(self, store: Store) -> None:
        store.begin(META)
        trials = [trial(n) for n in range(4)]
        for live in trials:
            store.propose(live, f"worker-{live.number}")
        for number in (2, 0, 3):
            store.finish(trials[number], State.FINISHED, {"accuracy": number / 10})
        history = store.history()
        assert [t.number for t in history.finished] == [2, 0, 3]
        assert list(history.running) == [1]
        assert len(history) == 4

    def test_infinite_and_nan_metrics_come_back(self, store: Store, tmp_path: Path) -> None:
        store.begin(META)
        live = trial(0)
        store.propose(live, "main")
        metrics = {"loss": float("nan"), "gap": float("inf")}
        store.finish(live, State.FAILED, metrics, "loss is NaN")
        store = self.again(store, tmp_path)
        stored = store.record().trials[0].metrics
        assert stored["loss"] != stored["loss"]
        assert stored["gap"] == float("inf")
        store.close()

    def test_notes_keep_the_last_value(self, store: Store, tmp_path: Path) -> None:
        store.begin(META)
        store.note("final", {"test": 0.1})
        store.note("final", {"test": [0.9, None, "ü"]})
        store = self.again(store, tmp_path)
        assert store.record().notes == {"final": {"test": [0.9, None, "ü"]}}
        store.close()

    def test_time_is_the_sum_of_the_sessions(self, store: Store) -> None:
        who = {"pid": 1, "host": "here"}
        store.write_meta(META)
        store.append(Event("opened", -1, 100.0, who))
        store.append(Event("closed", -1, 110.0, {"reason": "interrupted"}))
        store.append(Event("note", -1, 500.0, {"name": "later", "value": 1}))
        store.append(Event("opened", -1, 1000.0, who))
        live = trial(0)
        store.append(
            Event(
                "proposed",
                0,
                1005.0,
                {
                    "architecture": live.architecture.to_json(),
                    "epochs": None,
                    "share": 1.0,
                    "seed": 1,
                    "note": "",
                },
            )
        )
        record = store.record()
        assert record.seconds == pytest.approx(15.0)
        assert [s.closed for s in record.sessions] == ["interrupted", ""]

    def test_what_was_written_is_not_what_changes_later(self, store: Store) -> None:
        store.begin(META)
        live = trial(0)
        store.propose(live, "main")
        metrics = {"accuracy": 0.5}
        store.epoch(live, metrics)
        metrics["accuracy"] = 0.0
        assert store.record().trials[0].curve == [{"accuracy": 0.5}]

    def test_many_trials(self, store: Store, tmp_path: Path) -> None:
        store.begin(META)
        rng = random.Random(0)
        trials = [trial(n) for n in range(200)]
        for live in trials:
            store.propose(live, "main")
            store.finish(live, State.FINISHED, {"accuracy": rng.random(), "params": 10.0})
        store = self.again(store, tmp_path)
        assert store.record().trials == trials
        best = max(trials, key=lambda t: t.metrics["accuracy"])
        stored = store.history().best()
        assert stored is not None
        assert stored.number == best.number
        store.close()
