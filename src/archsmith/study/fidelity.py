"""How what a strategy asks for and what a study spends come together."""

from __future__ import annotations

from dataclasses import replace

from ..evaluate.base import Evaluator
from ..trial import Fidelity


def offered(evaluator: Evaluator, most: Fidelity) -> tuple[int, ...]:
    """The numbers of epochs that strategies may ask for: the evaluator's, up to the study's."""
    return tuple(e for e in evaluator.fidelities if most.epochs is None or e <= most.epochs)


def asked(wanted: Fidelity | None, study: Fidelity) -> Fidelity:
    """What a trial spends: a strategy chooses epochs, the share of the data is the study's."""
    if wanted is None:
        return study
    return replace(wanted, share=wanted.share * study.share)
