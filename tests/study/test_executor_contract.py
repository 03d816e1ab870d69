"""Every executor keeps the contract of executors."""

from __future__ import annotations

import pytest

from archsmith._support.errors import UnknownNameError
from archsmith.evaluate import Stages
from archsmith.study import Inline, Processes
from archsmith.study.executors import executors, make_executor
from archsmith.testing.executor import ExecutorContract, Told


class TestInline(ExecutorContract):
    make = staticmethod(Inline)


@pytest.mark.processes
class TestProcesses(ExecutorContract):
    make = staticmethod(lambda: Processes(2))


def test_executors_are_made_by_name():
    assert executors.names() == ["local"]
    assert isinstance(make_executor("local", 1), Inline)
    made = make_executor("local", 3)
    assert isinstance(made, Processes)
    assert (made.workers, made.devices) == (3, ())
    assert make_executor(made, 1) is made
    with pytest.raises(UnknownNameError, match="local"):
        make_executor("locl", 1)


def test_workers_take_turns_at_devices(monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    assert make_executor("local", 3, "auto").devices == ("cuda:0", "cuda:1")
    assert make_executor("local", 3, "cpu").devices == ()
    placed = []

    class Placed(Told):
        def on(self, device):
            placed.append(device)
            return self

    executor = Processes(3, devices=("a", "b"))
    monkeypatch.setattr(executor, "_spawn", lambda name: None)
    monkeypatch.setattr("pickle.dumps", lambda value: b"")
    executor.open(Stages([Placed()]), None, lambda report: None)
    assert placed == ["a", "b"]
