"""Transfer with few labels against training from nothing, as learning curves over labels.

    python benchmarks/transfer.py [--tasks NAME...] [--methods NAME...] [--labels 1 5 20 100]
        [--seeds 3] [--source 1000] [--source-epochs 12] [--steps 400] [--test 1000] [--side 112]
        [--rows FILE.jsonl] [--json FILE] [--picture FILE.svg]

Needs ``ARCHSMITH_DATA`` (CIFAR-10), Fashion-MNIST, and the extra ``pretrained``. Tasks:

- ``cifar10-classes``: a network is trained on six classes of CIFAR-10 (airplane, automobile, cat,
  deer, frog, truck) and goes to the other four (bird, dog, horse, ship).
- ``fashion-to-digits`` and ``digits-to-fashion``: pictures of both are brought to 28 x 28.

``source`` is how many pictures of each source class the network is trained on. Of the target only
``labels`` pictures a class are labelled; mean and spread of its pixels are those of all its
training pictures. The best epoch is chosen on the labelled pictures themselves, so that nothing
else is known. All methods of a seed get the same labels and the same ``test`` pictures.

- ``from nothing``: the same network with fresh weights.
- ``fine-tuned``: all its weights, with the rate of training from nothing. Batch normalisation
  follows the new pictures in the trained methods: with the statistics of the source, Fashion-MNIST
  to digits lost 8 points (78 against 86 % at 5 labels, one seed).
- ``gradual``: the same with layer-wise rates (0.7) and blocks that join one after the other.
- ``lora``: LoRA of rank 8 and a new head.
- ``linear probe``: logistic regression on the network's features.
- ``EfficientNet-Lite0``: logistic regression on features of ImageNet, pictures at ``side`` pixels.

Trainings of ``steps`` steps each. A row is written as soon as it is there, and what stands in
``rows`` is not computed again: the same command goes on where it was cut.
"""

from __future__ import annotations

import argparse
import io
import json
import math
import os
import platform
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

SOURCE, TARGET = (
    ("airplane", "automobile", "cat", "deer", "frog", "truck"),
    ("bird", "dog", "horse", "ship"),
)
TASKS = ("cifar10-classes", "fashion-to-digits", "digits-to-fashion")
METHODS = ("from nothing", "fine-tuned", "gradual", "lora", "linear probe", "EfficientNet-Lite0")
#: What a row depends on beside its own task, method, labels and seed.
SETTINGS = ("source", "source_epochs", "steps", "test", "side")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--tasks", nargs="+", default=list(TASKS), choices=TASKS)
    parser.add_argument("--methods", nargs="+", default=list(METHODS), choices=METHODS)
    parser.add_argument("--labels", nargs="+", type=int, default=[1, 5, 20, 100])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--source", type=int, default=1000)
    parser.add_argument("--source-epochs", type=int, default=12)
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--test", type=int, default=1000)
    parser.add_argument("--side", type=int, default=112)
    parser.add_argument("--rows", type=Path, default=Path("transfer-rows.jsonl"))
    parser.add_argument("--json", type=Path)
    parser.add_argument("--picture", type=Path)
    options = parser.parse_args()
    rows = measured(options)
    if options.json:
        told = {name: str(value) for name, value in vars(options).items()}
        document = {"machine": platform.platform(), "options": told, "rows": rows}
        options.json.write_text(json.dumps(document, indent=1), encoding="utf-8")
    if options.picture:
        options.picture.write_text(picture(rows, options), encoding="utf-8")
    print(report(rows, options))


def measured(options: argparse.Namespace) -> list[dict[str, Any]]:
    """All rows that are wanted: those in the file, and what is missing there, measured now."""
    import torch

    torch.set_num_threads(1)
    told = {name: getattr(options, name) for name in SETTINGS}
    known: dict[tuple[Any, ...], dict[str, Any]] = {}
    if options.rows.exists():
        for line in options.rows.read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            if row["settings"] != told:
                sys.exit(f"{options.rows} was made with {row['settings']}, not {told}")
            known[key_of(row)] = row
    wanted = [
        {"task": task, "seed": seed, "labels": labels, "method": method}
        for task in options.tasks
        for seed in range(options.seeds)
        for labels in options.labels
        for method in options.methods
    ]
    with options.rows.open("a", encoding="utf-8") as file:
        for place, row in enumerate(wanted, start=1):
            if key_of(row) not in known:
                began = time.process_time()
                accuracy = judge(options, **row)
                seconds = round(time.process_time() - began, 2)
                done = {**row, "accuracy": accuracy, "seconds": seconds, "settings": told}
                file.write(json.dumps(done) + "\n")
                file.flush()
                known[key_of(row)] = done
            told_so_far = f"{place} of {len(wanted)}: {row['task']}, {row['method']}"
            print(f"\r{told_so_far:<70}", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    return [known[key_of(row)] for row in wanted]


def key_of(row: dict[str, Any]) -> tuple[Any, ...]:
    return row["task"], row["seed"], row["labels"], row["method"]


def judge(options: argparse.Namespace, task: str, seed: int, labels: int, method: str) -> float:
    """Test accuracy in percent."""
    settings = tuple(getattr(options, name) for name in SETTINGS)
    data = target(task, seed, labels, options.test)
    if method == "EfficientNet-Lite0":
        return probe(data, features(task, options.side))
    if method == "linear probe":
        return probe(data, own_features(task, seed, settings))
    return trained(data, task, seed, method, settings)


def trained(data: Any, task: str, seed: int, method: str, settings: tuple[int, ...]) -> float:
    from archsmith.task.base import Recipe
    from archsmith.train import score, train
    from archsmith.transfer.tuning import FineTuning, fine_tune

    size = max(4, min(32, len(data.train)))
    steps = settings[SETTINGS.index("steps")]
    epochs = max(1, steps // math.ceil(len(data.train) / size))
    recipe = Recipe(epochs=epochs, batch_size=size, lr=6e-3, weight_decay=0.05, augment=True)
    if method == "from nothing":
        model = network(data.facts, seed)
        train(model, images_task(), data, recipe, seed=seed)
    else:
        blocks = 5
        tuning = {
            "fine-tuned": FineTuning(lr=6e-3),
            "gradual": FineTuning(
                lr=6e-3, layer_decay=0.7, unfreeze=max(1, epochs // (2 * blocks))
            ),
            "lora": FineTuning(lr=6e-3, batchnorm="adapt", adapter="lora"),
        }[method]
        start = source_network(task, seed, settings)
        model = fine_tune(start, images_task(), data, tuning, recipe=recipe, seed=seed).model
    return 100 * score(model, images_task(), data.test, data.facts)["accuracy"]


def probe(data: Any, embed: Callable[[Any], Any]) -> float:
    """Logistic regression on features of unit length."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import normalize

    model = LogisticRegression(C=100.0, max_iter=2000)
    model.fit(normalize(embed(data.train)), data.train.targets.numpy())
    return 100 * float(model.score(normalize(embed(data.test)), data.test.targets.numpy()))


def own_features(task: str, seed: int, settings: tuple[int, ...]) -> Callable[[Any], Any]:
    from archsmith.transfer.pretrained import ImageInput
    from archsmith.transfer.tuning import as_backbone

    facts = pictures(task)["facts"]
    found = as_backbone(source_network(task, seed, settings), ImageInput.of(facts))
    return lambda part: found.embed(part.inputs).numpy()


@lru_cache(maxsize=1)
def lite() -> Any:
    from archsmith.transfer.pretrained import backbone

    return backbone("efficientnet-lite0")


_SEEN: dict[tuple[str, int], dict[bytes, Any]] = {}


def features(task: str, side: int) -> Callable[[Any], Any]:
    """Embeddings of ImageNet's network; a picture that was seen before is not embedded again."""
    found = lite()
    found = replace(found, prepare=replace(found.prepare, size=(side, side)))
    seen = _SEEN.setdefault((task, side), {})

    def embed(part: Any) -> Any:
        keys = [picture.numpy().tobytes() for picture in part.inputs]
        fresh = [i for i, key in enumerate(keys) if key not in seen]
        if fresh:
            rows = found.embed(part.inputs[fresh]).numpy()
            seen.update(zip([keys[i] for i in fresh], rows, strict=True))
        return np.stack([seen[key] for key in keys])

    return embed


@lru_cache(maxsize=1)
def images_task() -> Any:
    from archsmith.task import task

    return task("image-classification")


def network(facts: dict[str, Any], seed: int) -> Any:
    """A residual network of about 100,000 weights, the same for all tasks."""
    from archsmith.space import Space
    from archsmith.zoo.convnet import convnet

    arguments = {name: facts[name] for name in ("channels", "classes", "height", "width")}
    space = Space(convnet, **arguments)
    answers: dict[str, Any] = {"stages": 3}
    for stage, width in (("stage1", 16), ("stage2", 32), ("stage3", 64)):
        answers |= {f"{stage}.width": width, f"{stage}.residual": True}
    answers["stage3.depth"] = 2
    return space.build(space.complete(answers), seed=seed)


@lru_cache(maxsize=4)
def source_network(task: str, seed: int, settings: tuple[int, ...]) -> Any:
    from archsmith.task.base import Recipe
    from archsmith.train import train

    many, epochs = (settings[SETTINGS.index(name)] for name in ("source", "source_epochs"))
    data = few(pictures(task, of="source"), seed, many, 500)
    model = network(data.facts, seed)
    recipe = Recipe(epochs=epochs, lr=6e-3, weight_decay=0.05, label_smoothing=0.05, augment=True)
    train(model, images_task(), data, recipe, seed=seed)
    return model.eval()


def target(task: str, seed: int, labels: int, test: int) -> Any:
    return few(pictures(task), seed, labels, test)


def few(found: dict[str, Any], seed: int, labels: int, test: int) -> Any:
    """Data with so many labelled pictures a class, on which the best epoch is chosen too."""
    import torch

    from archsmith.data.splits import TensorSplit
    from archsmith.task.base import Data

    rng = np.random.default_rng(seed)
    order = rng.permutation(len(found["labels"]))
    each = [order[found["labels"][order] == c][:labels] for c in range(found["facts"]["classes"])]
    short = min(map(len, each))
    if short < labels and labels <= 100:
        sys.exit(f"a class has {short} training pictures, not {labels}")
    chosen = np.concatenate(each)
    judged = np.random.default_rng(1234).permutation(len(found["test_labels"]))[:test]
    train, held = (
        TensorSplit(
            torch.from_numpy(found[f"{of}images"][at]), torch.from_numpy(found[f"{of}labels"][at])
        )
        for of, at in (("", chosen), ("test_", judged))
    )
    return Data("transfer", "transfer", "image-classification", train, train, held, found["facts"])


@lru_cache(maxsize=6)
def pictures(task: str, of: str = "target") -> dict[str, Any]:
    """Training and test pictures, labels, and facts of the source or the target of a task."""
    if task == "cifar10-classes":
        names = SOURCE if of == "source" else TARGET
        images, labels = cifar("train", names, 2500)
        test_images, test_labels = cifar("test", names, 1000)
    else:
        first, second = ("fashion-mnist", "digits")
        if task == "digits-to-fashion":
            first, second = second, first
        name = first if of == "source" else second
        names = tuple(map(str, range(10)))
        (images, labels), (test_images, test_labels) = registered(name)
    scaled = images[:5000].astype(np.float64) / 255
    facts = {
        "channels": images.shape[1],
        "height": images.shape[2],
        "width": images.shape[3],
        "classes": len(names),
        "class_names": list(names),
        "mean": scaled.mean((0, 2, 3)).tolist(),
        "std": scaled.std((0, 2, 3)).tolist(),
        "low": 0.0,
        "high": 255.0,
        "mirror": task == "cifar10-classes",
    }
    return {
        "images": images,
        "labels": labels,
        "test_images": test_images,
        "test_labels": test_labels,
        "facts": facts,
    }


@lru_cache(maxsize=2)
def registered(name: str, side: int = 28) -> tuple[tuple[Any, Any], tuple[Any, Any]]:
    """Training and test part as uint8 (n, 1, side, side) and labels."""
    import torch
    from torch.nn import functional as F

    from archsmith.task.base import ReadOptions

    data = images_task().read(name, ReadOptions())
    found = []
    for part in (data.train, data.test):
        images = part.inputs.float()
        if images.shape[2] != side:
            images = F.interpolate(images, (side, side), mode="bicubic", antialias=True)
        whole = images.round().clamp(0, 255).to(torch.uint8)
        found.append((whole.numpy(), part.targets.numpy()))
    return found[0], found[1]


def cifar(part: str, names: tuple[str, ...], each: int) -> tuple[Any, Any]:
    """The first ``each`` pictures of classes, uint8 (n, 3, 32, 32), and labels 0, 1, ..."""
    from PIL import Image

    with np.load(Path(os.environ["ARCHSMITH_DATA"]) / "cifar10_jpeg.npz") as packed:
        label, data, offsets = (packed[f"{part}_{kind}"] for kind in ("label", "jpeg", "offsets"))
        classes = [str(name) for name in packed["classes"]]
    images, labels = [], []
    for number, name in enumerate(names):
        for i in np.flatnonzero(label == classes.index(name))[:each]:
            with Image.open(io.BytesIO(data[offsets[i] : offsets[i + 1]].tobytes())) as opened:
                images.append(np.asarray(opened.convert("RGB")).transpose(2, 0, 1))
            labels.append(number)
    return np.stack(images), np.array(labels, dtype=np.int64)


def curves(rows: list[dict[str, Any]]) -> dict[str, dict[str, dict[int, list[float]]]]:
    found: dict[str, dict[str, dict[int, list[float]]]] = {}
    for row in rows:
        line = found.setdefault(row["task"], {}).setdefault(row["method"], {})
        line.setdefault(row["labels"], []).append(row["accuracy"])
    return found


def picture(rows: list[dict[str, Any]], options: argparse.Namespace) -> str:
    from archsmith.bench.learning import learning_picture

    return learning_picture(
        curves(rows),
        title="Transfer with few labels",
        subtitle=f"seeds: {options.seeds}; lines are means, bands one standard error",
    )


def report(rows: list[dict[str, Any]], options: argparse.Namespace) -> str:
    """A Markdown table for each task: test accuracy in percent, mean ± standard error."""
    from archsmith.bench.learning import mean_and_error

    lines = [
        f"{options.seeds} seeds, {options.steps} steps; source network: {options.source} pictures "
        f"a class, {options.source_epochs} epochs; test accuracy in %, mean ± standard error"
    ]
    for task, methods in curves(rows).items():
        heads = [f"{k} label{'s' * (k > 1)}" for k in options.labels]
        lines += [
            f"\n{task}\n",
            f"| method | {' | '.join(heads)} | s each |",
            "|---" * (len(heads) + 2) + "|",
        ]
        for method, line in methods.items():
            cells = ["{:.1f} ± {:.1f}".format(*mean_and_error(line[k])) for k in options.labels]
            own = [r["seconds"] for r in rows if (r["task"], r["method"]) == (task, method)]
            lines.append(f"| {method} | {' | '.join(cells)} | {np.mean(own):.1f} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
