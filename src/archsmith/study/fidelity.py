"""Fidelities: reconciles what a strategy asks for with what a study spends."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ..evaluate.base import Evaluator
from ..history.trial import Fidelity, State, Trial
from .record import Record


def offered(evaluator: Evaluator, most: Fidelity) -> tuple[int, ...]:
    """The numbers of epochs that strategies may ask for: the evaluator's, up to the study's."""
    available = evaluator.fidelities
    if not available or most.epochs is None:
        return tuple(available)
    return (*(e for e in available if e < most.epochs), most.epochs)


def asked(requested: Fidelity | None, study: Fidelity, offers: Sequence[int]) -> Fidelity:
    """The fidelity of a trial: the strategy chooses epochs; the study's share of the data applies.

    Epochs that a strategy leaves open are the study's or, without any, the full evaluation's.
    """
    epochs = offers[-1] if study.epochs is None and offers else study.epochs
    if requested is None:
        return replace(study, epochs=epochs)
    if requested.epochs is not None:
        epochs = requested.epochs
    return replace(requested, epochs=epochs, share=requested.share * study.share)


def part(trial: Trial, offers: Sequence[int]) -> float:
    """The fraction of a full evaluation, by epochs, that a trial counts in a budget.

    One that continues an earlier trial counts the epochs that it trains itself.
    """
    epochs = trial.fidelity.epochs if trial.trained is None else trial.trained
    return 1.0 if epochs is None or not offers else epochs / offers[-1]


def worth(trial: Trial, offers: Sequence[int]) -> float:
    """What an ended trial counts in a budget: :func:`part`, or for a pruned one its trained epochs.

    One that was pruned for a limit has trained none and costs almost nothing.
    """
    if trial.state is not State.PRUNED:
        return part(trial, offers)
    epochs, whole = trial.fidelity.epochs, offers[-1] if offers else trial.fidelity.epochs
    before = 0.0 if epochs is None or trial.trained is None else epochs - trial.trained
    return max(0.0, len(trial.curve) - before) / whole if whole else 0.0


def counted(record: Record, offers: Sequence[int]) -> float:
    """What ended trials count in a budget, excluding forgiven failures."""
    failed = [trial for trial in record.ended if trial.state is State.FAILED]
    forgiven = {trial.number for trial in failed[: record.forgiven]}
    return sum(worth(trial, offers) for trial in record.ended if trial.number not in forgiven)
