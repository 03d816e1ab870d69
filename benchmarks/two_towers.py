"""Two towers: images of classes that only texts describe.

    python benchmarks/two_towers.py [--data digits fashion-mnist cifar10] [--seeds 3] [--json FILE]

(a) ``digits`` and Fashion-MNIST, tinted. Every image gets one of five colours and a text ("a photo
of a red coat", one of the prompts below by chance). Of the 50 combinations of colour and class ten
are held out, one of each class and two of each colour, so that training shows every word, but never
these words together. Towers: a small network of convolutions, and the mean of word embeddings;
neither has seen anything before.

(b) CIFAR-10. Two of the ten classes are held out; images of the other eight are paired with
prompts. The tower of images is a linear map of EfficientNet-Lite0 features (trained on ImageNet's
labels, so that the backbone has seen such things), the one of texts a linear map of MiniLM
embeddings: two models that never met, brought together by eight classes. Needs ``ARCHSMITH_DATA``
and the extra ``pretrained``.

"Unseen": images of held-out texts among held-out texts. "u" and "s": among all texts, images of
held-out and of shown ones; H is their harmonic mean. Class-averaged accuracy in %; intervals are
Student's, over seeds, each of which holds out others.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import time
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from zeroshot import mean, told

import archsmith as nas
from transfer import cifar, lite

PROMPTS = ("a {}", "a photo of a {}", "this is a {}", "one {} on black", "picture of the {}")
COLOURS = {
    "red": (1.0, 0.1, 0.1),
    "green": (0.1, 1.0, 0.1),
    "blue": (0.2, 0.2, 1.0),
    "yellow": (1.0, 1.0, 0.1),
    "white": (1.0, 1.0, 1.0),
}
DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
NAMES = {"digits": DIGITS, "fashion-mnist": None}
DATA = ("digits", "fashion-mnist", "cifar10")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", nargs="+", default=list(DATA), choices=DATA)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--examples", type=int, default=4000, help="training images, at most")
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--side", type=int, default=112, help="that CIFAR-10 is brought to")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    rows = []
    for name in options.data:
        problem = cifar10 if name == "cifar10" else tinted
        results = []
        for seed in range(options.seeds):
            began = time.process_time()
            results.append(problem(name, seed, options))
            spent = time.process_time() - began
            print(f"{name}, seed {seed}: {results[-1]}, {spent:.0f} s", file=sys.stderr, flush=True)
        columns = ("unseen", "u", "s", "H")
        rows.append(
            {"data": name, "each": results, "chance": results[0]["chance"]}
            | {c: mean([r[c] for r in results]) for c in columns}
        )
    if options.json:
        kept = {name: str(value) for name, value in vars(options).items()}
        document = {"machine": platform.platform(), "options": kept, "rows": rows}
        options.json.write_text(json.dumps(document, indent=1), encoding="utf-8")
    print(report(rows))


def tinted(name: str, seed: int, options: argparse.Namespace) -> dict[str, float]:
    """Combinations of a colour and a class that training has not shown."""
    from archsmith.task import task_for
    from archsmith.task.base import ReadOptions

    data = task_for(name).read(name, ReadOptions())
    classes = NAMES[name] or [each.lower() for each in data.facts["class_names"]]
    rng = np.random.default_rng(seed)
    held = rng.permutation(np.arange(len(classes)) % len(COLOURS))  # a colour for each class

    def coloured(part: Any, most: int) -> tuple[Tensor, Any, Any]:
        grey, labels = part.inputs[:most].float() / 255, part.targets[:most].numpy()
        colour = rng.integers(len(COLOURS), size=len(labels))
        tint = torch.tensor(list(COLOURS.values()))[torch.from_numpy(colour)]
        return grey * tint[:, :, None, None], labels, colour

    images, labels, colour = coloured(data.train, options.examples)
    shown = colour != held[labels]
    names = [f"{tone} {thing}" for thing in classes for tone in COLOURS]
    said = [
        rng.choice(PROMPTS).format(names[c * len(COLOURS) + t])
        for c, t in zip(labels[shown], colour[shown], strict=True)
    ]
    torch.manual_seed(seed)
    model = nas.TwoTower(image_tower(), nas.WordTower(said, 64), dim=64)
    nas.train_pairs(
        model,
        images[torch.from_numpy(shown)],
        said,
        nas.Recipe(epochs=options.epochs, batch_size=128, lr=3e-3),
        seed=seed,
    )
    tested, labels, colour = coloured(data.test, 2000)
    unseen = np.arange(len(classes)) * len(COLOURS) + held
    cosines = model.similarity(tested, names, PROMPTS).numpy()
    return judged(cosines, labels * len(COLOURS) + colour, unseen)


def image_tower() -> nn.Module:
    """(n, 3, height, width) to (n, 128)."""
    layers: list[nn.Module] = []
    for inside, outside in ((3, 32), (32, 64), (64, 128)):
        layers += [nn.Conv2d(inside, outside, 3, padding=1), nn.BatchNorm2d(outside), nn.ReLU()]
        layers.append(nn.MaxPool2d(2))
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten())


def cifar10(name: str, seed: int, options: argparse.Namespace) -> dict[str, float]:
    """Two classes that are known by their names alone."""
    rows, labels, count, classes = cifar_features(options.examples, options.side)
    rng = np.random.default_rng(seed)
    unseen = np.sort(rng.choice(len(classes), 2, replace=False))
    encode = cached_encoder(classes)
    known = np.flatnonzero(~np.isin(labels[:count], unseen))
    said = encode([rng.choice(PROMPTS).format(classes[label]) for label in labels[known]])
    torch.manual_seed(seed)
    model = nas.TwoTower(nn.Dropout(0.2), nn.Dropout(0.2), dim=128)
    nas.train_pairs(
        model,
        rows[torch.from_numpy(known)],
        said,
        nas.Recipe(epochs=options.epochs, batch_size=128, lr=1e-3, weight_decay=0.1),
        seed=seed,
    )
    model.eval()
    with torch.inference_mode():
        pictures = model.encode_images(rows[count:])
        texts = [
            model.encode_texts(encode([prompt.format(c) for prompt in PROMPTS])).mean(0)
            for c in classes
        ]
    return judged((pictures @ torch.stack(texts).T).numpy(), labels[count:], unseen)


_ENCODED: dict[str, Tensor] = {}


@lru_cache(maxsize=1)
def cifar_features(examples: int, side: int) -> tuple[Tensor, Any, int, tuple[str, ...]]:
    """Standardised features of training and test images, labels, how many are for training."""
    with np.load(Path(os.environ["ARCHSMITH_DATA"]) / "cifar10_jpeg.npz") as packed:
        classes = tuple(str(name) for name in packed["classes"])
    parts = [cifar("train", classes, examples // 10), cifar("test", classes, 100)]
    images = torch.from_numpy(np.concatenate([images for images, _ in parts]))
    found = lite()
    found = replace(found, prepare=replace(found.prepare, size=(side, side)))
    rows = found.embed(images)
    count = len(parts[0][1])
    rows = (rows - rows[:count].mean(0)) / (rows[:count].std(0) + 1e-6)
    return rows, np.concatenate([labels for _, labels in parts]), count, classes


def cached_encoder(classes: tuple[str, ...]) -> Any:
    """MiniLM embeddings of the prompts, each made once."""
    from archsmith.transfer.pretrained.text import text_encoder

    texts = [prompt.format(c) for c in classes for prompt in PROMPTS]
    if texts[0] not in _ENCODED:
        _ENCODED.update(zip(texts, text_encoder("minilm")(texts), strict=True))
    return lambda wanted: torch.stack([_ENCODED[text] for text in wanted])


def judged(cosines: Any, truth: Any, unseen: Any) -> dict[str, float]:
    """Class-averaged accuracies of (n, classes) cosines."""
    hidden = np.isin(truth, unseen)
    among = unseen[cosines[:, unseen].argmax(1)]
    every = cosines.argmax(1)

    def averaged(found: Any, rows: Any) -> float:
        classes = np.unique(truth[rows])
        return float(np.mean([(found[rows & (truth == c)] == c).mean() for c in classes]))

    u, s = averaged(every, hidden), averaged(every, ~hidden)
    return {
        "unseen": averaged(among, hidden),
        "u": u,
        "s": s,
        "H": 2 * u * s / max(u + s, 1e-9),
        "chance": 1 / len(unseen),
    }


def report(rows: list[dict[str, Any]]) -> str:
    """The table as Markdown."""
    lines = ["| data | chance | unseen (95 %) | u | s | H (95 %) |", "|---|---|---|---|---|---|"]
    lines += [
        f"| {row['data']} | {100 * row['chance']:.0f} | {told(row['unseen'], True)} | "
        f"{told(row['u'], False)} | {told(row['s'], False)} | {told(row['H'], True)} |"
        for row in rows
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
