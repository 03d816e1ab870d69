"""Zero-cost proxies as advice for a search: each architecture is scored once and cached."""

from __future__ import annotations

import contextlib
import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .._support.errors import StoreError
from .._support.files import append_line
from ..space.architecture import Architecture
from ..space.beside import model_part

if TYPE_CHECKING:
    from ..task.problem import Problem

#: Called with the number of architectures scored so far and the total.
OnScored = Callable[[int, int], None]

#: Examples in the batch that proxies score on.
EXAMPLES = 32
#: File of a run folder that caches the scores.
FILE = "proxies.jsonl"


class ProxyAdvice:
    """Scores of architectures by a proxy, larger being better, for
    :class:`~archsmith.strategy.advised.Advised`.

    A proxy that combines ranks needs a set to rank: the requested architectures together with those
    of the first call, which is the pool of the warm start.

    Args:
        problem: space, task and data.
        proxy: a name, or a proxy with settings of its own.
        folder: run folder, where scores are kept for the next session; ``None`` keeps none.
        seed: of initial weights, of the batch and of the proxies' random draws.
        on_scored: called with the number of architectures scored so far in a call and the total.

    Raises:
        UnknownNameError: no such proxy.
        InputError: the default architecture cannot be scored, with the reason.
    """

    def __init__(
        self,
        problem: Problem,
        proxy: str | Any,
        folder: Path | None = None,
        seed: int = 0,
        on_scored: OnScored | None = None,
    ) -> None:
        from ..evaluate.proxy import ProxyEvaluator
        from ..proxy import CannotScore

        self.space, self.seed, self.on_scored = problem.space, seed, on_scored
        self.evaluator = ProxyEvaluator(
            problem.space,
            problem.source,
            problem.options,
            problem.task,
            [proxy],
            EXAMPLES,
            device=problem.device,
            seed=seed,
            data=problem.data,
        )
        #: The proxy that ranks a set, where it is one.
        self.vote = next(iter(self.evaluator.votes), None)
        self.name = self.vote.name if self.vote else self.evaluator.proxies[0].name
        self._file = folder / FILE if folder is not None else None
        self._known: dict[str, dict[str, float]] = self._read()
        self._pool: list[Architecture] = []
        # A proxy that cannot be used is reported before any work.
        for value in self.evaluator.scores(problem.space.default()).values():
            if isinstance(value, CannotScore):
                raise value

    def __call__(self, architectures: Sequence[Architecture]) -> list[float]:
        """A score for each architecture; minus infinity for one that cannot be scored."""
        self._pool = self._pool or list(architectures)
        if self.vote is None:
            return [scores[self.name] for scores in self._all(architectures)]
        requested = set(architectures)
        together = [*architectures, *(a for a in self._pool if a not in requested)]
        scores = self._all(together)
        table = {name: [score[name] for score in scores] for name in self.vote.members}
        # If a member scores all alike, there are no ranks to combine, and so no advice.
        combined = self.vote.combine(table) if _differ(table) else [0.0] * len(together)
        return [float(value) for value in combined[: len(architectures)]]

    def scores(self, architecture: Architecture) -> dict[str, float]:
        """The scores of the members, by name."""
        key = self.space.canonical(model_part(self.space, architecture))
        if key not in self._known:
            self._known[key] = self._score(architecture)
            self._keep(key)
        return self._known[key]

    def _all(self, architectures: Sequence[Architecture]) -> list[dict[str, float]]:
        scored = []
        for architecture in architectures:
            scored.append(self.scores(architecture))
            if self.on_scored is not None:
                self.on_scored(len(scored), len(architectures))
        return scored

    def _score(self, architecture: Architecture) -> dict[str, float]:
        from ..proxy import CannotScore

        return {
            name: -math.inf if isinstance(value, CannotScore) else value
            for name, value in self.evaluator.scores(architecture).items()
        }

    def _read(self) -> dict[str, dict[str, float]]:
        by_graph: dict[str, dict[str, float]] = {}
        if self._file is None or not self._file.exists():
            return by_graph
        for line in self._file.read_text(encoding="utf-8").splitlines():
            with contextlib.suppress(ValueError, KeyError, TypeError):  # a line that was cut off
                entry = json.loads(line)
                if entry["seed"] == self.seed:
                    scores = by_graph.setdefault(entry["graph"], {})
                    scores |= {
                        name: -math.inf if value is None else float(value)
                        for name, value in entry["scores"].items()
                    }
        names = {proxy.name for proxy in self.evaluator.proxies}
        return {graph: scores for graph, scores in by_graph.items() if names <= scores.keys()}

    def _keep(self, key: str) -> None:
        if self._file is None:
            return
        scores = {n: v if math.isfinite(v) else None for n, v in self._known[key].items()}
        line = json.dumps({"graph": key, "seed": self.seed, "scores": scores})
        try:
            append_line(self._file, line)
        except OSError as error:
            raise StoreError(str(self._file), "a file that can be written", str(error)) from error


def _differ(table: dict[str, list[float]]) -> bool:
    return all(len(set(values)) > 1 for values in table.values())
