"""The command ``archsmith zeroshot``: classifiers on features with their standard split."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .._support.errors import InputError
from .output import only_json, print_json, results_console, say

if TYPE_CHECKING:
    from ..transfer.zeroshot import ZeroShotData, ZeroShotResult

#: What runs without ``--method``: closed forms, which take seconds each.
_CLOSED = ("eszsl", "sae", "sae-s2f", "ridge")


def zeroshot(
    data: Annotated[
        Path,
        typer.Argument(
            metavar="DATA", help="Folder with res101.mat and att_splits.mat, or one .mat or .npz."
        ),
    ],
    method: Annotated[
        list[str] | None,
        typer.Option(
            help="Classifier (archsmith list zero-shot), may be repeated; 'all' for every one."
        ),
    ] = None,
    confidence: Annotated[float, typer.Option(help="Confidence level of the intervals.")] = 0.95,
    seed: Annotated[int, typer.Option(help="Seed of validation and of training.")] = 0,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON document and nothing else.")
    ] = False,
) -> None:
    """Classify unseen classes by their attributes, alone and together with seen classes."""
    from ..transfer.zeroshot import evaluate_zero_shot, read_zero_shot, zero_shot

    if not 0 < confidence < 1:
        raise InputError("--confidence", "a share above 0 and below 1", str(confidence))
    if seed < 0:
        raise InputError("--seed", "0 or more", str(seed))
    names = list(dict.fromkeys(method or _CLOSED))
    if "all" in names:
        # It needs class names and inputs in one space; names and image features have none.
        names = [name for name in zero_shot.names() if name != "nearest"]
    makers = {name: zero_shot.get(name) for name in names}
    with only_json(as_json):
        problem = read_zero_shot(data)
        results = []
        for name, make in makers.items():
            if not as_json:
                print(f"{name} ...", end="\r", file=sys.stderr, flush=True)
            result = evaluate_zero_shot(make(seed=seed), problem, confidence=confidence, seed=seed)
            results.append(result)
    if as_json:
        print_json(_facts(problem) | {"results": [result.to_json() for result in results]})
        return
    _print(problem, results)


def _facts(problem: ZeroShotData) -> dict[str, Any]:
    return {
        "features": problem.features.shape[1],
        "attributes": problem.descriptions.shape[1],
        "seen": len(problem.seen),
        "unseen": [problem.class_names[i] for i in problem.unseen],
        "train": len(problem.train),
        "test_seen": len(problem.test_seen),
        "test_unseen": len(problem.test_unseen),
    }


def _print(problem: ZeroShotData, results: list[ZeroShotResult]) -> None:
    from rich.table import Table

    facts = _facts(problem)
    say(
        f"{facts['train']} examples of {facts['seen']} seen classes, {facts['features']} features, "
        f"{facts['attributes']} attributes; to test on {facts['test_unseen']} of "
        f"{len(facts['unseen'])} unseen classes and {facts['test_seen']} of seen ones"
    )
    table = Table(box=None, header_style="bold")
    table.add_column("method")
    for title in ("T1 unseen", "u", "s", "H", "cal. u", "cal. s", "cal. H", "AUSUC", "seconds"):
        table.add_column(title, justify="right")
    for result in results:
        table.add_row(
            result.method,
            str(result.accuracy),
            *_generalised_cells(result),
            f"{result.seconds:.1f}",
        )
    results_console(140).print(table)
    say(f"class-averaged accuracy in %, with its interval; chance {100 * results[0].chance:.1f}")
    for result in results:
        for note in result.notes:
            say(f"{result.method}: {note}")


def _generalised_cells(result: ZeroShotResult) -> list[str]:
    cells = []
    for scores in (result.generalised, result.calibrated):
        values = (scores.unseen, scores.seen, scores.harmonic) if scores else None
        cells += [f"{100 * v.value:.1f}" for v in values] if values else ["–"] * 3
    return [*cells, "–" if result.ausuc is None else f"{result.ausuc:.3f}"]
