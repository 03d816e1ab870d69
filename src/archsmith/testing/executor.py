"""The contract suite of an executor: what the study relies on.

Test your own executor in one line::

    class TestMine(ExecutorContract):
        make = staticmethod(lambda: MyExecutor(workers=2))
"""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..evaluate import Evaluator, Price, TrialFailed, Watch
from ..history.trial import Fidelity, State
from ..space.architecture import Architecture
from ..study.checkpoints import checkpoint_path
from ..study.executor import Ended, EpochDone, Executor, Job, Late, Report


class Told(Evaluator):
    """Behaves as the architecture says: reports an epoch, fails, sleeps or keeps weights."""

    name = "told"
    price = Price.TRAINED

    @property
    def provides(self) -> tuple[str, ...]:
        return ("width",)

    def evaluate(
        self, architecture: Architecture, fidelity: Fidelity, seed: int, watch: Watch
    ) -> dict[str, float]:
        width = float(str(architecture["width"]))
        watch.epoch({"epoch": 1.0, "width": width / 2})
        behaviour = architecture["what"]
        if behaviour == "fail":
            raise TrialFailed("as it was told", {"width": width})
        if behaviour == "raise":
            raise RuntimeError("a mistake")
        if behaviour == "sleep":
            time.sleep(600)
        if behaviour == "keep":
            weights: dict[str, Tensor] = {"w": torch.full((2,), width)}
            watch.keep(weights)
        return {"width": width}


class ExecutorContract:
    """Tests of an executor. ``make`` creates one that is not open yet."""

    @staticmethod
    def make() -> Executor:
        """The executor to test."""
        raise NotImplementedError("a subclass says how to make its executor")

    def run(
        self, behaviours: list[str], folder: Path | None = None, seconds: float = math.inf
    ) -> dict[int, list[Report]]:
        """The reports about trials with these behaviours, by trial number."""
        executor, reports = self.make(), dict[int, list[Report]]()
        jobs = [
            Job(number, Architecture({"width": number + 1, "what": behaviour}), Fidelity(), number)
            for number, behaviour in enumerate(behaviours)
        ]
        executor.open(
            Told(), folder, lambda report: reports.setdefault(report.number, []).append(report)
        )
        until: dict[int, float] = {}
        try:
            waiting = list(jobs)
            while waiting or not all(self.over(reports.get(job.number, [])) for job in jobs):
                for worker in executor.free():
                    if waiting:
                        job = waiting.pop(0)
                        until[job.number] = time.monotonic() + seconds
                        executor.submit(worker, job)
                over = [n for n in until if self.over(reports.get(n, []))]
                executor.wait({n: end for n, end in until.items() if n not in over})
        finally:
            executor.close()
        return reports

    @staticmethod
    def over(reports: list[Report]) -> bool:
        """Whether the last report of a trial is its end."""
        return bool(reports) and not isinstance(reports[-1], EpochDone)

    def test_it_has_workers(self) -> None:
        assert self.make().workers >= 1

    def test_epochs_come_before_the_end_and_the_end_comes_once(self) -> None:
        reports_ = self.run(["", "", "", ""])
        assert sorted(reports_) == [0, 1, 2, 3]
        for number, reports in reports_.items():
            assert [type(report) for report in reports] == [EpochDone, Ended]
            first, last = reports
            assert isinstance(first, EpochDone)
            assert isinstance(last, Ended)
            assert first.metrics["width"] == (number + 1) / 2
            assert (last.state, last.metrics) == (State.FINISHED, {"width": number + 1.0})

    def test_what_goes_wrong_is_the_end_of_its_trial_alone(self) -> None:
        reports = self.run(["fail", "raise", ""])
        ends = [reports[number][-1] for number in range(3)]
        assert all(isinstance(end, Ended) for end in ends)
        failed, raised, fine = ends
        assert isinstance(failed, Ended)
        assert isinstance(raised, Ended)
        assert isinstance(fine, Ended)
        assert (failed.state, failed.reason, failed.metrics) == (
            State.FAILED,
            "as it was told",
            {"width": 1.0},
        )
        assert raised.state is State.FAILED
        assert "a mistake" in raised.reason
        assert fine.state is State.FINISHED

    def test_weights_go_to_the_run_folder(self, tmp_path: Path) -> None:
        reports = self.run(["keep", ""], tmp_path)
        with_weights, without = reports[0][-1], reports[1][-1]
        assert isinstance(with_weights, Ended)
        assert isinstance(without, Ended)
        assert (with_weights.weights, without.weights) == (True, False)
        assert checkpoint_path(tmp_path, 0).is_file()
        assert not checkpoint_path(tmp_path, 1).exists()

    def test_a_trial_whose_time_is_over_is_stopped(self) -> None:
        reports = self.run(["sleep", ""], seconds=3.0)
        assert any(isinstance(report, Late) for report in reports[0])
        assert isinstance(reports[1][-1], Ended)

    def test_it_can_be_opened_again(self) -> None:
        assert self.run([""])[0]
        assert self.run([""])[0]

    def test_closing_gives_up_what_runs(self) -> None:
        executor, reports = self.make(), list[Any]()
        executor.open(Told(), None, reports.append)
        executor.close()
        assert not reports
