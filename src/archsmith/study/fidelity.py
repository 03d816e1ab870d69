"""How what a strategy asks for and what a study spends come together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ..evaluate.base import Evaluator
from ..history.trial import Fidelity, State, Trial
from .record import Record


def offered(evaluator: Evaluator, most: Fidelity) -> tuple[int, ...]:
    """The numbers of epochs that strategies may ask for: the evaluator's, up to the study's."""
    known = evaluator.fidelities
    if not known or most.epochs is None:
        return tuple(known)
    return (*(e for e in known if e < most.epochs), most.epochs)


def asked(wanted: Fidelity | None, study: Fidelity, offers: Sequence[int]) -> Fidelity:
    """What a trial spends: a strategy chooses epochs, the share of the data is the study's.

    Epochs that a strategy leaves open are the study's; where it has none, the full evaluation.
    """
    epochs = offers[-1] if study.epochs is None and offers else study.epochs
    if wanted is None:
        return replace(study, epochs=epochs)
    if wanted.epochs is not None:
        epochs = wanted.epochs
    return replace(wanted, epochs=epochs, share=wanted.share * study.share)


def part(fidelity: Fidelity, offers: Sequence[int]) -> float:
    """How much of a full evaluation a trial is, by its epochs: what it counts in a budget."""
    if fidelity.epochs is None or not offers:
        return 1.0
    return fidelity.epochs / offers[-1]


def worth(trial: Trial, offers: Sequence[int]) -> float:
    """What an ended trial counts in a budget: :func:`part`, and of a pruned one its epochs alone.

    One that was pruned for a limit has trained none and costs next to nothing.
    """
    if trial.state is not State.PRUNED:
        return part(trial.fidelity, offers)
    whole = offers[-1] if offers else trial.fidelity.epochs
    return len(trial.curve) / whole if whole else 0.0


def counted(record: Record, offers: Sequence[int]) -> float:
    """What ended trials count in a budget, all but failures that are forgiven."""
    failed = [trial for trial in record.ended if trial.state is State.FAILED]
    forgiven = {trial.number for trial in failed[: record.forgiven]}
    return sum(worth(trial, offers) for trial in record.ended if trial.number not in forgiven)
