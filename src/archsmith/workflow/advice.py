"""Zero-cost proxies as advice for a search: each architecture is scored once, and remembered."""

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

if TYPE_CHECKING:
    from ..task.problem import Problem

#: Called with how many architectures are scored, and how many there are.
OnScored = Callable[[int, int], None]

#: Examples of the batch that proxies look at.
EXAMPLES = 32
#: File of a run folder that remembers scores.
FILE = "proxies.jsonl"


class ProxyAdvice:
    """Scores of architectures by a proxy, larger is better, for
    :class:`~archsmith.strategy.advised.Advised`.

    A proxy that combines ranks needs a set: ranks are taken among the architectures that are asked
    for together with those of the first call, which is the pool of the warm start.

    Args:
        problem: space, task and data.
        proxy: a name, or a proxy with settings of its own.
        folder: of the run, where scores are kept for the next session; ``None`` keeps none.
        seed: of initial weights, of the batch and of what proxies draw.
        on_scored: called with how many of how many architectures of a call are scored.

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
        # A proxy that cannot serve is told of before any work.
        for value in self.evaluator.scores(problem.space.default()).values():
            if isinstance(value, CannotScore):
                raise value

    def __call__(self, architectures: Sequence[Architecture]) -> list[float]:
        """A score for each architecture; minus infinity for one that cannot be scored."""
        self._pool = self._pool or list(architectures)
        if self.vote is None:
            return [scores[self.name] for scores in self._all(architectures)]
        given = set(architectures)
        together = [*architectures, *(a for a in self._pool if a not in given)]
        scores = self._all(together)
        table = {name: [score[name] for score in scores] for name in self.vote.members}
        # Where a member says the same of all, there are no ranks to combine, and no advice.
        found = self.vote.combine(table) if _differ(table) else [0.0] * len(together)
        return [float(value) for value in found[: len(architectures)]]

    def scores(self, architecture: Architecture) -> dict[str, float]:
        """The scores of the members, by name."""
        key = self.space.canonical(architecture)
        if key not in self._known:
            self._known[key] = self._score(architecture)
            self._keep(key)
        return self._known[key]

    def _all(self, architectures: Sequence[Architecture]) -> list[dict[str, float]]:
        found = []
        for architecture in architectures:
            found.append(self.scores(architecture))
            if self.on_scored is not None:
                self.on_scored(len(found), len(architectures))
        return found

    def _score(self, architecture: Architecture) -> dict[str, float]:
        from ..proxy import CannotScore

        return {
            name: -math.inf if isinstance(value, CannotScore) else value
            for name, value in self.evaluator.scores(architecture).items()
        }

    def _read(self) -> dict[str, dict[str, float]]:
        known: dict[str, dict[str, float]] = {}
        if self._file is None or not self._file.exists():
            return known
        for line in self._file.read_text(encoding="utf-8").splitlines():
            with contextlib.suppress(ValueError, KeyError, TypeError):  # a line that was cut off
                entry = json.loads(line)
                if entry["seed"] == self.seed:
                    scores = known.setdefault(entry["graph"], {})
                    scores |= {
                        name: -math.inf if value is None else float(value)
                        for name, value in entry["scores"].items()
                    }
        names = {proxy.name for proxy in self.evaluator.proxies}
        return {graph: scores for graph, scores in known.items() if names <= scores.keys()}

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
