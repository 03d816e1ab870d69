"""Training on episodes: plain PyTorch, one screen."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..._support.errors import DataError, InputError, WorkError
from ...data.episodes import Episodes
from ...train import schedule as cosine
from .base import FewShotLearner

if TYPE_CHECKING:
    from numpy.typing import NDArray

Schedule = Literal["cosine", "step", "constant"]


def train_episodes(
    learner: FewShotLearner,
    inputs: Tensor | NDArray[Any],
    episodes: Episodes,
    *,
    steps: int = 1000,
    batch: int = 1,
    lr: float = 1e-3,
    weight_decay: float = 0.0,
    schedule: Schedule = "cosine",
    clip: float = 10.0,
    augment: Callable[[Tensor, torch.Generator], Tensor] | None = None,
    on_step: Callable[[Mapping[str, float]], object] | None = None,
    seed: int = 0,
    device: str = "cpu",
) -> list[float]:
    """Train a learner and its embedding in place, by cross entropy of the queries (AdamW).

    The learner ends on ``device``, in the mode it started in. The same seed gives the same
    weights on a CPU with the same number of threads; global random state is left unchanged.

    Args:
        inputs: (n, ...) what ``episodes`` draws from, index for index.
        steps: weight updates; ``batch`` episodes each.
        schedule: cosine to zero, halved after each fifth of the steps, or constant.
        clip: largest norm of the gradient; 0 turns clipping off.
        augment: random changes of a batch of inputs.
        on_step: called with ``step`` (from 1), ``loss``, ``accuracy`` and ``lr``; an exception
            from it ends the training.

    Returns:
        The loss of each step.

    Raises:
        InputError: a setting outside its range, or a learner with nothing to train.
        WorkError: the loss became NaN or infinite.
    """
    trained = [p for p in learner.parameters() if p.requires_grad]
    if not trained:
        hint = "pass an embedding with trainable parameters"
        raise InputError(learner.name, "something to train", "no trainable parameter", hint)
    rules = {
        "steps": steps >= 1,
        "batch": batch >= 1,
        "lr": 0 < lr < math.inf,
        "weight decay": weight_decay >= 0,
        "clip": clip >= 0,
        "schedule": schedule in ("cosine", "step", "constant"),
    }
    for name, holds in rules.items():
        if not holds:
            got = repr(locals()[name.replace(" ", "_")])
            raise InputError(f"training on episodes: {name}", "a value in its range", got)
    if len(inputs) != len(episodes):
        raise DataError("inputs", f"{len(episodes)}, as many as labels", str(len(inputs)))
    on, mode, losses = torch.device(device), learner.training, []
    learner.to(on).train()
    data = learner.taken(inputs)
    optimizer = torch.optim.AdamW(trained, lr=lr, weight_decay=weight_decay)
    order, noise = np.random.default_rng(seed), torch.Generator(on).manual_seed(seed)
    try:
        with torch.random.fork_rng(devices=[on] if on.type == "cuda" else []):
            torch.manual_seed(seed)
            for step in range(steps):
                optimizer.param_groups[0]["lr"] = lr * _rate(schedule, step, steps)
                support, query = (torch.from_numpy(i).to(on) for i in episodes.draw(batch, order))
                loss, accuracy = _loss(learner, data, support, query, augment, noise)
                optimizer.zero_grad(set_to_none=True)
                loss.backward()  # type: ignore[no-untyped-call]
                if clip:
                    nn.utils.clip_grad_norm_(trained, clip)
                optimizer.step()
                losses.append(float(loss.detach()))
                if not math.isfinite(losses[-1]):
                    hint = "use a lower learning rate"
                    got = f"{losses[-1]} in step {step + 1}"
                    raise WorkError("training on episodes", "a finite loss", got, hint)
                if on_step is not None:
                    metrics = {"loss": losses[-1], "accuracy": float(accuracy)}
                    on_step({"step": step + 1, **metrics, "lr": optimizer.param_groups[0]["lr"]})
    finally:
        learner.train(mode)
    return losses


def _rate(schedule: str, step: int, steps: int) -> float:
    if schedule == "cosine":
        return cosine(step, steps, 0.0)
    return 0.5 ** (5 * step // steps) if schedule == "step" else 1.0


def _loss(
    learner: FewShotLearner,
    data: Tensor,
    support: Tensor,
    query: Tensor,
    augment: Callable[[Tensor, torch.Generator], Tensor] | None,
    noise: torch.Generator,
) -> tuple[Tensor, Tensor]:
    """Cross entropy and accuracy of the queries of episodes (E, N, K) and (E, N, Q)."""
    episodes, ways, shots = support.shape
    drawn = torch.cat([support.flatten(1), query.flatten(1)], dim=1)
    inputs = data[drawn.flatten()]
    if augment is not None:
        inputs = augment(inputs, noise)
    inputs = inputs.reshape(*drawn.shape, *inputs.shape[1:])
    members = F.one_hot(torch.arange(ways, device=data.device).repeat_interleave(shots), ways)
    members = members.float().expand(episodes, -1, -1)
    logits = learner(inputs[:, : ways * shots], members, inputs[:, ways * shots :])
    target = torch.arange(ways, device=data.device).repeat_interleave(query.shape[2])
    target = target.expand(episodes, -1)
    loss = F.cross_entropy(logits.flatten(0, 1), target.flatten())
    return loss, (logits.argmax(dim=-1) == target).float().mean()
