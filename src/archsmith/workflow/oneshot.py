"""Searching with shared weights: a supernet is trained once, then it evaluates the trials."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .._support.errors import InputError, RunFolderError, WorkError, unknown
from ..history.trial import Fidelity, History, Proposal
from ..history.trust_facts import tally
from ..space import Architecture
from ..strategy import Strategy, named, strategies
from ..supernet import methods
from .listener import OnShared

if TYPE_CHECKING:
    from torch import Tensor

    from ..evaluate.shared import SharedWeightsEvaluator
    from ..space import Space
    from ..study import Store, Study
    from ..supernet.method import Method, Session
    from ..supernet.session import KnownCosts
    from ..supernet.supernet import Supernet
    from ..task.problem import Problem

#: Trials on shared weights if no number is given: each costs a pass over the validation part.
TRIALS = 100
#: Architectures that a method derives by itself.
DERIVED = 10
#: Share of a time budget that is spent on training the supernet.
TRAINING = 0.75
#: Epochs of a supernet relative to those of one network, since many share its weights.
_LONGER = 2
#: Least number of steps of a supernet, also on little data.
_STEPS = 4000
#: Upper bound of the epochs if time is limited, as a multiple of the usual number.
_MOST = 100


@dataclass(frozen=True)
class OneShot:
    """The plan of a search on shared weights, before its problem is known.

    Attributes:
        method: trains the supernet.
        then: the strategy that searches on it.
    """

    method: Method
    then: Strategy

    @property
    def name(self) -> str:
        return f"{self.method.name}+{self.then.name}"


class OnSharedWeights(Strategy):
    """Proposes what a one-shot method derives; then a strategy searches on its weights.

    Args:
        method: trains the supernet.
        then: the strategy that searches on it.
        evaluator: evaluates trials with the shared weights.
    """

    def __init__(self, method: Method, then: Strategy, evaluator: SharedWeightsEvaluator) -> None:
        self.method, self.then, self.evaluator = method, then, evaluator
        self.name = f"{method.name}+{then.name}"  # type: ignore[misc]
        self.derived: list[Architecture] = []

    def begin_with(self, architectures: Sequence[Architecture]) -> None:
        """Propose these first: what the method derived from the trained weights."""
        self.derived = list(architectures)

    def check(self, space: Space, history: History) -> None:
        self.method.check(space, history.objectives, history.limits)
        self.then.check(space, history)

    def describe(self, space: Space, history: History) -> str:
        then = self.then.describe(space, history)
        return f"{self.method.name} trains shared weights; search on them: {then}"

    def propose(self, space: Space, history: History, rng: random.Random) -> Proposal | None:
        for place, architecture in enumerate(self.derived):
            if history.new(architecture):
                return Proposal(architecture, note=f"number {place + 1} of {self.method.name}")
        return self.then.propose(space, history, rng)


def one_shot(strategy: str | Strategy | Method) -> OneShot | None:
    """The one-shot search that a strategy's name or value stands for; ``None`` if it is no method.

    ``"spos"`` is the method with the default strategy on its weights, ``"spos+nsga2"`` the method
    with another one.

    Raises:
        UnknownNameError: an unknown name, also on either side of the ``+``.
    """
    if isinstance(strategy, Strategy):
        return None
    if isinstance(strategy, str):
        first, plus, then = strategy.partition("+")
        if not plus and first not in methods.names():
            if ":" not in first and first not in strategies.names():
                raise unknown("strategy", first, [*strategies.names(), *methods.names()])
            return None
        return OneShot(methods.get(first)(), named(then or "auto")())
    return OneShot(strategy, named("auto")())


def epochs_of(problem: Problem, epochs: int | None, timed: bool) -> int:
    """Epochs of the supernet: as given; otherwise more than one network's, or as time allows."""
    if epochs is not None:
        return epochs
    recipe = problem.recipe
    steps = max(1, len(problem.data.train) // recipe.batch_size)
    usual = max(_LONGER * recipe.epochs, math.ceil(_STEPS / steps))
    return _MOST * usual if timed else usual


def trials_of(method: Method, trials: int | None, timed: bool) -> int | None:
    """Trials on shared weights: as given; otherwise a default, or as many as time allows."""
    if trials is not None or timed:
        return trials
    return DERIVED + 1 if derives(method) else TRIALS


def derives(method: Method) -> bool:
    """Whether a method derives architectures by itself."""
    from ..supernet.method import Method as Base

    return type(method).derive is not Base.derive


def evaluator_of(problem: Problem, folder: Path | None) -> SharedWeightsEvaluator:
    """The evaluator that uses the supernet of a run folder."""
    from ..evaluate.shared import SharedWeightsEvaluator

    return SharedWeightsEvaluator(
        problem.space,
        weights_path(folder) if folder else "",
        problem.source,
        problem.options,
        problem.task,
        problem.device,
        data=problem.data,
    )


def weights_path(folder: Path) -> Path:
    """Where a run folder keeps the shared weights."""
    return folder / "supernet.safetensors"


def check_weights(evaluator: SharedWeightsEvaluator, whole: bool = True) -> None:
    """Refuse shared weights that are damaged, missing, or of another space.

    Args:
        whole: read all weights, which the evaluator needs before its first trial; otherwise only
            the header.

    Raises:
        InputError: what is wrong with the file, and how to make it again.
    """
    from ..supernet.supernet import Supernet

    try:
        Supernet.check(evaluator.file, evaluator.space)
        if whole:
            _ = evaluator.supernet
    except InputError as error:
        raise InputError(
            error.where,
            error.expected,
            error.got,
            "delete the file if it exists and run the search's command again, which trains "
            "the shared weights again",
        ) from None


def check_inherit(store: Store, inherit: bool) -> None:
    """Refuse to continue if earlier finalists started from other weights than requested now.

    Raises:
        RunFolderError: they did; each finalist is trained only once.
    """
    before = store.meta().get("inherit", inherit)
    if before != inherit and any(name.startswith("final.") for name in store.record().notes):
        begin = ("new weights", "the shared weights")
        raise RunFolderError(
            str(store.folder or "store"),
            f"finalists that begin with {begin[before]}, as those trained there did",
            begin[inherit],
            "give the options of the first run again, or another run folder",
        )


def _remove_checkpoints(folder: Path) -> None:
    """Delete the checkpoints of a supernet training whose result is saved."""
    from ..supernet.checkpoint import remove

    remove(folder / "supernet")


@dataclass
class Sharing:
    """Trains the shared weights of a study before its first trial, once.

    Attributes:
        net: the supernet to train; made if not given.
    """

    problem: Problem
    strategy: OnSharedWeights
    study: Study
    budget: float | None
    on_epoch: OnShared | None = None
    net: Supernet | None = None
    _known: dict[Architecture, Mapping[str, float]] = field(default_factory=dict)

    def prepare(self) -> None:
        """Train the shared weights, or use those of an earlier session; the study can then begin.

        Raises:
            WorkError: the training diverged.
            InputError: weights of this space cannot be shared, or memory is too small.
        """
        self.study.check_store()
        record, folder = self.study.store.record(), self.study.store.folder
        note = record.notes.get("supernet")
        if note and folder and weights_path(folder).exists():
            _remove_checkpoints(folder)
            trials = self.study.trials
            check_weights(self.strategy.evaluator, trials is None or len(record.ended) < trials)
            derived = [Architecture.from_json(values) for values in note["derived"]]
            self.strategy.begin_with(derived)
            return
        # A refusal here leaves the folder free for another study.
        net = self.net or untrained_net(self.problem, self.strategy.method, self.study.seed)
        self.study.prepare(lambda: self._train(net))

    def _train(self, net: Supernet) -> None:
        from ..supernet.training import train_supernet
        from ..train import Diverged

        problem, study, method = self.problem, self.study, self.strategy.method
        epochs = problem.fidelity.epochs or problem.recipe.epochs
        folder = study.store.folder
        seconds = None if self.budget is None else TRAINING * self.budget
        try:
            session = train_supernet(
                net,
                method,
                problem.task,
                problem.data,
                problem.recipe,
                seed=study.seed,
                epochs=epochs,
                seconds=seconds,
                objectives=study.objectives,
                limits=study.limits,
                costs=self._known_costs(),
                checkpoint=folder / "supernet" if folder else None,
                on_epoch=lambda row: self.on_epoch(row, epochs) if self.on_epoch else None,
            )
        except Diverged as error:
            raise WorkError(
                f"the supernet of {method.name}",
                "a training that converges",
                error.reason,
                "a lower learning rate (recipe)",
            ) from error
        refusal = self._derive(session)
        self.strategy.evaluator.take(net)
        if folder:
            net.save(weights_path(folder))
        study.store.note("supernet", self._facts(session, net) | {"problem": refusal})
        if folder:
            _remove_checkpoints(folder)

    def _derive(self, session: Session) -> str:
        """Propose what the method derives first; returns why it derives nothing, if so."""
        try:
            self.strategy.begin_with(self.strategy.method.derive(session, DERIVED))
        except WorkError as error:
            # The strategy that follows keeps the limits as well, so the search can go on.
            return f"{self.strategy.method.name} derives nothing: {error.expected}, got {error.got}"
        return ""

    def _costs(self, architecture: Architecture) -> Mapping[str, float]:
        """Costs of an architecture by the study's evaluators that need no training."""
        from ..evaluate.base import Price, Stages, Watch

        if architecture not in self._known:
            whole = self.study.evaluator
            parts = whole.evaluators if isinstance(whole, Stages) else [whole]
            costs: dict[str, float] = {}
            for part in parts:
                if part.price < Price.TRAINED:
                    costs |= part.evaluate(architecture, Fidelity(), 0, Watch())
            self._known[architecture] = costs
        return self._known[architecture]

    def _known_costs(self) -> KnownCosts:
        """Costs by evaluators that need no training, and by a clock if latency is limited."""
        from ..evaluate.base import Stages
        from ..supernet.session import KnownCosts

        whole = self.study.evaluator
        timed = whole.remeasured if isinstance(whole, Stages) else None
        limited = {limit.metric for limit in self.study.limits}
        if timed is None or not limited & set(timed.clocked):
            return KnownCosts(self._costs)
        if not timed.estimated:
            return KnownCosts(self._costs, clocked=timed.clocked)

        def confirm(architecture: Architecture) -> Mapping[str, float]:
            try:
                return timed.remeasure(architecture)
            except Exception:
                # A predictor gave its latency, but it does not run.
                return dict.fromkeys(timed.clocked, math.inf)

        return KnownCosts(self._costs, confirm=confirm)

    def _facts(self, session: Session, net: Supernet) -> dict[str, Any]:
        method = self.strategy.method
        decisions = {d.name: d for s in net.survey.seen.values() for d in s.decisions.values()}
        options = {name: list(d.answers()) for name, d in decisions.items() if d.listed}
        return {
            "method": method.name,
            "epochs": len(session.curve),
            "seconds": session.spent,
            "curve": session.curve,
            "parameters": sum(p.numel() for p in net.parameters()),
            "stopped": method.stopped,
            "visits": tally(method.visits(), options),
            "derived": [a.to_json() for a in self.strategy.derived],
        }


def untrained_net(problem: Problem, method: Method, seed: int) -> Supernet:
    """A supernet with new weights, which the method can train here.

    Raises:
        InputError: weights of this space cannot be shared, or memory is too small.
    """
    from ..supernet.memory import check_memory
    from ..supernet.supernet import Supernet

    example = problem.task.example(problem.data.facts, batch=2)
    net = Supernet(problem.space, seed=seed, device=problem.device, example=example)
    check_memory(net, example, problem.recipe.batch_size, method.paths(problem.space))
    method.try_out(net, example)
    return net


def inherited(
    evaluator: SharedWeightsEvaluator,
) -> Callable[[Architecture], Mapping[str, Tensor]]:
    """A function that gives an architecture's state dict in the supernet."""
    return lambda architecture: evaluator.supernet.extract(architecture).state_dict()
