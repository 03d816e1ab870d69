"""A search against the default of its space: English to German, Multi30k, at equal time of a core.

    python benchmarks/translation.py [--seconds 600] [--seeds 0]
        [--contenders archsmith default] [--json FILE]

Each contender has so many seconds for everything, one thread, the same 29,000 training pairs, and
the same 1,000 pairs of test 2016 that it never sees:

* ``archsmith``: ``archsmith search DATA --task translation:source=en,target=de --time SECONDS``;
* ``default``: the default architecture, trained once with the task's recipe for the whole time, on
  training and validation part together.

Each model then translates the test part with one and with five beams. BLEU and chrF are computed by
sacrebleu from the texts of the file, in their own case; the signature is printed. Needs
``ARCHSMITH_DATA``. The time is real time, which a busy machine takes from all, so the processor
time is printed beside it. Rows are written one by one, and those that stand in the JSON file
already are not run again.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import statistics
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

SPLIT, SOURCE, TARGET = "test_2016_flickr", "en", "de"
TASK = f"translation:source={SOURCE},target={TARGET}"
BEAMS = (1, 5)


def searched(data: str, seconds: float, seed: int) -> tuple[Any, Any]:
    """The data as a search reads it, and the model that it ends with."""
    import archsmith as nas
    from archsmith.task.base import ReadOptions
    from archsmith.task.problem import open_problem

    with tempfile.TemporaryDirectory() as run:
        result = nas.search(None, data, task=TASK, time=seconds, seed=seed, run=run)
    if result.best is None:
        raise SystemExit(f"no trial was finished in {seconds:g} s: give more time")
    return open_problem(None, data, task=TASK, options=ReadOptions()).data, result.best.model


def default(data: str, seconds: float, seed: int) -> tuple[Any, Any]:
    """The data, and the default architecture after a training of the whole time."""
    from archsmith.evaluate.training import TrainingEvaluator
    from archsmith.history.objective import Objective
    from archsmith.task.base import ReadOptions
    from archsmith.task.problem import open_problem
    from archsmith.workflow.times import LAST_ROUNDS

    until = time.monotonic() + seconds
    problem = open_problem(None, data, task=TASK, options=ReadOptions())
    metric, architecture = problem.task.metrics[0], problem.space.default()
    recipe = replace(problem.recipe, epochs=LAST_ROUNDS, schedule="wsd")
    left = until - time.monotonic()
    problem = replace(problem, recipe=recipe, round=left / LAST_ROUNDS)
    goal = Objective(metric.name, metric.direction)
    trainer = TrainingEvaluator.for_problem(problem, goal).ending(until, True)
    model = problem.space.build(architecture, seed=seed)
    model.load_state_dict(trainer.train(architecture, seed).best_state)
    return problem.data, model


CONTENDERS = {"archsmith": searched, "default": default}


def translated(data: str, read: Any, model: Any, beam: int) -> dict[str, float]:
    """BLEU and chrF of the translations of the test part, and the processor time of a sentence."""
    import pandas
    from sacrebleu.metrics import BLEU, CHRF

    from archsmith.data.tokens import Tokens
    from archsmith.task.decoding import translate

    table = pandas.read_parquet(data)
    references = table.loc[table["split"] == SPLIT, TARGET].tolist()
    words, began = Tokens(read.facts["tokens"]), time.process_time()
    found = translate(model.eval(), read.test.inputs, read.facts["target_length"], beam)
    took = time.process_time() - began
    said = [words.decode(row) for row in found.tolist()]
    return {
        "bleu": BLEU().corpus_score(said, [references]).score,
        "chrf": CHRF().corpus_score(said, [references]).score,
        "ms": 1000 * took / len(said),
    }


def run(contender: str, data: str, seconds: float, seed: int) -> dict[str, Any]:
    began, used = time.perf_counter(), time.process_time()
    read, model = CONTENDERS[contender](data, seconds, seed)
    row = {"seconds": time.perf_counter() - began, "processor": time.process_time() - used}
    row["params"] = sum(parameter.numel() for parameter in model.parameters())
    return row | {f"beam{beam}": translated(data, read, model, beam) for beam in BEAMS}


def table(rows: list[dict[str, Any]]) -> str:
    """Means over seeds, with the spread of BLEU."""
    head = " ".join(f"{f'BLEU, beam {beam}':>16} {'chrF':>6}" for beam in BEAMS)
    lines = [f"{'contender':12} {'seeds':>5} {head} {'parameters':>11} {'processor':>9}"]
    for name in dict.fromkeys(row["contender"] for row in rows):
        mine = [row for row in rows if row["contender"] == name]
        cells = []
        for beam in BEAMS:
            scores = [row[f"beam{beam}"]["bleu"] for row in mine]
            spread = f" ± {statistics.stdev(scores):.2f}" if len(scores) > 1 else ""
            chrf = statistics.mean(row[f"beam{beam}"]["chrf"] for row in mine)
            cells.append(f"{statistics.mean(scores):>8.2f}{spread:>8} {chrf:>6.2f}")
        size = statistics.median(row["params"] for row in mine)
        took = statistics.mean(row["processor"] for row in mine)
        lines.append(f"{name:12} {len(mine):>5} {' '.join(cells)} {size:>11,.0f} {took:>7.0f} s")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument(
        "--contenders", nargs="+", default=["archsmith", "default"], choices=[*CONTENDERS]
    )
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    import torch

    from archsmith.metric.translations import signature

    torch.set_num_threads(1)
    data = str(Path(os.environ["ARCHSMITH_DATA"]) / "multi30k.parquet")
    rows: dict[str, Any] = {}
    if options.json and options.json.exists():
        rows = json.loads(options.json.read_text())
    for seed, contender in itertools.product(options.seeds, options.contenders):
        key = f"{options.seconds:g} {contender} {seed}"
        if key not in rows:
            row = run(contender, data, options.seconds, seed)
            rows[key] = {"contender": contender, "seed": seed, "given": options.seconds} | row
            print(f"{key}: {row}", flush=True)
            if options.json:
                options.json.write_text(json.dumps(rows, indent=2))
    print(signature())
    print(table([row for row in rows.values() if row["given"] == options.seconds]))


if __name__ == "__main__":
    main()
