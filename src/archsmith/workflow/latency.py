"""The latency of trials: measured one by one, or predicted by a predictor kept with the study."""

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

#: Architectures to measure for a predictor if no number was requested.
_SAMPLES = 60
#: The store's note that keeps the predictor of a study.
_NOTE = "latency"

#: Called with the number of measurements done and the total.
OnMeasured = Callable[[int, int], None]


def measured_latency(problem: Problem) -> LatencyEvaluator:
    """An evaluator that measures architectures with the problem's latency options.

    Raises:
        InputError: the device is missing, or has no such runtime.
    """
    from .._support.trees import spec_of
    from ..evaluate.latency import LatencyEvaluator

    return LatencyEvaluator(
        problem.space, spec_of(problem.example()), device=problem.device, options=problem.latency
    )


def latency_evaluator(
    problem: Problem, folder: Path | None, many: bool, on_measured: OnMeasured | None = None
) -> Evaluator:
    """The evaluator of the latency of a study's trials.

    A predictor is used if the options ask for one, or if they leave it open and ``many``
    architectures will be evaluated, more than there is time to measure. It is read from the study
    in the folder, or made now.

    Raises:
        InputError: the space has too few architectures for a requested predictor, or the one in the
            folder was made for another device.
    """
    from ..evaluate.predicted_latency import PredictedLatencyEvaluator
    from ..hardware.sampling import distinct

    measured = measured_latency(problem)
    requested = problem.latency.samples
    samples = (_SAMPLES if many else 0) if requested is None else requested
    few = samples and len(distinct(problem.space, FEWEST_SAMPLES)) < FEWEST_SAMPLES
    if few and requested is not None:
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
    """Keep a new predictor with its study, so that later sessions use the same one."""
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
            note = store.record().notes.get(_NOTE)
        if note is not None:
            held = holds_for(problem.space, inputs, problem.device, options)
            return LatencyPredictor.from_json(problem.space, note, held)
    return LatencyPredictor.measure(
        problem.space, inputs, device=problem.device, options=options, on_done=on_measured
    )
