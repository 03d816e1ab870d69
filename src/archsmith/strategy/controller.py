"""An LSTM as a search policy; needs torch, and is imported only when a strategy uses it.

As in Zoph & Le 2017 (arXiv:1611.01578), NASNet (arXiv:1707.07012) and ENAS (arXiv:1802.03268): the
decisions are generated one after the other, each draw is fed back in, and each question has its
own softmax on the hidden state.
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
_INIT = 0.1  # weights start in [-0.1, 0.1], as in ENAS
_STEPS = (0.9, 0.999)


class LSTMPolicy:
    """A one-layer LSTM. Each draw takes steps of the cell in numpy, each trial one step of Adam.

    The parameters of an answer (its input vector and its row of the softmax) are initialised with
    numbers that depend only on the names of decision and answer, so the policy after given trials
    does not depend on draws in between, or on the order in which answers were first seen.

    Args:
        learning_rate: of Adam.
        entropy: weight of the entropy.
        size: number of hidden units; the papers use 35 to 100.
    """

    def __init__(self, learning_rate: float, entropy: float, size: int = 64) -> None:
        self.learning_rate, self.entropy, self.size = learning_rate, entropy, size
        # Built on meta, because the usual initialisation uses the global generator.
        self.lstm = nn.LSTM(size, size, device="meta").to_empty(device="cpu")
        generator = torch.Generator().manual_seed(0)
        with torch.no_grad():
            for weights in self.lstm.parameters():
                weights.uniform_(-_INIT, _INIT, generator=generator)
        # A space may ask inside a builder, where torch is restricted (nothing is initialised
        # there), so draws use numpy on the same memory.
        self._cell_weights = [weights.detach().numpy() for weights in self.lstm.parameters()]
        #: For each answer: its input vector (size), its softmax row (size), and its bias.
        self.rows: Array = np.zeros((32, 2 * size + 1), dtype=np.float32)
        self._row_moments = [np.zeros_like(self.rows), np.zeros_like(self.rows)]
        parameters = list(self.lstm.parameters())
        self._moments = [(torch.zeros_like(w), torch.zeros_like(w)) for w in parameters]
        self._places: dict[tuple[str, Answer], int] = {}
        self._count = 0
        self._drawn: dict[Draws, tuple[Array, Array]] = {}

    def logits(self, path: Draws, question: Question) -> list[float]:
        places = self._row_indices(question)
        hidden, _ = self._state(path)
        rows = self.rows[places]
        logits: list[float] = (rows[:, self.size : -1] @ hidden + rows[:, -1]).tolist()
        return logits

    def learn(self, draws: Sequence[tuple[Question, int]], advantage: float) -> None:
        if not draws:
            return
        self._drawn.clear()
        questions = [question for question, _ in draws]
        arms = [self._row_indices(question) for question in questions]
        most_arms = max(map(len, arms))
        index = torch.tensor([row + [0] * (most_arms - len(row)) for row in arms])
        prior = torch.tensor([[*q.prior, *[-1e9] * (most_arms - len(q.prior))] for q in questions])
        drawn = torch.tensor([arm for _, arm in draws])
        inputs = torch.tensor([self._place(_START), *index[range(len(draws)), drawn][:-1].tolist()])
        rows = torch.from_numpy(self.rows).requires_grad_()
        hidden, _ = self.lstm(rows[inputs, : self.size])
        heads = rows[index]
        scores = (heads[:, :, self.size : -1] * hidden[:, None]).sum(-1) + heads[:, :, -1]
        logs = (scores + prior).log_softmax(-1)
        gain = advantage * logs.gather(1, drawn[:, None]).sum()
        # Entropy is relative to the prior, which is uniform except for subsets.
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
        """Hidden and cell state after a path, cached until the policy learns again."""
        state = self._drawn.get(path)
        if state is None:
            if path:
                hidden, cell = self._state(path[:-1])
            else:
                hidden = cell = np.zeros(self.size, dtype=np.float32)
            place = self._place(path[-1] if path else _START)
            state = self._drawn[path] = self._cell(place, hidden, cell)
        return state

    def _cell(self, place: int, hidden: Array, cell: Array) -> tuple[Array, Array]:
        inward, across, *offsets = self._cell_weights
        input_ = self.rows[place, : self.size]
        gates = inward @ input_ + across @ hidden + offsets[0] + offsets[1]
        enter, forget, new, leave = np.split(gates, 4)
        after: Array = _sigmoid(forget) * cell + _sigmoid(enter) * np.tanh(new)
        shown: Array = _sigmoid(leave) * np.tanh(after)
        return shown, after

    def _row_indices(self, question: Question) -> list[int]:
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
        """Double the number of rows; the moments of new ones are 0."""
        self.rows, *self._row_moments = (
            np.concatenate([old, np.zeros_like(old)]) for old in (self.rows, *self._row_moments)
        )


def _sigmoid(x: Array) -> Array:
    result: Array = (1 / (1 + np.exp(-x))).astype(np.float32, copy=False)
    return result
