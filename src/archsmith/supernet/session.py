"""One training of shared weights, as a method sees it.

Everything random is a function of the seed and of the number of steps done, so that a training
that was stopped and resumed equals one that was not.
"""

from __future__ import annotations

import math
import random
import time
import zlib
from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from .._support.allocator import keep_memory
from .._support.trees import Tree, call, move
from ..data.splits import Batch, Split
from ..history.objective import Limit, Objective
from ..space.architecture import Architecture
from ..task.base import Data, Recipe, Task
from ..task.sampling import draw, holdout_indices, judged_as_is
from ..train import is_norm, optimizer_of, precision, schedule

if TYPE_CHECKING:
    from .supernet import Supernet


#: Costs of an architecture by name (``params``, ``flops``, ``latency_ms``).
Costs = Callable[[Architecture], Mapping[str, float]]


@dataclass(frozen=True)
class KnownCosts:
    """What an architecture costs before it is trained, for methods that keep limits.

    Attributes:
        of: the costs by name.
        clocked: those that need a measurement each, so that few architectures can be queried.
        confirm: measures what ``of`` only estimates, for the few that are about to be derived.
    """

    of: Costs
    clocked: tuple[str, ...] = ()
    confirm: Costs | None = None


@dataclass
class Session:
    """One training of shared weights, as a method sees it. Made by :func:`start`.

    Attributes:
        steps, epochs: planned in total.
        step: steps done so far.
        optimizer: of the shared weights; parameters that the store gains are added automatically.
        objectives, limits: what the search optimises, if known.
        costs: of architectures, if known.
        seconds: time limit of the training; ``None``: until the epochs are done.
        elapsed: seconds of training before this process.
        rate: learning rate of the last update.
        restarts: shares of the training, ascending, at which a method restarts the schedule of the
            learning rate.
        peaks: of the learning rate in the parts between, as shares of the recipe's; 1 if empty.
        curve: one row per epoch: ``epoch``, ``train_loss``, the metrics of the method, ``lr`` and
            ``seconds``.
    """

    supernet: Supernet
    task: Task
    data: Data
    recipe: Recipe
    device: torch.device
    seed: int
    steps: int
    epochs: int
    optimizer: torch.optim.Optimizer
    step: int = 0
    objectives: tuple[Objective, ...] = ()
    limits: tuple[Limit, ...] = ()
    costs: KnownCosts | None = None
    seconds: float | None = None
    elapsed: float = 0.0
    rate: float = 0.0
    restarts: tuple[float, ...] = ()
    peaks: tuple[float, ...] = ()
    curve: list[dict[str, float]] = field(default_factory=list)
    held_batches: int = 0
    _held: tuple[int, Sequence[Tensor]] = field(default=(0, ()), repr=False)
    _version: int = 0
    _began: float = field(default_factory=lambda: time.perf_counter())
    _parts: _Parts = field(kw_only=True, repr=False)

    @property
    def spent(self) -> float:
        """Seconds of training so far, including those before a stop."""
        return self.elapsed + time.perf_counter() - self._began

    @property
    def progress(self) -> float:
        """Share of the training that is done, in [0, 1]: by steps or by time, whichever is more."""
        by_steps = self.step / self.steps
        by_time = self.spent / self.seconds if self.seconds else 0.0
        return min(1.0, max(by_steps, by_time))

    @property
    def late(self) -> bool:
        """Whether the time limit of the training has passed."""
        return self.seconds is not None and self.spent >= self.seconds

    def rng(self, purpose: str) -> random.Random:
        """A generator that depends only on the seed, the purpose and the number of steps done."""
        return random.Random(f"{self.seed} {purpose} {self.step}")

    def prepare(self, batch: Batch, augment: bool = True, step: int | None = None) -> Batch:
        """Model inputs and targets as the loss takes them, on the device.

        The augmentation is the same for each call within a step, so that all paths of a step see
        the same inputs.

        Args:
            step: augment as in this step instead of the current one.
        """
        noise = None
        if augment and self.recipe.augment:
            number = self._number("augment", self.step if step is None else step)
            noise = torch.Generator(self.device).manual_seed(number)
        raw = Batch(*move(tuple(batch), self.device))
        return self.task.prepare_batch(raw, self.data.facts, noise)

    def forward(self, model: nn.Module, inputs: Tree) -> Any:
        """The outputs for prepared inputs, in mixed precision if the recipe asks for it."""
        with precision(self.recipe, self.device):
            return call(model, inputs)

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        """The training loss of a model on a raw batch, prepared and augmented."""
        return self.loss_of(model, self.prepare(batch))

    def loss_of(self, model: nn.Module, ready: Batch, smoothing: float | None = None) -> Tensor:
        """The loss of a model on a prepared batch, in mixed precision if the recipe asks for it.

        Args:
            smoothing: instead of the recipe's.
        """
        smoothing = self.recipe.label_smoothing if smoothing is None else smoothing
        with precision(self.recipe, self.device):
            return self.task.loss(model, ready, smoothing)

    def update(self) -> None:
        """One step of the weights' optimiser at the scheduled rate; clears the gradients.

        A stored tensor without a gradient is unchanged, without momentum or weight decay.
        """
        self.adopt()
        self.rate = self.coming_rate
        for group in self.optimizer.param_groups:
            group["lr"] = self.rate
        if self.recipe.clip:
            nn.utils.clip_grad_norm_(self.supernet.parameters(), self.recipe.clip)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)

    @property
    def coming_rate(self) -> float:
        """The learning rate of the next update."""
        return self.recipe.lr * self._share_of_rate()

    def probe(self, count: int, size: int) -> list[Batch]:
        """Prepared batches that are the same at each call, of ``count`` examples or a few more.

        They come from the held-out share, or from the training part if there is none, and are
        augmented only if the task cannot evaluate them unaugmented.

        Args:
            size: of a batch, as far as the task allows.
        """
        index = self._parts.held if len(self._parts.held) else self._parts.kept
        generator = torch.Generator().manual_seed(self._number("probe", 0))
        drawn = draw(
            self.task, index, self.data.train, min(size, len(index)), generator, self.data.facts
        )
        batches: list[Batch] = []
        for part in drawn:
            raw = self._parts.train.take(part)
            batches.append(self.prepare(raw, augment=not judged_as_is(self.task), step=0))
            count -= len(part)
            if count <= 0:
                break
        return batches

    def held(self) -> Batch:
        """The next raw batch of the held-out share; it cycles, reshuffled each time.

        Raises:
            RuntimeError: the method's ``holdout`` is 0.
        """
        if len(self._parts.held) == 0:
            raise RuntimeError("this method holds out no data: set its holdout")
        # The number of batches does not depend on the cycle, so the last one drawn gives it.
        count = len(self._held[1]) or len(self._draw(self._parts.held, "held", 0))
        cycle, place = divmod(self.held_batches, count)
        self.held_batches += 1
        if self._held[0] != cycle or not self._held[1]:
            self._held = cycle, self._draw(self._parts.held, "held", cycle)
        return self._parts.train.take(self._held[1][place])

    def epoch(self, number: int) -> Iterable[Batch]:
        """The raw batches of an epoch, from 1: each example that is not held out once."""
        return self._parts.train.batches(self._draw(self._parts.kept, "order", number))

    def reseed(self, epoch: int) -> None:
        """Seed the global generators (dropout draws from them) for an epoch."""
        torch.manual_seed(self._number("epoch", epoch))

    def adopt(self, again: bool = False) -> None:
        """Update the optimiser to the store: add new parameters, remove dropped ones.

        A parameter that grew counts as new, with moments of its own: its old values may lie
        anywhere in it.

        Args:
            again: check even if the store says that nothing has changed.
        """
        supernet = self.supernet
        if supernet.version == self._version and not again:
            return
        self._version = supernet.version
        current = {id(p) for group in self.optimizer.param_groups for p in group["params"]}
        present = {id(p) for p in supernet.parameters()}
        new = [(name, p) for name, p in supernet.named_parameters() if id(p) not in current]
        fresh = optimizer_of(new, self.recipe, _norms(supernet)).param_groups
        for group, added in zip(self.optimizer.param_groups, fresh, strict=True):
            for parameter in group["params"]:
                if id(parameter) not in present:
                    self.optimizer.state.pop(parameter, None)
            stay = [p for p in group["params"] if id(p) in present]
            group["params"] = stay + added["params"]

    def judge(self, architecture: Architecture, batch: Batch) -> dict[str, float]:
        """The task's metrics of a subnet on a raw batch; the weights stay unchanged.

        It is augmented only if the task cannot evaluate it unaugmented. Normalisation uses the
        batch, since running statistics are a mixture of all subnets'.
        """
        model = self.supernet.subnet(architecture, own_buffers=True)
        by_batch(model)
        meter = self.task.meter(self.data.facts)
        with torch.no_grad():
            inputs, _ = self.prepare(batch, augment=not judged_as_is(self.task))
            with precision(self.recipe, self.device):
                meter.see(model, Batch(inputs, move(batch.targets, self.device)))
        return meter.result()

    def _share_of_rate(self) -> float:
        # A time limit does not count steps: such a training is divided into this many.
        steps = self.steps if self.seconds is None else 100_000
        step = self.step if self.seconds is None else int(self.progress * steps)
        step = min(step, steps - 1)
        edges = [0, *(math.ceil(share * steps) for share in self.restarts), steps]
        place = bisect_right(edges, step) - 1
        peak = self.peaks[place] if self.peaks else 1.0
        steps = edges[place + 1] - edges[place]
        return peak * schedule(step - edges[place], steps, self.recipe.warmup)

    def reorder(self, stored: Tensor, dim: int, index: Tensor) -> None:
        """Reorder the entries of a stored tensor, with the state that the optimiser keeps."""
        kept = self.optimizer.state.get(stored, {}).values()
        for tensor in (stored.data, *(v for v in kept if isinstance(v, Tensor))):
            if tensor.shape == stored.shape:
                tensor.copy_(tensor.index_select(dim, index))

    def _draw(self, index: Tensor, purpose: str, number: int) -> Sequence[Tensor]:
        generator = torch.Generator().manual_seed(self._number(purpose, number))
        size = min(self.recipe.batch_size, len(index))
        return draw(self.task, index, self.data.train, size, generator, self.data.facts)

    def _number(self, purpose: str, number: int) -> int:
        return zlib.crc32(f"{self.seed} {purpose} {number}".encode())


@dataclass
class _Parts:
    """The training part on the device, and which examples are held out."""

    train: Split
    kept: Tensor
    held: Tensor


def start(
    supernet: Supernet,
    task: Task,
    data: Data,
    recipe: Recipe,
    *,
    seed: int,
    epochs: int | None = None,
    holdout: float = 0.0,
    objectives: Sequence[Objective] = (),
    limits: Sequence[Limit] = (),
    costs: KnownCosts | None = None,
    seconds: float | None = None,
) -> Session:
    """A session at its first step.

    Args:
        epochs: instead of the recipe's.
        holdout: share of the training part that is kept for :meth:`Session.held`, split as the
            task does it; fixed by the seed.
        seconds: see :class:`Session`.

    Raises:
        InputError: there are too few examples to hold some out.
    """
    keep_memory()
    device = supernet.device
    held = holdout_indices(task, data.train, holdout, seed)
    inside = torch.ones(len(data.train), dtype=torch.bool)
    inside[held] = False
    kept = inside.nonzero().flatten()
    parts = _Parts(data.train.to(device), kept, held)
    count = recipe.epochs if epochs is None else epochs
    return Session(
        supernet,
        task,
        data,
        recipe,
        device,
        seed,
        steps=count
        * len(draw(task, kept, data.train, recipe.batch_size, torch.Generator(), data.facts)),
        epochs=count,
        optimizer=optimizer_of(supernet.named_parameters(), recipe, _norms(supernet)),
        objectives=tuple(objectives),
        limits=tuple(limits),
        costs=costs,
        seconds=seconds,
        _parts=parts,
        _version=supernet.version,
    )


def _norms(supernet: Supernet) -> set[int]:
    """``id`` of the stored parameters that do not decay: of normalisation, and of no layer."""
    facts = [(p, supernet.facts(key)) for key, p in supernet.stored()]
    return {id(p) for p, stored in facts if stored is None or is_norm(stored.kind)}


def by_batch(model: nn.Module) -> None:
    """Evaluation mode, except for batch normalisation, which uses the statistics of a batch."""
    model.eval()
    for module in model.modules():
        if isinstance(module, _BatchNorm):
            module.train()
