"""The steps of a training, in plain PyTorch."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from .._support.errors import InputError
from .._support.trees import call, move
from .._support.weights import make_dense, snapshot
from ..data.partition import subset
from ..data.splits import Batch
from ..history.objective import Objective
from ..history.trial import Fidelity
from ..task.base import Data, Recipe, Task
from ..task.contracts import Mixing
from ..task.sampling import draw
from .averaging import Average
from .growing import Early
from .layout import channels_last
from .optimising import Pace, norms_in, optimizer_of, precision
from .rounds import Countdown, Rounds, Stream
from .scoring import learned_loss
from .state import (
    TrainingState,
    load_model,
    load_moments,
    load_random_states,
    moments_of,
    random_states,
)


class Diverged(Exception):
    """The loss became NaN or infinite: ``reason`` in words, and the ``epoch``, from 1."""

    def __init__(self, reason: str, epoch: int) -> None:
        super().__init__(reason, epoch)
        self.reason, self.epoch = reason, epoch


class TrainingCallback:
    """What fine-tuning does differently from ordinary training; this base class changes nothing."""

    def scale(self, name: str) -> float:
        """The factor of the learning rate of a parameter, by its name."""
        return 1.0

    def before(self, epoch: int) -> None:
        """Called before each epoch, from 1: it may freeze and unfreeze parameters."""

    def penalty(self) -> Tensor | None:
        """A scalar that is added to the loss of each step; ``None`` adds nothing."""
        return None


class Steps:
    """The state of one training: model, optimiser, examples and random generators."""

    def __init__(
        self,
        model: nn.Module,
        task: Task,
        data: Data,
        recipe: Recipe,
        fidelity: Fidelity,
        seed: int,
        device: torch.device,
        goal: Objective | None = None,
        guide: TrainingCallback | None = None,
        subset_seed: int | None = None,
        rounds: Rounds | None = None,
        start: TrainingState | None = None,
        early: Early | None = None,
    ) -> None:
        self.model, self.task, self.recipe, self.data = model, task, recipe, data
        self.full, self.early = data, early
        self.rounds = rounds or Rounds()
        self.facts, self.device = data.facts, device
        self.epochs = recipe.epochs if fidelity.epochs is None else fidelity.epochs
        if self.epochs < 1 or not 0 < fidelity.share <= 1:
            raise InputError("fidelity", "at least one epoch and a share in (0, 1]", str(fidelity))
        first, names = task.metrics[0], {metric.name for metric in task.metrics}
        is_task_metric = goal is not None and goal.metric in names
        self.quality = goal if goal and is_task_metric else Objective(first.name, first.direction)
        self.guide = guide or TrainingCallback()
        if recipe.mix and not isinstance(task, Mixing):
            raise InputError("recipe: mix", "a task that mixes its examples", task.name, "mix=0")
        channels_last(model, move(task.example(data.facts, 2), device))
        self.learned = learned_loss(model, task, self.facts, device)
        parameters = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
        if not parameters:
            raise InputError(
                "model",
                "parameters that can be trained",
                "all of them frozen",
                "leave a layer unfrozen, or give the model a new head",
            )
        if self.learned is not None:
            parameters += self.learned.named_parameters()
        self.optimizer = optimizer_of(parameters, recipe, norms_in(model), self.guide.scale)
        learned = self.learned.named_parameters("loss") if self.learned is not None else ()
        self.names = {id(p): name for name, p in (*parameters, *learned)}
        self.train = data.train.to(device)
        self.seed = start.seed if start is not None else seed
        drawing_seed = self.seed if subset_seed is None else subset_seed
        self.kept = torch.from_numpy(subset(data.train.strata(), fidelity.share, drawing_seed))
        self.order = torch.Generator().manual_seed(seed)
        self.stream = Stream(lambda: self.order_of(self.order), self.order)
        batches = len(self.order_of(torch.Generator()))
        if not batches:
            raise InputError(
                "fidelity",
                f"a share that leaves {task.name} examples to learn from",
                f"{fidelity.share:g} of {len(data.train)}",
                "choose a larger share",
            )
        self.batches = self.rounds.steps or batches
        self.step, self.rate = 0, 0.0
        self.average = Average(model, recipe.ema)
        self.noise = torch.Generator(device).manual_seed(seed)
        #: The next epoch; the steps of it that an earlier training took, those taken by now, and
        #: those whose losses are unknown; and the sum of the other losses.
        self.first, self.begun, self.position, self.unknown = 1, 0, 0, 0
        self.total = torch.zeros((), device=device)
        self.rows: list[dict[str, float]] = []
        #: Called before the first step of the decay.
        self.on_trunk: Callable[[], None] | None = None
        if start is not None:
            self._continue(start)
        self.pace = Pace.of(recipe, self.epochs, self.batches, self.step)

    def numbers(self) -> Iterator[int]:
        """The numbers of the epochs, from 1; how many there are may be revised after each."""
        until, clock, began = self.rounds.until, self.rounds.clock, self.rounds.clock()
        countdown = Countdown(until, clock) if until is not None else None
        epoch = self.first
        while epoch <= self.epochs:
            if until is None:
                share = (epoch - 1) / self.epochs
            else:
                share = (clock() - began) / max(until - began, 1e-9)
            if self._see(share) and countdown is not None:
                countdown.restart()
            yield epoch
            if countdown is not None:
                countdown.ended()
                self.epochs = epoch + (countdown.rounds_left() or 0)
                self.pace = self.pace.revised(self.epochs * self.batches, self.step)
            epoch += 1

    def _see(self, share: float) -> bool:
        """Train on the examples for this share of the training; returns whether others had been
        seen before."""
        small = self.early is not None and share < self.early.share
        seen = self.early.data if small and self.early else self.full
        changed = seen is not self.data
        if changed:
            self.data, self.train = seen, seen.train.to(self.device)
        return changed

    def counts(self, epoch: int) -> bool:
        """Whether the weights may be the result: with ``"wsd"`` once the learning rate decays, and
        not while examples are still smaller."""
        if self.data is not self.full:
            return False
        trunk = self.pace.trunk
        return trunk is None or self.step > trunk or epoch == self.epochs

    def epoch(self, number: int) -> float:
        """Train on every example once, or for the steps of a round.

        Returns:
            The mean loss, without the guide's penalty.
        """
        self.guide.before(number)
        self.model.train()
        self.first, self.begun = number, self.position
        done, total = self.position, self.total
        steps = self.rounds.steps
        chunks = self.stream.take(None if steps is None else steps - done)
        last = done + len(chunks)
        for position, batch in enumerate(self.train.batches(chunks), start=done + 1):
            if self.on_trunk is not None and self.step == self.pace.trunk:
                self.on_trunk()
            total += self.learn(batch)
            self.position = position
            # Reading the loss makes a GPU wait, so it is not checked in every step; once the sum is
            # NaN, it stays NaN.
            if (position % 16 == 0 or position == last) and not math.isfinite(total):
                raise Diverged(f"training loss {float(total):g} in epoch {number}", number)
        mean = float(total) / (last - self.unknown)
        self.first, self.position, self.unknown = number + 1, 0, 0
        self.total = torch.zeros_like(total)
        return mean

    def state(self, rows: Sequence[Mapping[str, float]]) -> TrainingState:
        """The state before the next step; ``rows`` is the curve of the complete epochs."""
        parts: dict[str, Mapping[str, Any]] = {
            "model": snapshot(self.model),
            "average": {n: t.to("cpu", copy=True) for n, t in self.average.values.items()},
            "loss": snapshot(self.learned) if self.learned is not None else {},
        }
        tensors = {f"{part}.{n}": t for part, named in parts.items() for n, t in named.items()}
        tensors |= moments_of(self.optimizer, self.names)
        tensors |= random_states(self.device, order=self.order, noise=self.noise)
        tensors["random.order"], skipped = self.stream.place
        return TrainingState(
            tensors,
            self.step,
            self.batches,
            self.first - 1,
            self.position,
            skipped + self.position - self.begun,
            float(self.total),
            self.recipe.optimizer,
            self.device.type,
            self.seed,
            [dict(row) for row in rows],
            self.rounds.half,
        )

    def _continue(self, start: TrainingState) -> None:
        """Take up an earlier training."""
        if self.rounds.until is None and start.step >= self.epochs * self.batches:
            raise InputError(
                "start",
                f"fewer steps than the {self.epochs * self.batches} of {self.epochs} epochs",
                str(start.step),
                "choose more epochs",
            )
        load_model(self.model, start.part("model"), "model")
        if self.learned is not None:
            load_model(self.learned, start.part("loss"), "loss")
        self.average.load(start.part("average"))
        if start.optimizer == self.recipe.optimizer:
            load_moments(self.optimizer, self.names, start.part("optimizer"))
        if start.device == self.device.type:
            load_random_states(
                start.part("random"), self.device, order=self.order, noise=self.noise
            )
        self.step, skipped = start.step, start.skipped
        if start.batches == self.batches:
            self.first, self.position = start.epoch + 1, start.position
            self.total += start.total
            self.rows = [{**row, "seconds": 0.0} for row in start.rows]
        else:
            complete, self.position = divmod(start.step, self.batches)
            self.first, self.unknown, skipped = complete + 1, self.position, self.position
        self.stream.take(skipped)
        if self.rounds.until is not None:  # revised after the first round
            self.epochs = max(self.epochs, 2 * self.first)

    def order_of(self, generator: torch.Generator) -> Sequence[Tensor]:
        """The examples of each step of an epoch."""
        size = self.recipe.batch_size
        return draw(self.task, self.kept, self.data.train, size, generator, self.facts)

    def learn(self, batch: Batch) -> Tensor:
        """Take one step on a raw batch and return its loss, detached."""
        recipe, facts = self.recipe, self.facts
        self.rate = recipe.lr * self.pace(self.step)
        self.step += 1
        for group in self.optimizer.param_groups:
            group["lr"] = self.rate * group["scale"]
        ready = self.task.prepare_batch(batch, facts, self.noise if recipe.augment else None)
        mixes = int(self.step * recipe.mix) > int((self.step - 1) * recipe.mix)
        if mixes and isinstance(self.task, Mixing):
            ready = self.task.mixed(ready, self.noise, facts)
        if self.learned is None:
            with precision(recipe, self.device, self.rounds.half):
                loss = self.task.loss(self.model, ready, recipe.label_smoothing)
        else:
            with precision(recipe, self.device, self.rounds.half):
                outputs = call(self.model, ready.inputs)
            loss = self.learned(outputs, ready.targets)
        penalty = self.guide.penalty()
        self.optimizer.zero_grad(set_to_none=True)
        (loss if penalty is None else loss + penalty).backward()  # type: ignore[no-untyped-call]
        make_dense(self.model)
        if recipe.clip:
            nn.utils.clip_grad_norm_(self.model.parameters(), recipe.clip)
        self.optimizer.step()
        self.average.update(self.step)
        return loss.detach()
