"""Zero-shot learning: image classes by stated attributes, text classes by their names.

(a) ``digits`` and Fashion-MNIST. Each class is described by the attributes below, which were
written down from looking at the classes, before any result. In each split two or three classes are
unseen: a small network is trained by archsmith's own trainer on the seen classes alone, its
features are taken, and every method learns from the seen classes' training examples. Accuracy is
class-averaged; intervals are over splits (Student's t; splits share classes, so that they are
somewhat too narrow).

(b) TREC's question types and the sentiment of film reviews (MR, SST-2), by MiniLM embeddings of the
names or sentences below, without a training example. Intervals are Wilson's, over examples. Needs
``ARCHSMITH_DATA`` and the extras ``pretrained`` and ``data``.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import os
import platform
import random
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

#: What a digit looks like: 1 has it, 0.5 somewhat or by some writers, and what is not listed 0.
DIGITS: dict[str, dict[str, float]] = {
    "0": {"one large loop": 1, "curved top": 1, "curved bottom": 1, "straight sides": 0.5},
    "1": {"one long vertical stroke": 1, "narrow": 1, "straight sides": 1},
    "2": {
        "curved top": 1,
        "open to the left above": 1,
        "open to the right below": 1,
        "bar at the bottom": 1,
        "slanted stroke": 1,
    },
    "3": {
        "curved top": 1,
        "curved bottom": 1,
        "open to the left above": 1,
        "open to the left below": 1,
        "bar in the middle": 0.5,
    },
    "4": {
        "bar in the middle": 1,
        "one long vertical stroke": 0.5,
        "slanted stroke": 0.5,
        "open at the top": 1,
        "straight sides": 0.5,
    },
    "5": {
        "bar at the top": 1,
        "curved bottom": 1,
        "open to the right above": 1,
        "open to the left below": 1,
    },
    "6": {
        "loop below": 1,
        "curved bottom": 1,
        "open to the right above": 1,
        "open at the top": 0.5,
    },
    "7": {
        "bar at the top": 1,
        "slanted stroke": 1,
        "open to the left below": 1,
        "bar in the middle": 0.5,
        "narrow": 0.5,
    },
    "8": {"loop above": 1, "loop below": 1, "curved top": 1, "curved bottom": 1, "narrow": 0.5},
    "9": {
        "loop above": 1,
        "curved top": 1,
        "open to the left below": 1,
        "one long vertical stroke": 0.5,
    },
}
FASHION: dict[str, dict[str, float]] = {
    "T-shirt/top": {"worn on the torso": 1, "short sleeves": 1, "wide": 1},
    "Trouser": {"covers the legs": 1, "two legs": 1, "long": 1, "narrow": 1},
    "Pullover": {"worn on the torso": 1, "long sleeves": 1, "wide": 1, "thick": 0.5},
    "Dress": {
        "worn on the torso": 1,
        "covers the legs": 0.5,
        "long": 1,
        "narrow": 0.5,
        "short sleeves": 0.5,
        "waist": 1,
    },
    "Coat": {
        "worn on the torso": 1,
        "long sleeves": 1,
        "opens at the front": 1,
        "long": 0.5,
        "wide": 1,
        "collar": 0.5,
        "thick": 1,
    },
    "Sandal": {"footwear": 1, "flat and low": 1, "gaps": 1, "heel": 0.5},
    "Shirt": {
        "worn on the torso": 1,
        "long sleeves": 0.5,
        "short sleeves": 0.5,
        "opens at the front": 1,
        "wide": 1,
        "collar": 1,
    },
    "Sneaker": {"footwear": 1, "flat and low": 1, "closed toe": 1},
    "Bag": {"handle": 1, "wide": 1, "flat and low": 0.5, "a box": 1},
    "Ankle boot": {"footwear": 1, "covers the ankle": 1, "closed toe": 1, "heel": 0.5},
}
DESCRIBED = {"digits": DIGITS, "fashion-mnist": FASHION}

#: What stands for the classes of a text data set: names, and sentences of its kind.
TEXTS: dict[str, dict[str, list[str]]] = {
    "TREC": {
        "names": ["description", "entity", "abbreviation", "human", "location", "number"],
        "sentences": [
            "a question that asks for a definition, a description, a reason or a manner",
            "a question that asks for a thing: an animal, a food, a product, a work or an event",
            "a question that asks what an abbreviation or acronym stands for",
            "a question that asks who: a person, a group or a company",
            "a question that asks where: a city, a country, a mountain or a place",
            "a question that asks for a number: how many, how much, how long, or when",
        ],
    },
    "MR": {
        "names": ["negative", "positive"],
        "sentences": [
            "a negative film review: this film is bad, boring and a waste of time",
            "a positive film review: this film is good, moving and worth seeing",
        ],
    },
}
TEXTS["SST2"] = TEXTS["MR"]
#: Prompts whose embeddings are averaged, for names.
PROMPTS = {
    "TREC": ("{}", "a question about a {}", "the answer is a {}"),
    "MR": ("{}", "a {} review", "the film was {}"),
}
PROMPTS["SST2"] = PROMPTS["MR"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--datasets", nargs="*", default=list(DESCRIBED), choices=list(DESCRIBED))
    parser.add_argument("--texts", nargs="*", default=list(TEXTS), choices=list(TEXTS))
    parser.add_argument("--methods", nargs="+", help="all that learn a map if left out")
    parser.add_argument("--splits", type=int, default=12, help="half with 2 unseen, half with 3")
    parser.add_argument("--examples", type=int, default=3000, help="training images, at most")
    parser.add_argument("--epochs", type=int, help="8 for digits, 4 for Fashion-MNIST if left out")
    parser.add_argument("--sentences", type=int, default=1000, help="texts to test on, at most")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    import torch

    torch.set_num_threads(1)
    images = [row for name in options.datasets for row in of_images(name, options)]
    texts = [row for name in options.texts for row in of_texts(name, options)]
    if options.json:
        told = {name: str(value) for name, value in vars(options).items()}
        document = {
            "machine": platform.platform(),
            "options": told,
            "images": images,
            "texts": texts,
            "attributes": DESCRIBED,
            "prompts": PROMPTS,
            "sentences": TEXTS,
        }
        options.json.write_text(json.dumps(document, indent=1), encoding="utf-8")
    print(report(images, texts))


def attributes(name: str) -> tuple[np.ndarray[Any, Any], list[str]]:
    """Descriptions (10, a) of the classes in the order of their labels, and the attributes."""
    classes = DESCRIBED[name]
    names = sorted({attribute for own in classes.values() for attribute in own})
    return np.array([[own.get(a, 0.0) for a in names] for own in classes.values()]), names


def splits(options: argparse.Namespace) -> list[tuple[int, ...]]:
    """Different sets of unseen classes, as many with two as with three."""
    rng = random.Random(options.seed)
    found: list[tuple[int, ...]] = []
    for size in (2, 3):
        every = list(itertools.combinations(range(10), size))
        found += rng.sample(every, (options.splits + (size == 2)) // 2)
    return found


def of_images(name: str, options: argparse.Namespace) -> list[dict[str, Any]]:
    """A row a method and number of unseen classes."""
    from archsmith.task import task_for
    from archsmith.task.base import ReadOptions
    from archsmith.transfer.zeroshot import evaluate_zero_shot, zero_shot

    methods = options.methods or [n for n in zero_shot.names() if n != "nearest"]
    data = task_for(name).read(name, ReadOptions())
    described, _ = attributes(name)
    results: list[dict[str, Any]] = []
    for place, unseen in enumerate(splits(options)):
        began = time.perf_counter()
        problem = features(data, described, unseen, options)
        for method in methods:
            print(f"\r{name} split {place + 1} {unseen} {method:<10}", end="", file=sys.stderr)
            result = evaluate_zero_shot(zero_shot.get(method)(seed=options.seed), problem)
            results.append(result.to_json() | {"unseen": unseen})
        print(f" {time.perf_counter() - began:.0f} s", file=sys.stderr)
    rows = []
    for method, size in itertools.product(methods, (2, 3)):
        own = [r for r in results if r["method"] == method and len(r["unseen"]) == size]
        rows.append(
            {"data": name, "method": method, "unseen": size, "splits": len(own), "chance": 1 / size}
            | summary(own)
            | {"each": own}
        )
    return rows


def features(
    data: Any, described: Any, unseen: tuple[int, ...], options: argparse.Namespace
) -> Any:
    """The problem of one split: features of a network that saw no unseen class."""
    import torch

    from archsmith.data.splits import TensorSplit
    from archsmith.history.trial import Fidelity
    from archsmith.task import task
    from archsmith.task.base import Data
    from archsmith.task.problem import open_space
    from archsmith.train import train
    from archsmith.transfer.zeroshot import ZeroShotData
    from archsmith.zoo.convnet import convnet

    seen = [c for c in range(10) if c not in unseen]
    number = torch.full((10,), -1).index_copy(0, torch.tensor(seen), torch.arange(len(seen)))

    def of_seen(part: TensorSplit, most: int) -> TensorSplit:
        inside = torch.nonzero(number[part.targets] >= 0)[:most, 0]
        return TensorSplit(part.inputs[inside], number[part.targets[inside]])

    judge = task(data.task)
    facts = data.facts | {"classes": len(seen), "class_names": [str(c) for c in seen]}
    small = Data(
        data.name,
        data.source,
        data.task,
        of_seen(data.train, options.examples),
        of_seen(data.validation, 1000),
        of_seen(data.test, 1000),
        facts,
    )
    space = open_space(convnet, judge.arguments(facts))
    model = space.build(space.default(), seed=options.seed)
    epochs = options.epochs or (8 if data.name == "digits" else 4)
    train(model, judge, small, judge.recipe(small), Fidelity(epochs=epochs), seed=options.seed)
    # Where something lies matters for the attributes, so that four quarters are pooled by itself.
    body = torch.nn.Sequential(
        *list(model.children())[:-1], torch.nn.AdaptiveAvgPool2d(2), torch.nn.Flatten()
    ).eval()
    tests = min(len(data.test), 1500)
    fresh, labels = data.test.inputs[:tests], data.test.targets[:tests]
    if data.name == "digits":  # so few that all examples of unseen classes are tested on
        unused = TensorSplit(
            torch.cat([data.train.inputs, data.validation.inputs]),
            torch.cat([data.train.targets, data.validation.targets]),
        )
        hidden = torch.nonzero(number[unused.targets] < 0)[:, 0]
        fresh = torch.cat([fresh, unused.inputs[hidden]])
        labels = torch.cat([labels, unused.targets[hidden]])
    known, count = small.train, len(small.train)
    with torch.inference_mode():
        inputs = torch.cat([known.inputs, fresh])
        rows = torch.cat([body(judge.prepare(part, facts)) for part in torch.split(inputs, 512)])
    numbers = torch.cat([torch.tensor(seen)[known.targets], labels]).numpy()
    tested = np.arange(count, len(numbers))
    out = np.isin(numbers[tested], unseen)
    return ZeroShotData(
        rows.numpy(),
        numbers,
        described,
        tuple(DESCRIBED[data.name]),
        np.arange(count),
        tested[~out],
        tested[out],
    )


def summary(results: list[dict[str, Any]]) -> dict[str, Any]:
    """Means over splits with 95 % intervals, of what each split measured."""
    found: dict[str, Any] = {}
    for key, path in {
        "accuracy": ("accuracy",),
        **{
            f"{kind}_{part}": (kind, part)
            for kind in ("generalised", "calibrated")
            for part in ("unseen", "seen", "harmonic")
        },
    }.items():
        values = [value_at(result, path) for result in results]
        found[key] = mean([v for v in values if v is not None])
    found["ausuc"] = mean([result["ausuc"] for result in results])
    found["seconds"] = float(np.mean([result["seconds"] for result in results]))
    return found


def value_at(result: dict[str, Any], path: tuple[str, ...]) -> float | None:
    inner: Any = result
    for key in path:
        inner = inner[key] if inner else None
    return inner["value"] if inner else None


def mean(values: list[float]) -> dict[str, float] | None:
    """Mean and Student's interval."""
    from scipy.stats import t

    if len(values) < 2:
        return {"value": values[0], "low": math.nan, "high": math.nan} if values else None
    centre, spread = float(np.mean(values)), float(np.std(values, ddof=1))
    half = float(t.ppf(0.975, len(values) - 1)) * spread / math.sqrt(len(values))
    return {"value": centre, "low": centre - half, "high": centre + half}


def of_texts(name: str, options: argparse.Namespace) -> list[dict[str, Any]]:
    """A row a way of saying what the classes are."""
    import pandas as pd

    from archsmith.transfer.zeroshot.measure import class_accuracy
    from archsmith.transfer.zeroshot.text import ZeroShotText

    table = pd.read_parquet(Path(os.environ["ARCHSMITH_DATA"]) / "text_classification.parquet")
    table = table[table["dataset"] == name]
    if (table["split"] == "test").any():
        table = table[table["split"] == "test"]
    table = table.sample(min(options.sentences, len(table)), random_state=options.seed)
    texts, labels = table["text"].tolist(), table["label"].to_numpy().astype(np.int64)
    encode = minilm()
    print(f"{name}: {len(texts)} texts", file=sys.stderr)
    known = encode(texts)
    rows = []
    for way, own, prompts in (
        ("names", TEXTS[name]["names"], ("{}",)),
        ("names in prompts", TEXTS[name]["names"], PROMPTS[name]),
        ("sentences", TEXTS[name]["sentences"], ("{}",)),
    ):
        classes = ZeroShotText(own, encode, prompts)
        classes.encoder = lambda _: known  # encoded once
        accuracy = class_accuracy(classes.predict(texts), labels)
        rows.append(
            {
                "data": name,
                "way": way,
                "texts": len(texts),
                "chance": 1 / len(own),
                "accuracy": accuracy._asdict(),
            }
        )
    return rows


def minilm() -> Any:
    from archsmith.transfer.pretrained.text import text_encoder

    return text_encoder("minilm")


def report(images: list[dict[str, Any]], texts: list[dict[str, Any]]) -> str:
    """Both tables as Markdown, in percent."""
    lines = []
    for name, size in dict.fromkeys((row["data"], row["unseen"]) for row in images):
        own = [row for row in images if (row["data"], row["unseen"]) == (name, size)]
        lines += [
            f"\n{name}, {size} unseen classes, {own[0]['splits']} splits, chance "
            f"{100 / size:.1f} %\n",
            "| method | unseen (95 %) | u | s | H (95 %) | calibrated u | s | H (95 %) | AUSUC "
            "| s a fit |",
            "|---|---|---|---|---|---|---|---|---|---|",
        ]
        for row in sorted(own, key=lambda r: -r["accuracy"]["value"]):
            parts = [
                told(row[f"{kind}_{part}"], part == "harmonic")
                for kind in ("generalised", "calibrated")
                for part in ("unseen", "seen", "harmonic")
            ]
            lines.append(
                f"| {row['method']} | {told(row['accuracy'], True)} | {' | '.join(parts)} "
                f"| {row['ausuc']['value']:.3f} | {row['seconds']:.2f} |"
            )
    if texts:
        lines += ["\n| texts | classes by | chance | accuracy (95 %) |", "|---|---|---|---|"]
    for row in texts:
        lines.append(
            f"| {row['data']} ({row['texts']}) | {row['way']} | {100 * row['chance']:.1f} "
            f"| {told(row['accuracy'], True)} |"
        )
    return "\n".join(lines)


def told(share: dict[str, float] | None, interval: bool) -> str:
    if share is None:
        return "–"
    text = f"{100 * share['value']:.1f}"
    if interval and not math.isnan(share["low"]):
        low, high = max(0.0, share["low"]), min(1.0, share["high"])
        text += f" ({100 * low:.0f} to {100 * high:.0f})"
    return text


if __name__ == "__main__":
    main()
