"""The contender that a user would write with Optuna: the same choices, by hand, in plain torch."""

from __future__ import annotations

import math
import time
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from archsmith.task.problem import open_problem
from archsmith.zoo.convnet import WIDTHS

ACTIVATIONS = {"relu": nn.ReLU, "silu": nn.SiLU, "hardswish": nn.Hardswish}
#: Epochs of a trial, and the share of the time that Optuna has.
EPOCHS, SEARCH = 6, 0.6


class Block(nn.Module):
    def __init__(self, inside: int, outside: int, kind: str, kernel: int, residual: bool, act: Any):
        super().__init__()
        pad = kernel // 2
        if kind == "conv":
            layers: list[nn.Module] = [nn.Conv2d(inside, outside, kernel, padding=pad, bias=False)]
        elif kind == "separable":
            layers = [
                nn.Conv2d(inside, inside, kernel, padding=pad, groups=inside, bias=False),
                nn.BatchNorm2d(inside),
                act(),
                nn.Conv2d(inside, outside, 1, bias=False),
            ]
        else:
            hidden = inside * 4
            layers = [
                nn.Conv2d(inside, hidden, 1, bias=False),
                nn.BatchNorm2d(hidden),
                act(),
                nn.Conv2d(hidden, hidden, kernel, padding=pad, groups=hidden, bias=False),
                nn.BatchNorm2d(hidden),
                act(),
                nn.Conv2d(hidden, outside, 1, bias=False),
            ]
        self.body = nn.Sequential(*layers, nn.BatchNorm2d(outside))
        self.link: nn.Module | None = None
        if residual:
            self.link = nn.Identity() if inside == outside else nn.Conv2d(inside, outside, 1)
        self.act = act()

    def forward(self, x: Tensor) -> Tensor:
        y = self.body(x)
        return self.act(y if self.link is None else y + self.link(x))


def model_of(trial: Any, channels: int, classes: int) -> nn.Module:
    act = ACTIVATIONS[trial.suggest_categorical("activation", list(ACTIVATIONS))]
    inside = trial.suggest_categorical("stem", [8, 16, 24, 32])
    layers: list[nn.Module] = [
        nn.Conv2d(channels, inside, 3, padding=1, bias=False),
        nn.BatchNorm2d(inside),
        act(),
    ]
    for stage in range(trial.suggest_int("stages", 2, 4)):
        if stage:
            layers.append(nn.MaxPool2d(2, ceil_mode=True))
        width = trial.suggest_categorical(f"width{stage}", list(WIDTHS))
        kernel = trial.suggest_categorical(f"kernel{stage}", [3, 5])
        residual = trial.suggest_categorical(f"residual{stage}", [False, True])
        for number in range(trial.suggest_int(f"depth{stage}", 1, 3)):
            kind = trial.suggest_categorical(
                f"op{stage}.{number}", ["conv", "separable", "bottleneck"]
            )
            layers.append(Block(inside, width, kind, kernel, residual, act))
            inside = width
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(inside, classes))


class Training:
    """SGD with Nesterov momentum and cosine decay, flips and shifts: the usual by-hand recipe."""

    def __init__(self, problem: Any, seed: int) -> None:
        self.facts, self.task = problem.data.facts, problem.task
        self.data, self.noise = problem.data, torch.Generator().manual_seed(seed)

    def epochs(self, model: nn.Module, train: Any, epochs: int | None, until: float) -> Any:
        """Yield the progress (a share) after each epoch."""
        optimizer = torch.optim.SGD(
            model.parameters(), 0.1, momentum=0.9, nesterov=True, weight_decay=5e-4
        )
        began, step = time.monotonic(), 0
        steps = None if epochs is None else epochs * math.ceil(len(train) / 64)
        progress = 0.0
        while progress < 1:
            model.train()
            for chunk in torch.randperm(len(train), generator=self.noise).split(64):
                now = time.monotonic()
                progress = step / steps if steps else (now - began) / (until - began)
                if progress >= 1 or now > until or len(chunk) < 2:
                    break
                for group in optimizer.param_groups:
                    group["lr"] = (
                        0.1 * min(1.0, (step + 1) / 50) * 0.5 * (1 + math.cos(math.pi * progress))
                    )
                batch = self.task.prepare_batch(train.take(chunk), self.facts, self.noise)
                optimizer.zero_grad()
                F.cross_entropy(model(batch.inputs), batch.targets).backward()
                optimizer.step()
                step += 1
            progress = 1.0 if time.monotonic() > until else progress
            if steps is not None:
                progress = step / steps
            yield progress


def tuned(data: str, seconds: float, seed: int) -> dict[str, Any]:
    import optuna

    from archsmith.train import score

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    began, used = time.monotonic(), time.process_time()
    problem = open_problem(None, data)
    facts, parts = problem.data.facts, problem.data
    search_until = began + SEARCH * seconds
    training = Training(problem, seed)

    def objective(trial: Any) -> float:
        torch.manual_seed(seed + trial.number)
        model = model_of(trial, facts["channels"], facts["classes"])
        accuracy = 0.0
        for epoch, _ in enumerate(training.epochs(model, parts.train, EPOCHS, search_until)):
            accuracy = score(model, problem.task, parts.validation, facts)["accuracy"]
            trial.report(accuracy, epoch)
            if trial.should_prune():
                raise optuna.TrialPruned
            if time.monotonic() > search_until:
                break
        return accuracy

    study = optuna.create_study(
        direction="maximize",
        sampler=optuna.samplers.TPESampler(seed=seed),
        pruner=optuna.pruners.MedianPruner(n_startup_trials=4),
    )
    study.optimize(objective, timeout=search_until - time.monotonic())
    torch.manual_seed(seed)
    model = model_of(
        optuna.trial.FixedTrial(study.best_params), facts["channels"], facts["classes"]
    )
    both = parts.train.joined(parts.validation)
    until = began + seconds - 5
    for _ in training.epochs(model, both, None, until):
        pass
    test = score(model, problem.task, parts.test, facts)
    return {
        "test": test,
        "params": sum(p.numel() for p in model.parameters()),
        "seconds": time.monotonic() - began,
        "processor": time.process_time() - used,
        "trials": len(study.trials),
        "architecture": study.best_params,
    }
