"""Deep features on Fashion-MNIST: how fast they come, and what probes find at each depth.

    python benchmarks/features.py [--epochs 3] [--train 10000] [--test 5000] [--batch 256]
        [--data fashion-mnist] [--space convnet] [--seeds 3] [--json FILE]

For each seed the space's default network is trained for ``epochs`` on the whole training part.
Images a second: without a cache, with an empty one (the digest of model and inputs, and the file),
and with a full one, each the best of three. Probes are fitted on features of ``train`` training
images and scored on ``test`` test images, for each layer with weights, what goes into the
classifier, and the pixels; mean and standard deviation over seeds. The untrained network stands
beside the trained one: what training adds is the difference.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--train", type=int, default=10_000)
    parser.add_argument("--test", type=int, default=5_000)
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--data", default="fashion-mnist")
    parser.add_argument("--space", default="convnet")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    runs = [measure(options, seed) for seed in range(options.seeds)]
    document = {
        "machine": platform.platform(),
        "options": vars(options) | {"json": None},
        "runs": runs,
    }
    if options.json:
        options.json.write_text(json.dumps(document, indent=1), encoding="utf-8")
    print(report(runs, options))


def measure(options: argparse.Namespace, seed: int) -> dict[str, Any]:
    """One network: its speed, and the accuracies of probes by layer."""
    import torch

    from archsmith.history.trial import Fidelity
    from archsmith.task import task_for
    from archsmith.task.base import ReadOptions
    from archsmith.task.problem import open_space
    from archsmith.train import score, train

    torch.set_num_threads(1)
    task = task_for(options.data)
    data = task.read(options.data, ReadOptions())
    space = open_space(options.space, task.arguments(data.facts))
    model = space.build(space.default(), seed=seed)
    picked = torch.randperm(len(data.train), generator=torch.Generator().manual_seed(seed))
    picked = picked[: options.train]
    known = (data.train.inputs[picked], data.train.targets[picked])
    held = (data.test.inputs[: options.test], data.test.targets[: options.test])

    def prepare(inputs: Any) -> Any:
        return task.prepare(inputs, data.facts)

    print(f"seed {seed}: probes of the untrained network", file=sys.stderr)
    before = probes(model, prepare, known, held, options)
    if options.epochs:
        train(
            model,
            task,
            data,
            task.recipe(data),
            Fidelity(epochs=options.epochs),
            seed=seed,
            on_epoch=lambda row: print(
                f"seed {seed}: epoch {row['epoch']}, accuracy {row['accuracy']:.4f}",
                file=sys.stderr,
            ),
        )
    after = probes(model, prepare, known, held, options)
    return {
        "seed": seed,
        "accuracy": score(model, task, data.test, data.facts)["accuracy"],
        "speed": speed(model, prepare, known[0], options.batch),
        "untrained": before,
        "trained": after,
    }


def speed(model: Any, prepare: Any, images: Any, batch: int) -> dict[str, float]:
    """Images a second."""
    from archsmith import Features
    from archsmith.transfer.features.fingerprint import model_digest

    def fastest(run: Callable[[], object]) -> float:
        times = []
        for _ in range(3):
            start = time.perf_counter()
            run()
            times.append(time.perf_counter() - start)
        return len(images) / min(times)

    def fresh() -> None:
        with tempfile.TemporaryDirectory() as folder:
            Features(model, prepare=prepare, batch_size=batch, cache=folder)(images)

    plain = Features(model, prepare=prepare, batch_size=batch)
    plain(images[:batch])
    with tempfile.TemporaryDirectory() as folder:
        kept = Features(model, prepare=prepare, batch_size=batch, cache=folder)
        kept(images)
        warm = fastest(lambda: kept(images))
    return {
        "none": fastest(lambda: plain(images)),
        "cold": fastest(fresh),
        "warm": warm,
        "digest_ms": 1e3 * len(images) / fastest(lambda: model_digest(model)),
    }


def probes(
    model: Any, prepare: Any, known: Any, held: Any, options: argparse.Namespace
) -> list[dict[str, Any]]:
    """Accuracies of probes on the pixels, on each layer with weights and before the classifier."""
    from archsmith import Features, probe

    features = Features(model, prepare=prepare, batch_size=options.batch)
    listed = [layer.name for layer in features.layers(known[0][:3]) if layer.weights]
    names = [*listed[:-1], features.layer or ""]
    one, two = (features.at(part[0], names) for part in (known, held))
    pixels = [prepare(part[0].clone()).flatten(1) for part in (known, held)]
    rows = []
    for name in ["pixels", *names]:
        given = pixels if name == "pixels" else [one[name], two[name]]
        print(f"probes of {name or 'the output'}", file=sys.stderr)
        scores = probe(given[0], known[1], given[1], held[1])
        row = {"layer": name, "features": given[0].shape[1]}
        rows.append(row | {score.probe: score.accuracy for score in scores})
    return rows


def report(runs: list[dict[str, Any]], options: argparse.Namespace) -> str:
    """Tables as Markdown."""
    kinds = ("linear", "centroid", "knn")

    def told(values: list[float]) -> str:
        spread = f" ± {100 * statistics.stdev(values):.1f}" if len(values) > 1 else ""
        return f"{100 * statistics.mean(values):.1f}{spread}"

    def middle(key: str) -> float:
        return statistics.median(run["speed"][key] for run in runs)

    lines = [
        f"{options.data}, the default of `{options.space}` after {options.epochs} epochs: test "
        f"accuracy {told([run['accuracy'] for run in runs])} %, {len(runs)} seeds; probes on "
        f"{options.train:,} training and {options.test:,} test images\n",
        "| layer | features | "
        + " | ".join(f"{k}, untrained | {k}, trained" for k in kinds)
        + " |",
        "|---|---|" + "---|" * (2 * len(kinds)),
    ]
    for place, row in enumerate(runs[0]["trained"]):
        cells = [
            told([run[state][place][kind] for run in runs])
            for kind in kinds
            for state in ("untrained", "trained")
        ]
        name = row["layer"] or "(the output)"
        lines.append(f"| `{name}` | {row['features']} | {' | '.join(cells)} |")
    lines += [
        "\n| features of the penultimate layer | images/s |",
        "|---|---|",
        f"| no cache | {middle('none'):,.0f} |",
        f"| empty cache | {middle('cold'):,.0f} |",
        f"| full cache | {middle('warm'):,.0f} |",
        f"\nThe digest of the model takes {middle('digest_ms'):.1f} ms.",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
