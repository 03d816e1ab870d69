"""How a study knows latency: measured trial by trial, or by a predictor that is kept with it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from .._support.errors import InputError
from ..hardware.options import FEWEST_SAMPLES
from ..study import SqliteStore, Study
from ..task.problem import Problem

if TYPE_CHECKING:
    from ..evaluate import Evaluator
    from ..evaluate.latency import LatencyEvaluator
    from ..hardware.predictor import LatencyPredictor

#: Architectures behind a predictor that nobody asked for.
_SAMPLES = 60
#: The store's note that keeps the predictor of a study.
_NOTE = "latency"

#: Called with a number of measurements done, and of how many.
OnMeasured = Callable[[int, int], None]


def measured_latency(problem: Problem) -> LatencyEvaluator:
    """Measures architectures as the problem says.

    Raises:
        InputError: the device is not there, or has no such runtime.
    """
    from .._support.trees import spec_of
    from ..evaluate.latency import LatencyEvaluator

    return LatencyEvaluator(
        problem.space, spec_of(problem.example()), device=problem.device, options=problem.latency
    )


def latency_evaluator(
    problem: Problem, folder: Path | None, many: bool, on_measured: OnMeasured | None = None
) -> Evaluator:
    """Tells the latency of a study's trials.

    A predictor is taken from the study in the folder, or made here and now, where the options ask
    for one; or where they leave it open and ``many`` architectures are going to be asked for, more
    than a clock has time for.

    Raises:
        InputError: the space has too few architectures for a predictor that was asked for, or the
            one in the folder was made for another device.
    """
    from ..evaluate.predicted_latency import PredictedLatencyEvaluator
    from ..hardware.sampling import distinct

    measured = measured_latency(problem)
    wanted = problem.latency.samples
    samples = (_SAMPLES if many else 0) if wanted is None else wanted
    few = samples and len(distinct(problem.space, FEWEST_SAMPLES)) < FEWEST_SAMPLES
    if few and wanted is not None:
        raise InputError(
            "latency, samples",
            f"a space of {FEWEST_SAMPLES} architectures or more",
            "fewer",
            "samples=0 measures every trial",
        )
    if not samples or few:
        return measured
    predictor = _predictor(problem, folder, samples, on_measured)
    return PredictedLatencyEvaluator(predictor, measured)


def save_predictor(study: Study) -> None:
    """Keep a new predictor with its study, so that the study goes on with it later."""
    from ..evaluate import Stages
    from ..evaluate.predicted_latency import PredictedLatencyEvaluator

    parts = study.evaluator.evaluators if isinstance(study.evaluator, Stages) else []
    for part in parts:
        if isinstance(part, PredictedLatencyEvaluator):
            study.check_store()
            if _NOTE not in study.store.record().notes:
                study.prepare(partial(study.store.note, _NOTE, part.predictor.to_json()))
            return


def _predictor(
    problem: Problem, folder: Path | None, samples: int, on_measured: OnMeasured | None
) -> LatencyPredictor:
    from .._support.trees import spec_of
    from ..hardware.predictor import LatencyPredictor, holds_for

    inputs = spec_of(problem.example())
    options = replace(problem.latency, samples=samples)
    if folder is not None and (folder / "study.db").is_file():
        with SqliteStore(folder, read=True) as store:
            known = store.record().notes.get(_NOTE)
        if known is not None:
            held = holds_for(problem.space, inputs, problem.device, options)
            return LatencyPredictor.from_json(problem.space, known, held)
    return LatencyPredictor.measure(
        problem.space, inputs, device=problem.device, options=options, on_done=on_measured
    )
