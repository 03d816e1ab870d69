"""The content of a study's report."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from .._support.errors import InputError
from ..history.ladder import rung_agreements
from ..history.numbers import duration
from ..history.objective import Metric
from ..report.content import (
    BaselineRow,
    FinalistRow,
    ReportContent,
    SupernetFacts,
    decision_rows,
)
from ..space import Architecture
from .figures import environment_of, failures_in, graph_of, predictions_of, progress_of
from .finalist import Finalist, noise
from .recorded import Recorded
from .times import TimePlan

#: Entries of the note about a supernet that the report shows.
SHOWN = ("method", "epochs", "seconds", "parameters", "curve", "stopped")


def content_of(run: Recorded, pictures: bool = True) -> tuple[ReportContent, list[str]]:
    """What the report shows, and messages about what had to be left out.

    Args:
        pictures: open the data and the space, for the diagram and the predictions.
    """
    history, meta = run.history, run.meta
    objectives, limits = run.goals
    best = run.best()
    winner, finalists = run.noted("winner"), _rows(run)
    shown = winner.architecture if winner else best.architecture if best else None
    state, progress = progress_of(run.record, meta)
    graph, predictions = None, None
    left_out: list[str] = []
    underived = (run.record.notes.get("supernet") or {}).get("problem")
    warnings = [underived] if underived else []
    warnings += [*(run.record.notes.get("problems") or []), *failures_in(history)]
    warnings += noise(history, winner)
    if pictures and shown is not None:
        graph = _picture("diagram", lambda: graph_of(run.outline, shown), left_out)
        predictions = _picture("predictions", lambda: _predictions(run, winner), left_out)
        warnings += left_out
    default = Architecture.from_json(meta["default"])
    shared = run.record.notes.get("supernet")
    content = ReportContent(
        title=f"{meta['space']} on {meta['name']}",
        objectives=objectives,
        limits=limits,
        trials=history.trials,
        summary=meta["summary"],
        command=meta["command"],
        best=best.number if best else None,
        front=[t.number for t in history.front()],
        finalists=finalists,
        comparison=run.comparison,
        baselines=[
            BaselineRow(
                one.label,
                one.test,
                one.costs,
                one.seconds,
                one.comparison,
                one.words,
            )
            for one in run.baselines
        ],
        graph=graph,
        decisions=decision_rows(shown, default) if shown else (),
        predictions=predictions,
        environment=environment_of(meta, winner),
        seed=meta["seed"],
        state=state,
        progress=progress,
        planned=meta["trials"],
        warnings=warnings,
        supernet=SupernetFacts(**{n: shared[n] for n in SHOWN}) if shared else None,
        trust=run.trust,
        metrics=[Metric(**metric) for metric in meta["metrics"]],
        seconds=run.record.seconds,
        created=time.strftime("%Y-%m-%d %H:%M"),
        folder=str(run.folder),
        account=[
            *_times(meta, run.record.seconds, winner),
            *map(str, rung_agreements(history)),
        ],
    )
    return content, left_out


def _rows(run: Recorded) -> list[FinalistRow]:
    roles = {"winner": "best of the search", "default": "default"}
    finalists = [(role, run.noted(role)) for role in roles]
    return [
        FinalistRow(
            roles[role],
            final.validation,
            final.test,
            final.costs,
            final.seconds,
            final.curve,
            [one.test for one in run.repeats(role)],
            final.whole,
        )
        for role, final in finalists
        if final is not None
    ]


def _times(meta: Mapping[str, Any], searched: float, winner: Finalist | None) -> Sequence[str]:
    """How a time budget was divided, and what the search and the last training took."""
    if not meta.get("plan"):
        return ()
    trained = f", {duration(winner.seconds)} last training" if winner else ""
    if winner and winner.mix:
        trained += f" with {winner.mix:.0%} of its batches mixed (CutMix)"
    planned = TimePlan.from_json(meta["plan"]).describe()
    return (f"{planned}; it took {duration(searched)} search{trained}",)


def _picture(name: str, draw: Callable[[], Any], left_out: list[str]) -> Any:
    try:
        return draw()
    except Exception as error:
        # A page without pictures is better than no page.
        why = str(error) if isinstance(error, InputError) else repr(error)
        left_out.append(f"no {name}: {why}")
    return None


def _predictions(run: Recorded, winner: Finalist | None) -> bytes | None:
    if winner is None:
        return None
    problem = run.problem  # reports a missing space or data before the outline does
    final = run.trained(winner.architecture)
    return predictions_of(problem, final) if final else None
