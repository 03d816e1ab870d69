"""The winner beside what people would have trained by hand for the same time."""

from __future__ import annotations

import contextlib
import platform
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .._support.cache import cache_folder
from .._support.errors import InputError, StoreError, WorkError, unknown
from ..evaluate.training import joined
from ..history.objective import Objective
from ..study import Store
from ..study.study import seed_of
from ..task.contracts import references_of
from ..task.references import FittedReference, NetworkReference, Reference
from .baseline import (
    FORMAT,
    Baseline,
    digest_of,
    load,
    network_of,
    recipe_values,
    save,
)
from .finalist import Finalist, compared_parts, measure
from .scaling import nearest_scale
from .times import LAST_ROUNDS

if TYPE_CHECKING:
    from ..task.base import Data, Recipe, Task
    from ..task.problem import Problem
    from ..train import Rounds

#: Seconds after which a quick reference tries no other settings, or a share of the whole time.
_QUICK, _QUICK_SHARE = 2.0, 0.1
#: Rounds of a training in time that is scored on the validation part after each.
SCORED_ROUNDS = 8
#: Called with a label of what is trained, an epoch's metrics, and the number of epochs.
OnBaseline = Callable[[str, Mapping[str, float], int], None]


def chosen_references(name: str, task: Task, finalists: int) -> tuple[Reference, ...]:
    """The references that ``none``, ``quick``, ``auto`` or a name asks for.

    ``quick`` are those that are fitted in seconds, and ``auto`` is the task's usual reference; none
    if it has none.

    Raises:
        InputError: a name that the task does not know, or a search that trains no winner.
    """
    known = references_of(task)
    if name == "none":
        return ()
    if name == "quick":
        return tuple(r for r in known if isinstance(r, FittedReference) and finalists)
    if name == "auto":
        return known[:1] if finalists else ()
    chosen = tuple(reference for reference in known if reference.name == name)
    if not chosen:
        raise unknown("baseline", name, ["none", "quick", "auto", *(r.name for r in known)])
    if not finalists:
        raise InputError("baseline", "a winner to compare it with", "finalists=0")
    return chosen


def seconds_of_each(name: str, seconds: float | None) -> float | None:
    """How long each reference may take.

    Args:
        name: as of :func:`chosen_references`.
        seconds: of the search, if that was limited.
    """
    return max(_QUICK, _QUICK_SHARE * (seconds or 0.0)) if name == "quick" else seconds


class Baselines:
    """Trains references once, keeps them, and compares the winner with them.

    Each has the whole time of the search if that was limited, in rounds as the last training of the
    winner, else the epochs of the recipe. What was trained is kept in the run folder, and networks
    also in a cache of the user's, where another run on the same data with the same recipe, device
    and budget finds them.

    Args:
        problem: data, task, recipe and device.
        store: of the study; with a folder, trained references are kept there.
        seed: of the study.
        goal: decides which epoch counts.
        seconds: for each training.
        together: train on the training and the validation part, as the winner was; then the last
            epoch counts, and no epoch is scored.
        mixes: whether a long training in time mixes its batches, as the winner's does unless the
            recipe was given.
        trained: references that were trained before, by key.
        cache: a folder; by default ``archsmith/references`` in the user's cache folder.
        on_epoch: called with each epoch.
        clock: tells the seconds that are limited.
    """

    def __init__(
        self,
        problem: Problem,
        store: Store,
        seed: int,
        goal: Objective,
        seconds: float | None = None,
        *,
        together: bool = False,
        mixes: bool = True,
        trained: Mapping[str, Baseline] | None = None,
        cache: Path | None = None,
        on_epoch: OnBaseline | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.problem, self.store, self.goal, self.seconds = problem, store, goal, seconds
        self.seed, self.together, self.on_epoch = seed_of(seed, 0, "final"), together, on_epoch
        self.mixes, self.clock, default = mixes, clock, cache_folder()
        self.cache = cache or (default and default / "references")
        self.folder = store.folder / "final" if store.folder is not None else None
        #: What went wrong, in words.
        self.problems: list[str] = []
        self.trained: dict[str, Baseline] = {}
        self._before = dict(trained or {})

    def compare(
        self, references: Iterable[Reference], winner: Finalist, timed: bool
    ) -> list[Baseline]:
        """The references, trained and compared with the winner on the test part.

        A network is trained as it was published, once more with the winner's number of parameters,
        and with ``timed`` once more with its latency. One that fails is left out, and
        :attr:`problems` tells.
        """
        done: list[Baseline] = []
        for reference in references:
            sharing = ["time"]
            if isinstance(reference, NetworkReference):
                sharing += ["params"] + (["latency_ms"] if timed else [])
            for at in sharing:
                one = self._try(reference, at, winner)
                if one is not None:
                    done.append(self._compared(replace(one, at=at), winner))
        self.store.note("baselines", [one.to_json() for one in done])
        return done

    def _try(self, reference: Reference, at: str, winner: Finalist) -> Baseline | None:
        try:
            scale = 1.0 if at == "time" else self._scale(reference, at, winner)
            return self.train(reference, scale) if scale is not None else None
        except StoreError:
            raise
        except Exception as error:
            # A reference that cannot be trained must not cost the result of the search.
            reason = " ".join(str(error).split()) or type(error).__name__
            self.problems.append(f"reference {reference.name} could not be trained: {reason[:200]}")
            return None

    def _compared(self, one: Baseline, winner: Finalist) -> Baseline:
        task = self.problem.task
        one.comparison = compared_parts(winner.parts, one.parts, self.goal, task, one.label)
        return one

    def _scale(self, reference: Reference, at: str, winner: Finalist) -> float | None:
        """The factor of widths that gives it the winner's value; it is kept with the study, since
        a latency measured again would be another."""
        assert isinstance(reference, NetworkReference)
        name = f"scale.{reference.name}.{at}.{winner.key}"
        noted = self.store.record().notes.get(name)
        if isinstance(noted, int | float):
            return noted or None
        found = nearest_scale(reference, self.problem, at, winner.costs[at], self.seed)
        if found is None:
            which = "larger" if at == "params" else "slower"
            self.problems.append(f"even the narrowest {reference.name} is {which} than the winner")
        self.store.note(name, found or 0.0)
        return found

    def train(self, reference: Reference, scale: float = 1.0) -> Baseline:
        """The reference, trained and scored on the test part, or as it was kept."""
        key = self.key(reference, scale)
        baseline = self._kept(key)
        if baseline is None:
            if isinstance(reference, NetworkReference):
                baseline = self._network(reference, scale, key)
            else:
                assert isinstance(reference, FittedReference)
                baseline = self._fitted(reference, key)
            self._keep(baseline)
        baseline.problem = self.problem
        return baseline

    def key(self, reference: Reference, scale: float = 1.0) -> str:
        """Digits of everything that a training depends on."""
        problem, limited = self.problem, self.seconds is not None
        machine = [platform.node(), platform.machine(), _threads()] if limited else []
        return digest_of(
            {
                "format": FORMAT,
                "versions": [version("archsmith"), version("torch"), version("scikit-learn")],
                "reference": [reference.name, round(scale, 6)],
                "data": self._digests,
                "task": problem.task.name,
                "recipe": recipe_values(problem, limited),
                "latency": str(problem.latency),
                "goal": self.goal.metric,
                "seed": self.seed,
                "seconds": self.seconds,
                "together": self.together,
                "mixes": self.mixes,
                "device": [problem.device, *machine],
            }
        )

    @cached_property
    def _digests(self) -> list[str]:
        return [self.problem.data.digest(), digest_of(self.problem.data.facts)]

    def _kept(self, key: str) -> Baseline | None:
        """One that was trained before, from the run folder or the cache."""
        if key in self.trained:
            return self.trained[key]
        if key in self._before:
            self._keep(self._before[key])
            return self._before[key]
        checksum = self.store.record().notes.get(f"baseline.{key}")
        if self.folder is not None and isinstance(checksum, str):
            with contextlib.suppress(InputError):  # damaged: it is trained again
                return load(self.folder, key, checksum)
        if self.cache is not None:
            with contextlib.suppress(InputError, OSError):
                baseline = load(self.cache, key)
                self._keep(baseline, cached=True)
                return baseline
        return None

    def _keep(self, baseline: Baseline, cached: bool = False) -> None:
        self.trained[baseline.key] = baseline
        if self.folder is not None:
            baseline.checksum = save(self.folder, baseline)
            self.store.note(f"baseline.{baseline.key}", baseline.checksum)
        if self.cache is not None and baseline.weights and not cached:
            # A cache that cannot be written costs time in another run, and nothing in this one.
            with contextlib.suppress(StoreError, OSError):
                save(self.cache, baseline)

    def _network(self, reference: NetworkReference, scale: float, key: str) -> Baseline:
        from ..train import Diverged, early, train

        problem, device = self.problem, self.problem.device
        baseline = Baseline(reference.name, key, scale, self.seed)
        recipe, rounds = self._length(baseline)
        whole = self._whole

        def on_epoch(row: Mapping[str, float]) -> None:
            if self.on_epoch is not None:
                most = max(recipe.epochs, int(row["epoch"]))  # the time may allow more
                self.on_epoch(_named(reference, scale), row, most)

        began, data = self.clock(), whole or problem.data
        network = network_of(problem, baseline)
        try:
            trained = train(
                network,
                problem.task,
                data,
                recipe,
                seed=self.seed,
                device=device,
                goal=self.goal,
                on_epoch=on_epoch,
                rounds=rounds,
                scored=whole is None,
                early=early(problem.task, data, network) if rounds is not None else None,
            )
        except Diverged as error:
            raise WorkError(reference.name, "a training that converges", error.reason) from error
        baseline.seconds = self.clock() - began
        baseline.epochs = len(trained.curve) if rounds is None else 0
        baseline.curve, baseline.validation = trained.curve, trained.metrics
        baseline.weights = trained.best_state
        self._test(baseline, network_of(problem, baseline))
        baseline.costs, baseline.measured = measure(problem, network_of(problem, baseline).eval())
        return baseline

    def _length(self, baseline: Baseline) -> tuple[Recipe, Rounds | None]:
        """The recipe with the number of its epochs; with a time rounds that fill it, as the last
        training of a search in time has them."""
        from ..train import for_steps, rounds_within, work_clock

        problem = self.problem
        if self.seconds is None:
            return problem.recipe, None
        # Scoring each of many rounds would take the time of a slow network's steps.
        count = LAST_ROUNDS if self._whole else SCORED_ROUNDS
        clock = work_clock(problem.device)
        began, worked = time.perf_counter(), clock()
        rounds = rounds_within(
            network_of(problem, baseline),
            problem.task,
            problem.data,
            problem.recipe,
            self.seconds / count,
            seed=self.seed,
            device=problem.device,
            until=self.clock() + self.seconds,
            clock=self.clock,
        )
        # A round is so long by processor time, of which several threads use more than passes.
        work = (clock() - worked) / (time.perf_counter() - began)
        recipe = replace(problem.recipe, epochs=count, schedule="wsd", patience=None)
        if self.mixes:
            data, steps = self._whole or problem.data, count * work * (rounds.steps or 0)
            recipe = for_steps(recipe, problem.task, data, steps)
        return recipe, rounds

    @cached_property
    def _whole(self) -> Data | None:
        """All examples but those of the test part, if it is trained on them."""
        return joined(self.problem.data, self.problem.task) if self.together else None

    def _fitted(self, reference: FittedReference, key: str) -> Baseline:
        from ..train import score

        data, task = self.problem.data, self.problem.task
        began = self.clock()
        last = self._whole.train if self._whole else None
        fitted = reference.fit(task, data, self.seed, self.seconds, last)
        baseline = Baseline(reference.name, key, 1.0, self.seed, settings=fitted.settings)
        baseline.seconds = self.clock() - began
        if last is None:
            baseline.validation = score(fitted.model, task, data.validation, data.facts)
        self._test(baseline, fitted.model)
        return baseline

    def _test(self, baseline: Baseline, model: Any) -> None:
        from ..train import parts, score

        task, data = self.problem.task, self.problem.data
        device = self.problem.device
        baseline.test = score(model, task, data.test, data.facts, device=device)
        baseline.parts = parts(model, task, data.test, data.facts, device=device)


def _named(reference: Reference, scale: float) -> str:
    return reference.name if scale == 1 else f"{reference.name} x{scale:.2g}"


def _threads() -> int:
    import torch

    return torch.get_num_threads()
