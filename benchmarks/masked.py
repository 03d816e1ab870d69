"""Masked prediction: how well characters are told, and what its features are worth.

    python benchmarks/masked.py [--trials 12] [--limit 'params<=300k'] [--strategy auto]
        [--final-epochs 1] [--run FOLDER] [--texts 3000] [--epochs 8] [--labels 5 20 80]
        [--seeds 3] [--json FILE]

Needs ``ARCHSMITH_DATA`` and the extra ``data``.

First table: characters of the test part of tinyshakespeare that were masked or exchanged. Counting
baselines, computed here: the commonest character, and the commonest one between the same two
characters to the left and right (with fewer of them where these were not met); then the default,
which is the largest of the space and has no limit to keep, and what a search found under a limit on
parameters, both trained by the same recipe.

Second table: a network is trained to tell masked characters of film reviews and questions without
labels; a linear probe on its features, averaged over a question, gets so many labels of each of
TREC's six types. Beside it the untrained network, counts of character n-grams, and (where the extra
``pretrained`` is installed) MiniLM. Mean and spread over seeds, which draw the labels.
"""

from __future__ import annotations

import argparse
import gzip
import importlib.util
import json
import os
import platform
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

import archsmith as nas
from archsmith.data.text import coded
from archsmith.task import task as find_task
from archsmith.task.base import Data, ReadOptions
from archsmith.task.problem import open_space
from archsmith.train import train

SIDES = ((2, 2), (1, 2), (2, 1), (1, 1), (1, 0), (0, 1), (0, 0))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--trials", type=int, default=12, help="of the search; 0 leaves it out")
    parser.add_argument("--limit", default="params<=300k")
    parser.add_argument("--strategy", default="auto")
    parser.add_argument("--final-epochs", type=int, default=1)
    parser.add_argument("--run", type=Path)
    parser.add_argument("--texts", type=int, default=3_000, help="without labels; 0 for none")
    parser.add_argument("--epochs", type=int, default=8, help="on the texts without labels")
    parser.add_argument("--labels", type=int, nargs="+", default=[5, 20, 80])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    told = told_characters(options) if options.trials else []
    worth = worth_of_features(options) if options.texts else []
    print(report(told, worth, options))
    if options.json:
        kept = {name: str(value) for name, value in vars(options).items()}
        document = {"machine": platform.platform(), "options": kept, "told": told, "worth": worth}
        options.json.write_text(json.dumps(document, indent=1), encoding="utf-8")


def told_characters(options: argparse.Namespace) -> list[dict[str, Any]]:
    """Rows of the first table."""
    book = Path(os.environ["ARCHSMITH_DATA"]) / "tinyshakespeare.txt.gz"
    began = time.process_time()
    result = nas.search(
        data=str(book),
        task="masked-prediction",
        strategy=options.strategy,
        trials=options.trials,
        limits=[options.limit],
        finalists=1,
        final_epochs=options.final_epochs,
        arguments={"widths": (64, 96), "depths": (1, 2, 3)},
        run=options.run or Path(tempfile.mkdtemp()) / "run",
    )
    spent = time.process_time() - began
    assert result.best is not None
    rows = counted(result.problem.data, book)
    for name, found in (("default", result.default), ("searched", result.best)):
        if found is not None:
            rows.append(
                {
                    "name": name,
                    "accuracy": found.test["accuracy"],
                    "loss": found.test["loss"],
                    "params": found.metrics["params"],
                    "architecture": found.architecture.to_json(),
                }
            )
    rows.append({"name": "seconds of a core for all", "seconds": spent})
    return rows


def counted(data: Data, book: Path) -> list[dict[str, Any]]:
    """What counting letters of the training text gets right of the test part."""
    text = gzip.decompress(book.read_bytes()).decode()
    length = data.facts["length"]
    lines = len(data.train) // data.facts["masked"]["copies"]
    known = coded(text, data.facts["alphabet"])[: lines * length]
    shown, asked = data.test.inputs.numpy(), data.test.targets.numpy()
    rows = []
    for name, sides in (("the commonest character", SIDES[-1:]), ("two neighbours a side", SIDES)):
        best = [commonest(known, *each) for each in sides]
        right = total = 0
        for line, wanted in zip(shown, asked, strict=True):
            for place in np.flatnonzero(wanted >= 0):
                guess = next(
                    found[key]
                    for (left, after), found in zip(sides, best, strict=True)
                    if (key := around(line, int(place), left, after)) in found
                )
                right += int(guess == wanted[place])
                total += 1
        rows.append({"name": name, "accuracy": right / total})
    return rows


def commonest(codes: Any, left: int, after: int) -> dict[tuple[int, ...], int]:
    """The commonest character for each surrounding that was met."""
    counts: dict[tuple[int, ...], Counter[int]] = defaultdict(Counter)
    listed = codes.tolist()
    for place in range(left, len(listed) - after):
        key = (*listed[place - left : place], *listed[place + 1 : place + 1 + after])
        counts[key][listed[place]] += 1
    return {key: found.most_common(1)[0][0] for key, found in counts.items()}


def around(line: Any, place: int, left: int, after: int) -> tuple[int, ...] | None:
    """The characters beside a place; none beyond the ends of an example."""
    if place < left or place + after >= len(line):
        return None
    return (*line[place - left : place].tolist(), *line[place + 1 : place + 1 + after].tolist())


def worth_of_features(options: argparse.Namespace) -> list[dict[str, Any]]:
    """Rows of the second table."""
    import pandas as pd

    table = pd.read_parquet(Path(os.environ["ARCHSMITH_DATA"]) / "text_classification.parquet")
    trec = table[table["dataset"] == "TREC"]
    unlabelled = table[table["dataset"].isin(["MR", "SST2", "CR"]) & (table["split"] != "test")]
    texts = unlabelled["text"].sample(options.texts, random_state=0).tolist()
    texts += trec[trec["split"] != "test"]["text"].tolist()
    with tempfile.TemporaryDirectory() as folder:
        book = Path(folder) / "texts.txt"
        book.write_text("\n".join(np.random.default_rng(0).permutation(texts)), encoding="utf-8")
        task = find_task("masked-prediction")
        data = task.read(str(book), ReadOptions())
    space = open_space("gpt", task.arguments(data.facts))
    untrained = space.build(space.default(), seed=0)
    model = space.build(space.default(), seed=0)
    recipe = replace(task.recipe(data), epochs=options.epochs)
    done = train(model, task, data, recipe, seed=0, on_epoch=lambda r: print(r, file=sys.stderr))
    print(f"masked characters told: {done.metrics['accuracy']:.3f}", file=sys.stderr)
    encoders: dict[str, Callable[[Sequence[str]], Tensor]] = {
        "untrained": reader(untrained, data.facts["alphabet"]),
        "masked prediction": reader(model, data.facts["alphabet"]),
    }
    if importlib.util.find_spec("tokenizers"):
        from archsmith.transfer.pretrained.text import text_encoder

        encoders["MiniLM"] = text_encoder("minilm")
    return probed(trec, encoders, options)


def reader(model: torch.nn.Module, alphabet: Sequence[str]) -> Callable[[Sequence[str]], Tensor]:
    """Texts to the mean over their characters of what goes into the last layer."""
    features = nas.Features(model)

    def read(texts: Sequence[str]) -> Tensor:
        # One at a time: nothing is filled up.
        rows = [features(torch.from_numpy(coded(text[:160], alphabet))[None]) for text in texts]
        return torch.cat([torch.as_tensor(row) for row in rows])

    return read


def probed(
    trec: Any, encoders: dict[str, Callable[[Sequence[str]], Tensor]], options: argparse.Namespace
) -> list[dict[str, Any]]:
    """Accuracy on TREC's test part by features and number of labels."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    known, test = trec[trec["split"] == "train"], trec[trec["split"] == "test"]
    texts, labels = known["text"].tolist(), known["label"].to_numpy().astype(np.int64)
    asked, truth = test["text"].tolist(), test["label"].to_numpy().astype(np.int64)
    draws = {
        (seed, count): np.concatenate(
            [
                np.random.default_rng(seed).permutation(np.flatnonzero(labels == c))[:count]
                for c in np.unique(labels)
            ]
        )
        for seed in range(options.seeds)
        for count in options.labels
    }
    # Only what some draw needs is read.
    wanted = np.unique(np.concatenate(list(draws.values())))
    counts = TfidfVectorizer(analyzer="char_wb", ngram_range=(1, 4), sublinear_tf=True, min_df=2)
    counts.fit(texts)  # inverse frequencies need no labels
    features: dict[str, tuple[Tensor, Tensor]] = {
        "n-grams of 1 to 4 characters": tuple(  # type: ignore[dict-item]
            torch.from_numpy(counts.transform(each).toarray()).float()
            for each in ([texts[i] for i in wanted], asked)
        )
    }
    for name, encode in encoders.items():
        print(f"features: {name}", file=sys.stderr, flush=True)
        features[name] = encode([texts[i] for i in wanted]), encode(asked)
    place = {int(row): number for number, row in enumerate(wanted)}
    rows = []
    for name, (seen, tested) in features.items():
        for (seed, count), chosen in draws.items():
            found = nas.probe(
                seen[[place[int(i)] for i in chosen]],
                labels[chosen],
                tested,
                truth,
                kinds=["linear"],
                seed=seed,
            )
            rows.append(
                {"features": name, "seed": seed, "labels": count, "accuracy": found[0].accuracy}
            )
    return rows


def report(
    told: list[dict[str, Any]], worth: list[dict[str, Any]], options: argparse.Namespace
) -> str:
    """Both tables as Markdown."""
    lines = []
    if told:
        lines += ["| told by | parameters | masked characters told, % |", "|---|---|---|"]
        lines += [
            f"| {row['name']} | {row['params']:,.0f} | {100 * row['accuracy']:.2f} |"
            if "params" in row
            else f"| {row['name']} | – | {100 * row['accuracy']:.2f} |"
            for row in told
            if "accuracy" in row
        ]
        lines.append(f"\n{told[-1]['seconds'] / 60:.0f} minutes of a core\n")
    if worth:
        heads = " | ".join(f"{count} labels" for count in options.labels)
        lines += [f"| features | {heads} |", "|---|" + "---|" * len(options.labels)]
        for name in dict.fromkeys(row["features"] for row in worth):
            cells = []
            for count in options.labels:
                own = [
                    100 * r["accuracy"]
                    for r in worth
                    if (r["features"], r["labels"]) == (name, count)
                ]
                cells.append(f"{np.mean(own):.1f} ± {np.std(own):.1f}")
            lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
