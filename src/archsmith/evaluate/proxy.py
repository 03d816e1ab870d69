"""Evaluation of untrained architectures: zero-cost proxies of the built model."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch

from ..history.objective import COSTS, Metric
from ..history.trial import Fidelity
from ..proxy import Batch, CannotScore, Proxy, SetProxy, check_scores, proxies
from ..proxy.base import named
from ..proxy.scoring import attempt, check_batch
from ..space.architecture import Architecture
from ..task import task as find_task
from ..task.base import Data, ReadOptions, Task
from ..task.contracts import OutputLoss
from ..task.sampling import draw_one, judged_as_is
from ..task.tensor import TensorTask
from .base import Evaluator, Price, TrialFailed, Watch
from .reading import carried, digest_of, read_again

if TYPE_CHECKING:
    from ..space import Space
    from ..task.problem import Problem

#: Examples of the batch.
BATCH = 64


class ProxyEvaluator(Evaluator):
    """Scores of an untrained model on one batch of training examples, larger being better.

    The batch is drawn by seed, with classes in proportion, and is the same for every architecture
    and trial; initial weights are drawn by ``seed``, too, so that scores compare architectures and
    not random draws. It is sent to workers without the data, which each worker reads when it is
    first used.

    Args:
        space: builds the models; its builder must be importable in workers.
        source: a registered name or a path that the task reads.
        options: how the source is read.
        task: name of the task.
        proxies: names, or proxies with settings of their own. One that ranks a set stands for its
            members: see :meth:`combined`.
        batch_size: number of examples.
        device: torch device.
        seed: of the batch, and of the random draws of proxies.
        data: data that has been read already, for this process.

    Raises:
        UnknownNameError: no such proxy.
    """

    name = "proxy"
    price = Price.SCORED

    def __init__(
        self,
        space: Space,
        source: str,
        options: ReadOptions,
        task: str | Task,
        proxies: Sequence[str | Proxy | SetProxy] = ("az-nas",),
        batch_size: int = BATCH,
        device: str = "cpu",
        seed: int = 0,
        data: Data | None = None,
    ) -> None:
        self.space, self.source, self.options, self.task_name = space, source, options, task
        self.batch_size, self.device, self.seed = batch_size, device, seed
        chosen = named(proxies)
        self.votes = [proxy for proxy in chosen if isinstance(proxy, SetProxy)]
        members = named([member for vote in self.votes for member in vote.members])
        single = [proxy for proxy in chosen if not isinstance(proxy, SetProxy)]
        # A proxy that was given with settings replaces the default one of the same name.
        self.proxies = list({proxy.name: proxy for proxy in [*members, *single]}.values())
        self._data, self._batch, self._digest = data, None, ""

    _batch: Batch | None

    @classmethod
    def for_problem(cls, problem: Problem) -> ProxyEvaluator:
        return cls(
            problem.space,
            problem.source,
            problem.options,
            problem.task,
            device=problem.device,
            data=problem.data,
        )

    def __getstate__(self) -> dict[str, Any]:
        digest = digest_of(self._data, self._digest)
        return self.__dict__ | {
            "_data": carried(self._data, self.source),
            "_batch": None,
            "_digest": digest,
        }

    @property
    def task(self) -> Task:
        return find_task(self.task_name)

    @property
    def provides(self) -> tuple[str, ...]:
        return tuple(metric(proxy.name) for proxy in self.proxies)

    @property
    def batch(self) -> Batch:
        """The batch that every model is scored on; created when first used.

        Raises:
            CannotScore: the batch is too small, or has a single class, for one of the proxies.
        """
        if self._batch is None:
            if self._data is None:
                self._data = read_again(self.task, self.source, self.options, self._digest)
            batch = _draw_batch(self.task, self._data, self.batch_size, self.seed)
            check_batch(batch, self.proxies)
            self._batch = batch
        return self._batch

    def evaluate(
        self, architecture: Architecture, fidelity: Fidelity, seed: int, watch: Watch
    ) -> dict[str, float]:
        results = self.scores(architecture)
        scores = {metric(n): v for n, v in results.items() if not isinstance(v, CannotScore)}
        refused = [str(value) for value in results.values() if isinstance(value, CannotScore)]
        if refused:
            raise TrialFailed("; ".join(refused), scores)
        return scores

    def scores(self, architecture: Architecture) -> dict[str, float | CannotScore]:
        """Scores of the proxies by their names, or the error of a proxy that refuses the model."""
        batch = self.batch  # raises for a wrong batch before anything is built
        model = self.space.build(architecture, seed=self.seed).to(self.device)
        return attempt(model, batch, self.proxies, self.seed)

    def table(self, architectures: Iterable[Architecture]) -> dict[str, list[float]]:
        """Scores of a set by metric name, in its order; minus infinity if a proxy refuses a model.

        Raises:
            InputError: a proxy gives all architectures the same score, so it cannot rank them.
            CannotScore: a proxy refuses all of them.
        """
        rows = [self.scores(architecture) for architecture in architectures]
        columns: dict[str, list[float]] = {}
        for proxy in self.proxies:
            values = [row[proxy.name] for row in rows]
            refusals = [value for value in values if isinstance(value, CannotScore)]
            if refusals and len(refusals) == len(values):
                raise refusals[0]
            columns[metric(proxy.name)] = [
                -torch.inf if isinstance(value, CannotScore) else value for value in values
            ]
        check_scores(columns, list(columns))
        return columns

    def combined(self, scores: Mapping[str, Sequence[float]]) -> dict[str, list[float]]:
        """Combined scores of the proxies that rank a set, from those of :meth:`table` or trials."""
        columns = {}
        for vote in self.votes:
            members = {name: scores[metric(name)] for name in vote.members}
            columns[metric(vote.name)] = [float(value) for value in vote.combine(members)]
        return columns


def metric(name: str) -> str:
    """The metric name of a proxy, which limits and goals can use: ``epe_nas``."""
    return name.replace("-", "_")


def metrics_of_proxies() -> dict[str, Metric]:
    """Metrics of proxies that limits and goals can name: those of single models, except costs."""
    metrics = {}
    for name in proxies.names():
        if not issubclass(proxies.get(name), SetProxy) and metric(name) not in COSTS:
            metrics[metric(name)] = Metric(metric(name), "", "maximize")
    return metrics


def proxies_named(metrics: Iterable[str]) -> list[str]:
    """The proxies whose metrics are among these, in the order of the registry."""
    chosen = set(metrics) & metrics_of_proxies().keys()
    return [name for name in proxies.names() if metric(name) in chosen]


def _draw_batch(task: Task, data: Data, size: int, seed: int) -> Batch:
    """A batch of training examples, prepared for the model."""
    train = data.train
    raw = train.take(draw_one(task, train, size, seed))
    noise = None if judged_as_is(task) else torch.Generator().manual_seed(seed)
    ready = task.prepare_batch(raw, data.facts, noise)
    loss = task.criterion if isinstance(task, OutputLoss) else None
    return Batch(ready.inputs, ready.targets, loss, whole=not isinstance(task, TensorTask))
