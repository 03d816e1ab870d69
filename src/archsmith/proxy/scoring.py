"""Scoring one model by several proxies, and ranking a set of models."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from torch import nn

from .._support.errors import InputError
from .base import Proxy, SetProxy, named
from .batch import Batch, CannotScore
from .passes import Passes


def score_proxies(
    model: nn.Module, batch: Batch, proxies: Sequence[str | Proxy], seed: int = 0
) -> dict[str, float]:
    """Scores of an untrained model by name, larger being better.

    Passes through the model that several proxies need are run only once. The model and torch's
    global generators are not changed.

    >>> batch = Batch(inputs, targets, nn.functional.cross_entropy)
    >>> score_proxies(model, batch, ["naswot", "synflow"])  # {"naswot": ..., "synflow": ...}

    Args:
        model: any module, on any device.
        batch: inputs (n, ...), targets (n, ...) and their loss.
        proxies: names, or proxies with settings of their own, but none that rank a set.
        seed: of random weights and inputs, for proxies that draw any.

    Raises:
        CannotScore: a proxy is not defined for this model or this batch, or a score is infinite or
            NaN.
        UnknownNameError: no such proxy.
    """
    chosen = _refuse_sets(named(proxies))
    check_batch(batch, chosen)
    passes = Passes(model, batch, seed, frozenset().union(*(proxy.needs for proxy in chosen)))
    return {proxy.name: proxy.read(passes) for proxy in chosen}


def rank_by_proxies(
    models: Iterable[nn.Module], batch: Batch, proxy: str | Proxy | SetProxy, seed: int = 0
) -> NDArray[np.float64]:
    """One number for each model of a set, (n,), larger being better.

    Args:
        models: scored one by one, so that a generator does not have to keep all of them.
        batch, seed: as for :func:`score_proxies`.
        proxy: a name, or a proxy with settings of its own; for one that ranks a set, the scores of
            its members are combined. A model that a member cannot score ranks last by that member.

    Raises:
        InputError: all models have the same score, or none could be scored.
        UnknownNameError: no such proxy.
    """
    (ranking,) = named([proxy])
    members = ranking.members if isinstance(ranking, SetProxy) else (ranking.name,)
    chosen = named(members) if isinstance(ranking, SetProxy) else [ranking]
    check_batch(batch, chosen)
    scores: dict[str, list[float]] = {name: [] for name in members}
    refusals: dict[str, CannotScore] = {}
    for model in models:
        for name, value in attempt(model, batch, chosen, seed).items():
            scores[name].append(-math.inf if isinstance(value, CannotScore) else value)
            if isinstance(value, CannotScore):
                refusals[name] = value
    for name, values in scores.items():
        if values and max(values) == -math.inf:
            raise refusals[name]
    if isinstance(ranking, SetProxy):
        return ranking.combine(scores)
    check_scores(scores, members)
    return np.array(scores[ranking.name])


def attempt(
    model: nn.Module, batch: Batch, proxies: Sequence[str | Proxy], seed: int = 0
) -> dict[str, float | CannotScore]:
    """Like :func:`score_proxies`, but with the error in place of a score that a proxy refuses."""
    chosen = _refuse_sets(named(proxies))
    check_batch(batch, chosen)
    passes = Passes(model, batch, seed, frozenset().union(*(proxy.needs for proxy in chosen)))
    scores: dict[str, float | CannotScore] = {}
    for proxy in chosen:
        try:
            scores[proxy.name] = proxy.read(passes)
        except CannotScore as refusal:
            scores[proxy.name] = refusal
    return scores


def check_batch(batch: Batch, proxies: Sequence[Proxy]) -> None:
    """Refuse a batch that one of the proxies cannot read.

    Raises:
        CannotScore: the message names the proxy and what it needs.
    """
    batch.check()
    for proxy in proxies:
        proxy.check(batch)


def check_scores(scores: Mapping[str, Sequence[float]], members: Sequence[str]) -> None:
    """Refuse scores of a set that cannot be ranked.

    Minus infinity stands for an architecture that could not be scored.

    Raises:
        InputError: a member is missing, lengths differ, NaN, or all scores are equal.
    """
    for member in members:
        if member not in scores:
            raise InputError(f"scores of {member}", "among the scores", ", ".join(scores))
        values = np.asarray(scores[member], dtype=float)
        if len(values) != len(scores[members[0]]):
            raise InputError(
                f"scores of {member}", f"{len(scores[members[0]])} of them", str(len(values))
            )
        if np.isnan(values).any():
            raise InputError(f"scores of {member}", "numbers", "NaN")
        if len(values) < 2 or (values == values[0]).all():
            got = f"{len(values)} times {values[0]:g}" if len(values) else "none"
            raise InputError(
                f"scores of {member}",
                "scores that differ within the set",
                got,
                "this proxy does not distinguish these architectures: choose another one",
            )


def _refuse_sets(proxies: Sequence[Proxy | SetProxy]) -> list[Proxy]:
    single: list[Proxy] = []
    for proxy in proxies:
        if isinstance(proxy, SetProxy):
            raise CannotScore(
                f"proxy {proxy.name}",
                "a set of architectures: it combines ranks within it",
                "one model",
                f"score by its members: {', '.join(proxy.members)}",
            )
        single.append(proxy)
    return single
