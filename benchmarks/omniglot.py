"""Few-shot learners on Omniglot: every method on the same episodes of unseen alphabets.

    python benchmarks/omniglot.py [--methods NAME...] [--steps 6000 | --seconds S] [--ways 20]
        [--queries 5] [--lr 0.002] [--plain] [--episodes 1000] [--pairs 200] [--seed 0]
        [--json FILE]

Needs ``ARCHSMITH_DATA``. Drawings are reduced to 28x28. The last three alphabets by name (Latin,
Sanskrit, Tagalog: 85 characters) are for testing, the other five (157 characters) for training; a
character turned by 90, 180 or 270 degrees is a class of its own in both.

Learners of features share one Conv-4 (four times convolution, BatchNorm, ReLU, pooling; 64 values)
that is trained by the prototypical loss; ``matching``, ``relation``, ``siamese`` and ``ridge`` each
train one of their own in the same way; ``maml``, ``fomaml`` and ``anil`` train a classifier for 5
and one for 20 ways (strided convolutions and GroupNorm). ``pixels`` is the nearest neighbour
without any learning. ``--seconds`` trains each for about that long instead of ``--steps``.

The first table has 5 and 20 ways, 1 and 5 shots, 15 queries a class (5 where the learner adapts and
there are 20 ways). The second is the one-shot test within alphabets: 20 characters by one drawer
against the same by another, not turned, ``--pairs`` episodes of each alphabet that has 20.

Rows are written to ``--json`` as they come.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F

import archsmith as nas

TEST = ("Latin", "Sanskrit", "Tagalog")
SETTINGS = ((5, 1), (5, 5), (20, 1), (20, 5))
ADAPTING = ("maml", "fomaml", "anil")
OWN = ("matching", "relation", "siamese", "ridge")
FEATURES = (
    "prototypical",
    "nearest-neighbour",
    "simpleshot",
    "simpleshot-cl2n",
    "fine-tuning",
    "baseline++",
    "mahalanobis",
    "label-propagation",
)
METHODS = ("pixels", *FEATURES, *OWN, *ADAPTING)
#: Accuracies in % as published, on the whole of Omniglot: 5-way and 20-way, 1 and 5 shots.
PUBLISHED = {
    "prototypical": (98.8, 99.7, 96.0, 98.9),
    "matching": (98.1, 98.9, 93.8, 98.5),
    "relation": (99.6, 99.8, 97.6, 99.1),
    "siamese": (97.3, 98.4, 88.2, 97.0),
    "maml": (98.7, 99.9, 95.8, 98.9),
    "ridge": (98.6, 99.7, 94.7, 98.9),
}


@dataclass
class Drawings:
    """Drawings (n, 1, 28, 28) in [0, 1], ink being 1, and what is known of each, (n,)."""

    images: Tensor
    character: Any
    alphabet: Any
    drawer: Any
    turn: Any

    def where(self, kept: Any) -> Drawings:
        index = np.flatnonzero(kept)
        others = (self.character[index], self.alphabet[index], self.drawer[index])
        return Drawings(self.images[torch.from_numpy(index)], *others, self.turn[index])

    @property
    def labels(self) -> Any:
        """Class of each drawing: a character, turned."""
        return np.char.add(self.character, np.char.mod("@%d", self.turn))


def read(side: int = 28) -> Drawings:
    """All drawings, each in four turns."""
    with np.load(Path(os.environ["ARCHSMITH_DATA"]) / "omniglot_small.npz") as packed:
        height, width = packed["image_shape"]
        bits = np.unpackbits(packed["images_packed"], axis=1)[:, : height * width]
        alphabet, character = packed["alphabet"], packed["character"]
    small = [
        np.asarray(
            Image.fromarray(255 * one).resize((side, side), Image.Resampling.BOX), np.float32
        )
        for one in bits.reshape(-1, height, width)
    ]
    images = torch.from_numpy(np.stack(small))[:, None] / 255
    turned = torch.cat([torch.rot90(images, k, (2, 3)) for k in range(4)])
    drawer = np.arange(len(images)) % 20
    four = (np.tile(each, 4) for each in (character, alphabet, drawer))
    return Drawings(turned, *four, np.repeat(np.arange(4) * 90, len(images)))


def conv4(seed: int) -> nn.Module:
    """The embedding of the papers: (n, 1, 28, 28) to (n, 64)."""
    layers: list[nn.Module] = []
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        for inside in (1, 64, 64, 64):
            layers += [nn.Conv2d(inside, 64, 3, padding=1), nn.BatchNorm2d(64)]
            layers += [nn.ReLU(inplace=True), nn.MaxPool2d(2)]
        return nn.Sequential(*layers, nn.Flatten())


def classifier(ways: int, seed: int) -> nn.Module:
    """The classifier of the MAML paper: strided convolutions; (n, 1, 28, 28) to (n, ways)."""
    layers: list[nn.Module] = []
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        for inside in (1, 64, 64, 64):
            layers += [nn.Conv2d(inside, 64, 3, stride=2, padding=1), nn.GroupNorm(8, 64)]
            layers.append(nn.ReLU(inplace=True))
        layers += [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, ways)]
        return nn.Sequential(*layers)


def bend(images: Tensor, generator: torch.Generator) -> Tensor:
    """Each drawing turned, stretched, slanted and moved a little."""
    count = len(images)

    def uniform(most: float) -> Tensor:
        return (2 * torch.rand(count, generator=generator) - 1) * most

    angle, slant = uniform(math.radians(15)), uniform(0.2)
    across, along = uniform(0.15).exp(), uniform(0.15).exp()
    rows = (
        torch.stack([across * angle.cos(), slant - along * angle.sin(), uniform(0.1)], dim=1),
        torch.stack([across * angle.sin(), along * angle.cos(), uniform(0.1)], dim=1),
    )
    grid = F.affine_grid(torch.stack(rows, dim=1), list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, align_corners=False)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--methods", nargs="+", default=list(METHODS), choices=METHODS)
    parser.add_argument("--steps", type=int, default=6000, help="training episodes")
    parser.add_argument("--seconds", type=float, help="of each training, instead of --steps")
    parser.add_argument("--ways", type=int, default=20, help="of training episodes")
    parser.add_argument("--queries", type=int, default=5, help="of training episodes")
    parser.add_argument("--lr", type=float, default=2e-3)
    parser.add_argument("--plain", action="store_true", help="train without bending drawings")
    parser.add_argument("--episodes", type=int, default=1000)
    parser.add_argument("--pairs", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    Benchmark(options).run()


class Benchmark:
    """One run: data, what was trained, and the rows so far."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        drawings = read()
        tests = np.isin(drawings.alphabet, TEST)
        self.train, self.test = drawings.where(~tests), drawings.where(tests)
        upright = self.test.where(self.test.turn == 0)
        sizes = {a: len(set(upright.character[upright.alphabet == a])) for a in TEST}
        self.within = upright.where(np.isin(upright.alphabet, [a for a in TEST if sizes[a] >= 20]))
        self.rows: list[dict[str, Any]] = []
        #: Features by the shared embedding, of each part.
        self.shared: dict[int, Tensor] | None = None

    def run(self) -> None:
        for method in self.options.methods:
            if method in ADAPTING:
                for ways in (5, 20):
                    self.judge(method, self.adapting(method, ways), (ways,))
            else:
                self.judge(method, self.learner(method), (5, 20))
        print(table(self.rows, self.options))

    def learner(self, method: str) -> nas.FewShotLearner:
        """A trained learner; one that shares the embedding takes features as they are kept."""
        if method == "pixels":
            return nas.learners.get("nearest-neighbour")(nn.Flatten())
        if method in OWN:
            with torch.random.fork_rng():
                torch.manual_seed(self.options.seed)
                learner: nas.FewShotLearner = nas.learners.get(method)(
                    conv4(self.options.seed), dim=64
                )
            self.trained(learner, self.options.ways, 1)
            return learner
        if self.shared is None:
            teacher = nas.learners.get("prototypical")(conv4(self.options.seed))
            self.trained(teacher, self.options.ways, 1)
            self.shared_training = self.training
            self.shared = {
                id(part): teacher.features(part.images)
                for part in (self.train, self.test, self.within)
            }
        if method != "simpleshot-cl2n":
            return nas.learners.get(method)()
        base_mean = self.shared[id(self.train)].mean(dim=0)
        return nas.learners.get("simpleshot")(transform="cl2n", base_mean=base_mean)

    def adapting(self, method: str, ways: int) -> nas.FewShotLearner:
        kind = nas.learners.get(method)
        settings = {"lr": 0.4, "steps": 1} if ways == 5 else {"lr": 0.1, "steps": 5}
        learner: nas.FewShotLearner = kind(classifier(ways, self.options.seed), **settings)
        self.trained(learner, ways, 8 if ways == 5 else 2)
        return learner

    def trained(self, learner: nas.FewShotLearner, ways: int, batch: int) -> None:
        """Train in place, and tell how it goes."""
        options = self.options
        episodes = nas.Episodes(self.train.labels, ways, 1, options.queries)
        began, steps = time.perf_counter(), options.steps
        settings = {
            "batch": batch,
            "lr": options.lr,
            "seed": options.seed,
            "augment": None if options.plain else bend,
        }
        if options.seconds:
            kept = {name: value.clone() for name, value in learner.state_dict().items()}
            nas.train_episodes(learner, self.train.images, episodes, steps=10, **settings)
            pace = (time.perf_counter() - began) / 10
            learner.load_state_dict(kept)
            steps, began = max(10, round(options.seconds / pace)), time.perf_counter()
        recent: list[float] = []

        def tell(step: Any) -> None:
            recent.append(step["accuracy"])
            if step["step"] % 50 == 0 or step["step"] == steps:
                spent = time.perf_counter() - began
                print(
                    f"\r{learner.name}, {ways} ways: {step['step']} of {steps} steps, {spent:.0f} "
                    f"s, accuracy {np.mean(recent[-200:]):.3f} ",
                    end="",
                    file=sys.stderr,
                    flush=True,
                )

        nas.train_episodes(
            learner, self.train.images, episodes, steps=steps, on_step=tell, **settings
        )
        print(file=sys.stderr)
        self.training = {"steps": steps, "batch": batch, "seconds": time.perf_counter() - began}

    def judge(self, method: str, learner: nas.FewShotLearner, ways: tuple[int, ...]) -> None:
        """Rows of a trained learner, for those settings that it is for."""
        options = self.options
        training = {} if method == "pixels" else self.training
        shared = self.shared if method in FEATURES else None
        if shared is not None:
            training = self.shared_training
        test, within = (
            p.images if shared is None else shared[id(p)] for p in (self.test, self.within)
        )
        for way, shot in SETTINGS:
            if way not in ways:
                continue
            result = nas.evaluate_episodes(
                learner,
                test,
                self.test.labels,
                ways=way,
                shots=shot,
                queries=5 if learner.adapts and way == 20 else 15,
                episodes=options.episodes,
                seed=options.seed,
            )
            self.keep(method, "unseen alphabets", result, training)
        if 20 in ways:
            drawn = nas.one_drawer_each(
                self.within.character,
                self.within.drawer,
                self.within.alphabet,
                count=options.pairs,
                rng=options.seed,
            )
            result = nas.evaluate_episodes(learner, within, self.within.character, drawn=drawn)
            self.keep(method, "within alphabets", result, training)

    def keep(
        self, method: str, kind: str, result: nas.EpisodeResult, training: dict[str, Any]
    ) -> None:
        self.rows.append({"method": method, "test": kind, "training": training, **result.to_json()})
        print(f"{method}, {kind}: {result}, {result.seconds:.1f} s", file=sys.stderr, flush=True)
        if self.options.json:
            told = {name: str(value) for name, value in vars(self.options).items()}
            document = {"machine": platform.platform(), "options": told, "rows": self.rows}
            self.options.json.write_text(json.dumps(document, indent=1), encoding="utf-8")


def table(rows: list[dict[str, Any]], options: argparse.Namespace) -> str:
    """Both tables as Markdown."""
    lines = [
        f"Omniglot subset, unseen alphabets, {options.episodes} episodes: accuracy in %, 95 %\n",
        "| method | 5-way 1-shot | 5-way 5-shot | 20-way 1-shot | 20-way 5-shot | published |",
        "|---|---|---|---|---|---|",
    ]
    found = {(r["method"], r["test"], r["ways"], r["shots"]): r for r in rows}
    methods = list(dict.fromkeys(r["method"] for r in rows))
    for method in methods:
        cells = []
        for way, shot in SETTINGS:
            row = found.get((method, "unseen alphabets", way, shot))
            cells.append(
                f"{100 * row['accuracy']:.2f} ± {100 * row['interval']:.2f}" if row else "–"
            )
        cells.append(" / ".join(f"{v:.1f}" for v in PUBLISHED.get(method, ())) or "–")
        lines.append(f"| {method} | " + " | ".join(cells) + " |")
    lines += [
        "\nWithin alphabets, 20-way, one drawing by one drawer against another's, error in %\n",
        "| method | error | episodes | s for all episodes |",
        "|---|---|---|---|",
    ]
    for method in methods:
        row = found.get((method, "within alphabets", 20, 1))
        if row:
            error = f"{100 - 100 * row['accuracy']:.2f} ± {100 * row['interval']:.2f}"
            lines.append(f"| {method} | {error} | {row['episodes']} | {row['seconds']:.1f} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
