"""Finalists of a study: trained once, kept with the study, compared with the default."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from .errors import StoreError
from .final import Final, look_at_test, train_to_end, weights_path
from .objective import Limit, Objective, violation
from .setting import Setting
from .space import Architecture
from .study import Store
from .study.study import seed_of
from .timing import confirm
from .trial import History, Trial
from .weights import read, write

#: Gives the weights that the training of an architecture starts from.
Start = Callable[[Architecture], Mapping[str, Any]]
#: Called with what is trained (``"trial 7"``) and an epoch's metrics.
OnFinal = Callable[[str, Mapping[str, float]], None]
#: Trials that may take the turn of finalists that fail.
SPARE = 3
#: Trials whose latency is measured again at most.
_MEASURED = 50


class Finals:
    """Trains architectures to the end under one recipe and one seed, each once.

    ``start`` gives weights to begin with, those of a supernet; else each begins with new ones.
    With a store that has a folder, figures are notes of the study and weights are files, so what
    was trained before an interruption is not trained again.
    """

    def __init__(
        self,
        setting: Setting,
        store: Store,
        seed: int,
        goal: Objective | None = None,
        start: Start | None = None,
    ) -> None:
        self.setting, self.store, self.seed, self.goal = setting, store, seed, goal
        self.start = start
        self.notes: dict[str, Any] = store.record().notes
        self.problems: list[str] = []
        self._live: dict[str, Final] = {}

    def known(self, architecture: Architecture) -> Final | None:
        """The architecture's final figures and weights, if it was trained to the end."""
        if architecture.id in self._live:
            return self._live[architecture.id]
        note = self.notes.get(f"final.{architecture.id}")
        if note is None or self.store.folder is None:
            return None
        path = weights_path(self.store.folder, architecture)
        if not path.exists():
            return None
        final = Final.from_json(note)
        final.weights, _ = read(path)
        self._live[architecture.id] = final
        return final

    def train(
        self,
        architecture: Architecture,
        number: int,
        on_epoch: Callable[[Mapping[str, float]], None] | None = None,
    ) -> Final:
        """The architecture trained to the end, from the record where it was before."""
        known = self.known(architecture)
        if known is not None:
            return known
        # One seed for all, so that winner and default differ in nothing but the architecture.
        final = train_to_end(
            self.setting,
            architecture,
            number,
            seed_of(self.seed, 0, "final"),
            on_epoch,
            self.goal,
            self.start,
        )
        self._keep(final)
        return final

    def test(self, final: Final) -> Final:
        """Look at the test part, once, and keep what was seen."""
        if not final.test:
            look_at_test(self.setting, final)
            self._note(final)
        return final

    def decide(
        self,
        history: History,
        count: int,
        on_final: OnFinal | None = None,
        first: Sequence[Architecture] = (),
    ) -> tuple[Final | None, Final | None]:
        """Train the best ``count`` trials and the default to the end; the winner and the default.

        The winner is the finalist that keeps the limits and is best on the validation part by the
        first objective. Then winner and default, nobody else, are scored on the test part. Where a
        finalist fails, or none keeps the limits any more, the next best trials take their turn.
        Latency is measured anew before a finalist is trained: one that breaks its limit now gives
        its turn away, and where none of 50 keeps it, the nearest is trained all the same. What
        went wrong stands in :attr:`problems`. Trials of the architectures in ``first`` are
        finalists before the others, whatever their figures.
        """
        default = self.setting.space.default()
        done: list[Final] = []
        for tried, trial in enumerate(self._candidates(history, count, first)):
            kept = any(self._keeps(final, history) for final in done)
            if (len(done) >= count and kept) or tried >= count + SPARE:
                break
            label = f"trial {trial.number}"
            final = self._try(trial.architecture, trial.number, label, on_final)
            done += [final] if final else []
        numbers = {t.architecture: t.number for t in history.trials}
        baseline = self._try(default, numbers.get(default, -1), "the default", on_final)
        # The default has been trained as well: where nothing beats it, it stays the best.
        trained = [*done, baseline] if done and baseline is not None else done
        winner = min(trained, key=_order(history.objectives, history.limits), default=None)
        if winner is not None and not self._keeps(winner, history):
            broken = [limit for limit in history.limits if limit.violation(winner.metrics) > 0]
            told = ", ".join(f"{lim} ({winner.metrics[lim.metric]:g})" for lim in broken)
            self.problems.append(f"trained to the end, no finalist keeps {told}")
        for name, final in (("winner", winner), ("default", baseline)):
            if final is not None:
                self.test(final)
                self.store.note(name, final.architecture.id)
        self.store.note("problems", self.problems)
        return winner, baseline

    def _candidates(
        self, history: History, count: int, first: Sequence[Architecture]
    ) -> Iterator[Trial]:
        """Trials for training to the end, best first; measured again where latency is limited."""
        clocked = [limit for limit in history.limits if limit.metric == "latency_ms"]
        if not clocked:
            yield from finalists(history, count + SPARE, first)
            return
        nearest: tuple[float, Trial] | None = None
        front = finalists(history, _MEASURED, first)
        # Of several objectives the front alone may have nobody who keeps the limit.
        within = [t for t in history.full if history.violation(t.metrics) == 0]
        order: dict[Architecture, Trial] = {}
        for trial in [*front, *history.ranked(within)]:
            order.setdefault(trial.architecture, trial)
        for trial in [*order.values()][:_MEASURED]:
            latency = self._measured(trial, clocked)
            if latency is None:
                continue
            over = violation({"latency_ms": latency}, clocked)
            if over == 0:
                nearest = (0.0, trial)
                yield trial
            elif nearest is None or over < nearest[0]:
                nearest = (over, trial)
        if nearest is not None and nearest[0] > 0:
            yield nearest[1]

    def _measured(self, trial: Trial, limits: Sequence[Limit]) -> float | None:
        """The latency of a trial, measured now; ``None`` where that fails."""
        known = self.known(trial.architecture)
        try:
            latency = (
                known.costs["latency_ms"]
                if known is not None
                else confirm(self.setting, trial.architecture).median
            )
        except Exception as error:
            self.problems.append(f"trial {trial.number} could not be measured again: {error}")
            return None
        if violation({"latency_ms": latency}, limits) > 0:
            told = ", ".join(map(str, limits))
            self.problems.append(
                f"trial {trial.number}, measured again, takes {latency:.3g} ms and breaks {told}"
            )
        return latency

    def _try(
        self, architecture: Architecture, number: int, label: str, on_final: OnFinal | None
    ) -> Final | None:
        def told(metrics: Mapping[str, float]) -> None:
            if on_final is not None:
                on_final(label, metrics)

        try:
            return self.train(architecture, number, told)
        except StoreError:
            raise
        except Exception as error:
            # One architecture that cannot be trained to the end must not cost the others.
            reason = " ".join(str(error).split()) or type(error).__name__
            self.problems.append(f"{label} failed when trained to the end: {reason[:200]}")
            return None

    def _keeps(self, final: Final, history: History) -> bool:
        return violation(final.metrics, history.limits) == 0.0

    def _keep(self, final: Final) -> None:
        self._live[final.architecture.id] = final
        if self.store.folder is not None:
            write(weights_path(self.store.folder, final.architecture), final.weights)
        self._note(final)

    def _note(self, final: Final) -> None:
        name = f"final.{final.architecture.id}"
        self.notes[name] = final.to_json()
        self.store.note(name, self.notes[name])


def finalists(history: History, count: int, first: Sequence[Architecture] = ()) -> list[Trial]:
    """The trials worth training to the end, best first; each architecture once.

    Those of ``first`` that finished and keep the limits come before the others.
    """
    best = history.front()
    if len(history.objectives) == 1:
        kept = [t for t in history.full if history.violation(t.metrics) == 0]
        best = history.ranked(kept)
    unique = {trial.architecture: trial for trial in reversed(best)}
    ordered = sorted(unique.values(), key=best.index)
    done = [t for t in history.full if history.violation(t.metrics) == 0]
    ahead = [t for a in first for t in done if t.architecture == a][:count]
    return (ahead + [t for t in ordered if t.architecture not in first])[:count]


def _order(
    objectives: tuple[Objective, ...], limits: tuple[Limit, ...]
) -> Callable[[Final], tuple[float, ...]]:
    def key(final: Final) -> tuple[float, ...]:
        losses = (objective.loss(final.metrics) for objective in objectives)
        # Ties go to the lower loss, as they do in a history.
        return (violation(final.metrics, limits), *losses, final.metrics.get("loss", 0.0))

    return key
