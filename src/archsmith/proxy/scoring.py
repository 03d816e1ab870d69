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

    Passes through the model that several proxies need are run once. The model is left as it was,
    and so are torch's global generators.

    Args:
        model: any module; on any device.
        batch: inputs (n, ...), targets (n, ...) and their loss.
        proxies: names, or proxies with settings of their own. One that ranks a set is refused.
        seed: of random weights and inputs, where a proxy draws any.

    Raises:
        CannotScore: a proxy is not defined for this model, or not for this batch; the score is
            infinite or not a number.
        UnknownNameError: no such proxy.
    """
    chosen = _single(named(proxies))
    check_batch(batch, chosen)
    passes = Passes(model, batch, seed, frozenset().union(*(proxy.needs for proxy in chosen)))
    return {proxy.name: proxy.read(passes) for proxy in chosen}


def rank_by_proxies(
    models: Iterable[nn.Module], batch: Batch, proxy: str | Proxy | SetProxy, seed: int = 0
) -> NDArray[np.float64]:
    """One number for each model of a set, (n,), larger being better.

    Args:
        models: looked at one by one, so that a generator need not hold all of them.
        batch, seed: as for :func:`score_proxies`.
        proxy: a name, or a proxy with settings of its own; for one that ranks a set its members
            are scored and combined. A model that a member cannot score is worst by it.

    Raises:
        InputError: all models score alike, or none could be scored.
    """
    (found,) = named([proxy])
    members = found.members if isinstance(found, SetProxy) else (found.name,)
    chosen = named(members) if isinstance(found, SetProxy) else [found]
    check_batch(batch, chosen)
    scores: dict[str, list[float]] = {name: [] for name in members}
    why: dict[str, CannotScore] = {}
    for model in models:
        for name, value in attempt(model, batch, chosen, seed).items():
            scores[name].append(-math.inf if isinstance(value, CannotScore) else value)
            if isinstance(value, CannotScore):
                why[name] = value
    for name, values in scores.items():
        if values and max(values) == -math.inf:
            raise why[name]
    if isinstance(found, SetProxy):
        return found.combine(scores)
    check_scores(scores, members)
    return np.array(scores[found.name])


def attempt(
    model: nn.Module, batch: Batch, proxies: Sequence[str | Proxy], seed: int = 0
) -> dict[str, float | CannotScore]:
    """As :func:`score_proxies`, but what a proxy refuses to score is given as the refusal."""
    chosen = _single(named(proxies))
    check_batch(batch, chosen)
    passes = Passes(model, batch, seed, frozenset().union(*(proxy.needs for proxy in chosen)))
    found: dict[str, float | CannotScore] = {}
    for proxy in chosen:
        try:
            found[proxy.name] = proxy.read(passes)
        except CannotScore as refusal:
            found[proxy.name] = refusal
    return found


def check_batch(batch: Batch, proxies: Sequence[Proxy]) -> None:
    """Refuse a batch that one of the proxies cannot read.

    Raises:
        CannotScore: with the proxy and what it needs.
    """
    batch.check()
    for proxy in proxies:
        proxy.check(batch)


def check_scores(scores: Mapping[str, Sequence[float]], members: Sequence[str]) -> None:
    """Refuse scores of a set that say nothing.

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
                "this proxy does not tell these architectures apart: take another one",
            )


def _single(proxies: Sequence[Proxy | SetProxy]) -> list[Proxy]:
    found: list[Proxy] = []
    for proxy in proxies:
        if isinstance(proxy, SetProxy):
            raise CannotScore(
                f"proxy {proxy.name}",
                "a set of architectures: it combines ranks within it",
                "one model",
                f"score by its members: {', '.join(proxy.members)}",
            )
        found.append(proxy)
    return found
