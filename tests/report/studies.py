"""Plausible studies for the report, made without training anything."""

from __future__ import annotations

import io
import math
import random

import torch
from PIL import Image, ImageDraw

from archsmith.history.objective import Limit, Metric, Objective
from archsmith.history.trial import Fidelity, History, State, Trial
from archsmith.history.trust import Trust
from archsmith.history.trust_facts import Judged, Outcome
from archsmith.report.content import FinalistRow, ReportContent, SupernetFacts, decision_rows
from archsmith.report.diagram import trace_graph
from archsmith.space.architecture import Architecture

from .models import ResNet

ACCURACY = Objective("accuracy", "maximize")
LATENCY = Objective("latency_ms", "minimize")
METRICS = (Metric("accuracy", "", "maximize"), Metric("loss", "", "minimize"))
DEFAULT = Architecture(
    {"width": 16, "depth": 2, "kernel": 3, "residual": True, "activation": "relu"}
)


def curve(final: float, epochs: int, rng: random.Random) -> list[dict[str, float]]:
    rows = []
    for epoch in range(1, epochs + 1):
        left = math.exp(-3.2 * epoch / epochs)
        rows.append(
            {
                "epoch": float(epoch),
                "train_loss": 0.05 + 2.2 * left + rng.gauss(0, 0.02),
                "accuracy": final - 0.5 * left * (1 - 0.3 * rng.random()),
                "loss": 0.08 + 1.6 * left,
            }
        )
    return rows


def trial(number: int, rng: random.Random) -> Trial:
    """A trial whose accuracy rises with size and with the search, and whose latency with size."""
    answers = {
        "width": rng.choice([8, 16, 24, 32, 48]),
        "depth": rng.choice([1, 2, 3, 4]),
        "kernel": rng.choice([3, 5]),
        "residual": rng.random() < 0.7,
        "activation": rng.choice(["relu", "gelu", "silu"]),
    }
    size = answers["width"] ** 2 * answers["depth"] * answers["kernel"] ** 2
    metrics = {"params": float(size + 650), "flops": size * 784.0 * 2, "memory_mb": size / 9e4}
    made = Trial(number, Architecture(answers), Fidelity(8), seed=number * 7919, attempts=1)
    made.started = 1_760_000_000.0 + 14 * number
    made.ended = made.started + 4 + size / 2e4 + rng.random()
    made.note = "random" if number < 10 else f"mutation of {rng.randrange(number)}"
    made.metrics = metrics
    if number % 17 == 5:
        made.state, made.reason = State.FAILED, "loss nan in epoch 3"
    elif size > 120_000:
        made.state, made.reason = State.PRUNED, "limit params<=120k broken"
    else:
        score = (
            0.965
            + 0.006 * math.log10(size)
            + 0.004 * min(1, number / 30)
            - 0.012
            + rng.gauss(0, 0.003)
        )
        score = 0.112 if number == 3 else min(0.9972, score)
        metrics |= {"accuracy": score, "loss": 0.9 - 0.85 * score, "latency_ms": 0.21 + size / 6e4}
        made.state, made.curve = State.FINISHED, curve(score, 8, rng)
    return made


def study(
    count: int = 40, objectives: tuple[Objective, ...] = (ACCURACY, LATENCY), seed: int = 0
) -> ReportContent:
    """A finished study of ``count`` trials with everything that a report can hold."""
    rng = random.Random(seed)
    history = History(objectives, [Limit("params", "<=", 120_000)])
    for number in range(count):
        made = trial(number, rng)
        history.add(made)
        history.close(made)
    best = history.best()
    assert best is not None
    model = ResNet(best.architecture["width"], 3)
    return ReportContent(
        title="convnet on digits",
        objectives=objectives,
        trials=history.trials,
        limits=history.limits,
        summary=(
            "digits: 1,797 grey images of 8×8 pixels in 10 classes",
            "train 1,077, validation 360, test 360, split by class with seed 0",
            "normalised with mean 4.88 and spread 6.02 of the training part",
        ),
        command="archsmith search digits --space convnet --strategy evolution --maximize accuracy "
        f"--minimize latency_ms --limit 'params<=120k' --trials {count} --seed {seed} "
        "--run runs/digits",
        best=best.number,
        front=[t.number for t in history.front()],
        finalists=finalists(rng, best),
        graph=trace_graph(model, torch.zeros(1, 1, 28, 28)),
        decisions=decision_rows({**best.architecture, "head.dropout": 0.1}, DEFAULT),
        predictions=picture(),
        environment={
            "archsmith": "0.1.0",
            "torch": "2.13.0+cpu",
            "python": "3.11.9",
            "device": "CPU, 2 threads",
            "machine": "Linux x86_64",
        },
        seed=seed,
        progress=f"{count} of {count} trials",
        planned=count,
        warnings=[
            f"trial {t.number} failed: {t.reason}" for t in history.trials if t.state == "failed"
        ],
        metrics=METRICS,
        seconds=421.7,
        created="14 October 2025, 16:20",
    )


def finalists(rng: random.Random, best: Trial) -> tuple[FinalistRow, ...]:
    costs = {k: best.metrics[k] for k in ("params", "flops", "memory_mb", "latency_ms")}
    return (
        FinalistRow(
            "best of the search",
            {"accuracy": 0.9944, "loss": 0.0312},
            {"accuracy": 0.9917, "loss": 0.0391},
            costs,
            18.4,
            curve(0.9944, 30, rng),
        ),
        FinalistRow(
            "default",
            {"accuracy": 0.9806, "loss": 0.0702},
            {"accuracy": 0.9778, "loss": 0.0834},
            {"params": 9_866.0, "flops": 1.21e6, "memory_mb": 0.04, "latency_ms": 0.24},
            11.2,
            curve(0.9806, 30, rng),
        ),
    )


def picture() -> bytes:
    """A grid of grey squares as PNG."""
    image = Image.new("RGB", (640, 160), "white")
    draw = ImageDraw.Draw(image)
    for i in range(16):
        x, y = 80 * (i % 8) + 8, 80 * (i // 8) + 8
        draw.rectangle((x, y, x + 56, y + 56), fill=(40 + 10 * i,) * 3)
        draw.text((x, y + 58), f"{i % 10}", fill="black")
    held = io.BytesIO()
    image.save(held, "PNG")
    return held.getvalue()


OPERATIONS = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")


def trust(
    count: int = 60,
    noise: float = 0.35,
    *,
    floor: float | None = None,
    decisions: int = 6,
    seed: int = 0,
) -> Trust:
    """Shared weights that rank ``count`` architectures with so much noise.

    Args:
        noise: spread of the shared score beside the spread of the true one.
        floor: true scores above this share of the range look alike to the shared weights.
        decisions: in the visits.
    """
    rng = random.Random(seed)
    sample = []
    for number in range(count):
        true = rng.random()
        seen = true if floor is None else min(true, floor)
        shared = 0.30 + 0.3 * seen + 0.1 * noise * rng.gauss(0, 1)
        raw = 0.12 + 0.1 * seen + 0.12 * noise * rng.gauss(0, 1)
        sample.append(Judged(f"arch{number:03d}", shared, 0.86 + 0.08 * true, raw))
    visits = {
        f"edge{n}": {name: 1560 + rng.randrange(-60, 60) for name in OPERATIONS}
        for n in range(decisions)
    }
    return Trust.of(
        ACCURACY,
        sample,
        "trained for 8 epochs each",
        visits=visits,
        chosen=Judged("chosen", 0.585, 0.9325, 0.2),
        found=Outcome(0.9436, 3, 1184.0, "chosen"),
        random=Outcome(0.9391, 12, 1207.0, "arch007"),
        seed=seed,
    )


def supernet(method: str = "spos", epochs: int = 40) -> SupernetFacts:
    """The training of shared weights."""
    rng = random.Random(1)
    rows = [
        {"epoch": e, "train_loss": 0.9 + 1.4 * math.exp(-3 * e / epochs) + rng.gauss(0, 0.02)}
        for e in range(1, epochs + 1)
    ]
    if method == "darts":
        for row in rows:
            done = row["epoch"] / epochs
            row |= {"entropy": 1 - 0.7 * done, "parameter_free": min(0.9, 0.2 + done**2)}
    stopped = "skip connections win: 4 of 6 edges are parameter-free" if method == "darts" else ""
    return SupernetFacts(method, epochs, 812.4, 1_284_330, rows, stopped)
