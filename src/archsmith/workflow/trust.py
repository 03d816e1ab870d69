"""Measures how far shared weights can be trusted: a sample is also trained stand-alone."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from .._support.errors import InputError
from ..history.trust import Trust
from ..history.trust_facts import Judged, Outcome
from ..space import Architecture
from ..space.ordinary import ordinary
from ..study import SqliteStore
from ..study.seeds import seed_of
from ..supernet import methods
from ..supernet.method import draw_accepted
from .oneshot import check_weights, evaluator_of
from .run import Run

if TYPE_CHECKING:
    from ..evaluate.shared import SharedWeightsEvaluator
    from ..study import Store
    from ..tables.base import BenchmarkTable

#: Called with the number of architectures done, the total, and a line about the last one.
OnJudged = Callable[[int, int, str], None]
#: Draws for each requested architecture before a small space counts as exhausted.
_DRAWS = 50
_PERCENT = 1.5


@ordinary()
def measure_trust(
    run: Run,
    sample: int = 20,
    *,
    epochs: int | None = None,
    table: BenchmarkTable | None = None,
    on_judged: OnJudged | None = None,
) -> Trust:
    """Compare the ranking by shared weights with that of architectures trained alone.

    Random architectures and the one that the search found are trained with the study's recipe, each
    with the same seed; what was trained before an interruption is not trained again. Random search
    with the same total budget is the best of as many of the sample as the one-shot search's time
    would have trained. The result is kept with the run and shown in its report.

    Args:
        run: a run folder of a search with shared weights.
        sample: number of random architectures.
        epochs: of each training; the recipe's if not given.
        table: a benchmark table to read stand-alone values from, instead of training.
        on_judged: called after each architecture of the sample.

    Raises:
        InputError: the run has no supernet, or the table knows other architectures.
    """
    if sample < 2:
        raise InputError("sample", "2 architectures or more", str(sample))
    supernet = run.record.notes.get("supernet")
    if supernet is None and run.meta["strategy"].partition("+")[0] in methods.names():
        raise InputError(
            str(run.folder),
            "shared weights that were trained to the end",
            "a search that was stopped before",
            f"{run.meta['command']} continues it",
        )
    if supernet is None:
        raise InputError(
            str(run.folder),
            "a run with shared weights",
            f"strategy {run.meta['strategy']}",
            "archsmith search DATA --strategy spos (or another one-shot method)",
        )
    judge = evaluator_of(run.problem, run.folder)
    check_weights(judge)
    goal = run.goals[0][0]
    if goal.metric not in judge.provides:
        raise InputError(
            f"objective {goal.metric}",
            f"a metric that shared weights give first: {', '.join(judge.provides)}",
            goal.metric,
        )
    best = run.trial(None)
    architectures = _sample_architectures(run, sample, judge.supernet.builds)
    with SqliteStore(run.folder) as store:
        judging = _Judging(run, judge, store, goal.metric, epochs, table)
        judged = []
        for number, architecture in enumerate(architectures):
            judged.append(judging.judge(architecture))
            if on_judged is not None:
                line = f"shared {judged[-1].shared:.4g}, alone {judged[-1].alone:.4g}"
                on_judged(number + 1, len(architectures), line)
        chosen = judging.judge(best.architecture)
        one_shot, other = judging.outcomes(architectures, judged, chosen)
        trust = Trust.of(
            goal,
            judged,
            judging.truth,
            visits=supernet["visits"],
            chosen=chosen,
            found=one_shot,
            random=other,
            seed=run.meta["seed"],
        )
        store.note("trust", trust.to_json())
        run.record = store.record()
    return trust


def _sample_architectures(
    run: Run, count: int, builds: Callable[[Architecture], bool]
) -> list[Architecture]:
    """Random architectures that build; each graph once, and the same ones for the same study."""
    space = run.problem.space
    rng = random.Random(seed_of(run.meta["seed"], 0, "trust"))
    architectures: dict[str, Architecture] = {}
    for _ in range(_DRAWS * count):
        architecture = draw_accepted(lambda: space.sample(rng))
        form = space.canonical(architecture)
        if form not in architectures and builds(architecture):
            architectures[form] = architecture
        if len(architectures) == count:
            break
    return list(architectures.values())


class _Judging:
    """Evaluates architectures with shared weights and alone; keeps the values in the study."""

    def __init__(
        self,
        run: Run,
        judge: SharedWeightsEvaluator,
        store: Store,
        metric: str,
        epochs: int | None,
        table: BenchmarkTable | None,
    ) -> None:
        self.run, self.shared, self.store, self.metric = run, judge, store, metric
        problem = run.problem
        self.recipe = problem.recipe if epochs is None else replace(problem.recipe, epochs=epochs)
        self.table, self.seed = table, seed_of(run.meta["seed"], 0, "final")
        self.seconds: dict[Architecture, float] = {}

    @property
    def truth(self) -> str:
        """Where stand-alone values come from."""
        if self.table is not None:
            return f"read from the table {self.table.name}, {self.table.report}"
        return f"trained for {self.recipe.epochs} epochs each"

    def judge(self, architecture: Architecture) -> Judged:
        after = self.shared.judge(architecture, self.shared.calibration)[self.metric]
        before = self.shared.judge(architecture, 0)[self.metric]
        return Judged(architecture.id, after, self._stand_alone(architecture), before)

    def outcomes(
        self, architectures: list[Architecture], judged: list[Judged], chosen: Judged
    ) -> tuple[Outcome | None, Outcome | None]:
        """What the one-shot search found, and random search in the same time."""
        if self.table is not None:
            return None, None
        run = self.run
        best = run.trial(None).architecture
        budget = run.record.seconds + self.seconds[best]
        one_shot = Outcome(chosen.alone, 1, budget, chosen.name)
        spent, tried = 0.0, []
        for architecture, one in zip(architectures, judged, strict=True):
            spent += self.seconds[architecture]
            tried.append(one)
            if spent >= budget:
                break
        goal = run.goals[0][0]
        # A training that diverged has no value and counts as the worst.
        top = min(tried, key=lambda one: goal.loss({goal.metric: one.alone}))
        return one_shot, Outcome(top.alone, len(tried), spent, top.name)

    def _stand_alone(self, architecture: Architecture) -> float:
        if self.table is not None:
            return self._read(architecture)
        name = f"alone.{architecture.id}.{self.recipe.epochs}"
        values: Mapping[str, Any] | None = self.run.record.notes.get(name)
        if values is None:
            values = self._train(architecture)
            self.store.note(name, values)
        self.seconds[architecture] = values["seconds"]
        return float(values[self.metric])

    def _read(self, architecture: Architecture) -> float:
        table = self.table
        assert table is not None
        row = table.row(architecture)
        if row is None:
            raise InputError(
                f"table {table.name}",
                f"a record of {architecture.id}",
                "none",
                "the table of the space that was searched",
            )
        value = float(table.values[table.report][row])
        return value / 100 if self.metric == "accuracy" and value > _PERCENT else value

    def _train(self, architecture: Architecture) -> dict[str, float]:
        from ..evaluate.training import TrainingEvaluator
        from ..train import Diverged

        began = time.perf_counter()
        trainer = TrainingEvaluator.for_problem(
            replace(self.run.problem, recipe=self.recipe), self.run.goals[0][0]
        )
        try:
            metrics = trainer.train(architecture, self.seed).metrics
        except Diverged:
            metrics = {self.metric: float("nan")}
        return {**metrics, "seconds": time.perf_counter() - began}
