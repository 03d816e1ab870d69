"""Needs torch, and is imported only where a strategy asks for it: an LSTM as a search policy.

As in Zoph & Le 2017 (arXiv:1611.01578), NASNet (arXiv:1707.07012) and ENAS (arXiv:1802.03268): the
sequence of decisions is written from left to right, each draw is fed back in, and each question has
a softmax of its own on the hidden state.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ..space.architecture import Answer
from .questions import Draws, Question

Array = np.ndarray[Any, np.dtype[np.float32]]

_START = ("", None)
_INIT = 0.1  # weights begin in [-0.1, 0.1], as in ENAS
_STEPS = (0.9, 0.999)


class LSTMPolicy:
    """A one-layer LSTM. Draws cost numpy steps of the cell, a trial one step of Adam.

    What stands for an answer (the vector fed back in, the row of the softmax) begins with numbers
    that depend on the names of decision and answer alone, so the policy after given trials is the
    same whatever was drawn in between, and in whatever order answers became known.

    Args:
        learning_rate: of Adam.
        entropy: weight of the entropy.
        size: hidden units; the papers have 35 to 100.
    """

    def __init__(self, learning_rate: float, entropy: float, size: int = 64) -> None:
        self.learning_rate, self.entropy, self.size = learning_rate, entropy, size
        # By way of meta, since its own start draws from the global generator.
        self.lstm = nn.LSTM(size, size, device="meta").to_empty(device="cpu")
        generator = torch.Generator().manual_seed(0)
        with torch.no_grad():
            for weights in self.lstm.parameters():
                weights.uniform_(-_INIT, _INIT, generator=generator)
        # A space may ask from within a builder that runs with torch under its own rules (nothing
        # is initialised there): what draws need is numpy, over the same memory.
        self._cell_weights = [weights.detach().numpy() for weights in self.lstm.parameters()]
        #: By answer: size numbers that are fed in, size of the softmax row, and its offset.
        self.rows: Array = np.zeros((32, 2 * size + 1), dtype=np.float32)
        self._row_moments = [np.zeros_like(self.rows), np.zeros_like(self.rows)]
        parameters = list(self.lstm.parameters())
        self._moments = [(torch.zeros_like(w), torch.zeros_like(w)) for w in parameters]
        self._places: dict[tuple[str, Answer], int] = {}
        self._count = 0
        self._drawn: dict[Draws, tuple[Array, Array]] = {}

    def logits(self, path: Draws, question: Question) -> list[float]:
        places = self._known(question)
        hidden, _ = self._state(path)
        rows = self.rows[places]
        found: list[float] = (rows[:, self.size : -1] @ hidden + rows[:, -1]).tolist()
        return found

    def learn(self, draws: Sequence[tuple[Question, int]], advantage: float) -> None:
        if not draws:
            return
        self._drawn.clear()
        questions = [question for question, _ in draws]
        arms = [self._known(question) for question in questions]
        wide = max(map(len, arms))
        index = torch.tensor([row + [0] * (wide - len(row)) for row in arms])
        prior = torch.tensor([[*q.prior, *[-1e9] * (wide - len(q.prior))] for q in questions])
        drawn = torch.tensor([arm for _, arm in draws])
        fed = torch.tensor([self._place(_START), *index[range(len(draws)), drawn][:-1].tolist()])
        rows = torch.from_numpy(self.rows).requires_grad_()
        hidden, _ = self.lstm(rows[fed, : self.size])
        heads = rows[index]
        scores = (heads[:, :, self.size : -1] * hidden[:, None]).sum(-1) + heads[:, :, -1]
        logs = (scores + prior).log_softmax(-1)
        gain = advantage * logs.gather(1, drawn[:, None]).sum()
        # Entropy is measured against the prior, which is even but for subsets.
        gain = gain - self.entropy * (logs.exp() * (logs - prior.log_softmax(-1))).sum()
        self._ascend(gain, rows)

    def _ascend(self, gain: Tensor, rows: Tensor) -> None:
        self._count += 1
        weights = [*self.lstm.parameters(), rows]
        m, v = map(torch.from_numpy, self._row_moments)
        moments = [*self._moments, (m, v)]
        first, second = _STEPS
        with torch.no_grad():
            gradients = torch.autograd.grad(gain, weights)
            for weight, gradient, (m, v) in zip(weights, gradients, moments, strict=True):
                m.lerp_(gradient, 1 - first)
                v.mul_(second).addcmul_(gradient, gradient, value=1 - second)
                root = (v / (1 - second**self._count)).sqrt_().add_(1e-8)
                weight.addcdiv_(m, root, value=self.learning_rate / (1 - first**self._count))

    def _state(self, path: Draws) -> tuple[Array, Array]:
        """Hidden and cell state after a path, kept until the next lesson."""
        known = self._drawn.get(path)
        if known is None:
            if path:
                hidden, cell = self._state(path[:-1])
            else:
                hidden = cell = np.zeros(self.size, dtype=np.float32)
            place = self._place(path[-1] if path else _START)
            known = self._drawn[path] = self._cell(place, hidden, cell)
        return known

    def _cell(self, place: int, hidden: Array, cell: Array) -> tuple[Array, Array]:
        inward, across, *offsets = self._cell_weights
        fed = self.rows[place, : self.size]
        gates = inward @ fed + across @ hidden + offsets[0] + offsets[1]
        enter, forget, new, leave = np.split(gates, 4)
        after: Array = _sigmoid(forget) * cell + _sigmoid(enter) * np.tanh(new)
        shown: Array = _sigmoid(leave) * np.tanh(after)
        return shown, after

    def _known(self, question: Question) -> list[int]:
        return [self._place((question.key, arm)) for arm in question.arms]

    def _place(self, token: tuple[str, Answer]) -> int:
        place = self._places.get(token)
        if place is None:
            place = self._places[token] = len(self._places)
            if place >= len(self.rows):
                self._grow()
            start = np.random.default_rng(zlib.crc32(repr(token).encode()))
            self.rows[place, :-1] = start.uniform(-_INIT, _INIT, 2 * self.size)
        return place

    def _grow(self) -> None:
        """Twice the room for answers. New ones have learned nothing, so their moments are 0."""
        self.rows, *self._row_moments = (
            np.concatenate([old, np.zeros_like(old)]) for old in (self.rows, *self._row_moments)
        )


def _sigmoid(x: Array) -> Array:
    result: Array = (1 / (1 + np.exp(-x))).astype(np.float32, copy=False)
    return result
