"""Which trial continues the training of which, and the states that are kept for that."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from .._support.errors import InputError
from ..history.trial import Fidelity, History, Proposal, State, Trial
from ..space.architecture import Architecture
from .checkpoints import state_path
from .executor import Ended, Job
from .stopping import Rule

if TYPE_CHECKING:
    from ..train import TrainingState

#: States that are kept at each number of epochs for trials that may rise, and at the full number
#: for those that may be trained to the end.
RISING, FINAL = 48, 8


class States:
    """States of trainings that a later trial, or the training to the end, can begin with.

    Kept is a bounded number of the best trials at each fidelity, without those that were continued
    since. Without a folder they are in a temporary one, as long as this object exists.

    Args:
        history: of the study so far.
        folder: run folder.
        on: whether trainings are continued at all.
    """

    def __init__(self, history: History, folder: Path | None, on: bool) -> None:
        self._history, self._on = history, on
        self._temporary = tempfile.TemporaryDirectory() if on and folder is None else None
        self._folder = Path(self._temporary.name) if self._temporary else folder
        self._kept: dict[int, Trial] = {}
        for trial in history.ended if on else ():
            self._add(trial)

    @property
    def kept(self) -> set[int]:
        """Numbers of the trials whose states are kept."""
        return {*self._kept, *self._starts()}

    def link(self, number: int, proposal: Proposal, fidelity: Fidelity, seed: int) -> Trial:
        """A new trial; it continues the one of the same architecture and data with the most epochs
        below its own, if a state is kept."""
        trial = Trial(number, proposal.architecture, fidelity, seed, proposal.note)
        earlier = [old for old in self._kept.values() if self._superseded(old, trial)]
        if earlier and fidelity.epochs is not None:
            start = max(earlier, key=lambda old: old.kept)
            trial.continues, trial.trained = start.number, fidelity.epochs - start.kept
        return trial

    def job(self, trial: Trial, rule: Rule | None) -> Job:
        """The trial for a worker, with the files of its states."""
        start = None if trial.continues is None else self._path(trial.continues)
        return Job.of(trial, rule, start, self._path(trial.number))

    def ended(self, trial: Trial, ended: Ended) -> str:
        """Record in a trial how its training ended; returns a remark on how it began."""
        trial.kept = ended.kept
        if not ended.anew:
            return ""
        trial.trained = None if trial.fidelity.epochs is None else float(trial.fidelity.epochs)
        return f"trained from the start, not from where trial {trial.continues} was: {ended.anew}"

    def close(self, trial: Trial) -> None:
        """Keep the state of an ended trial, and delete those that are not needed any more."""
        for number in self._add(trial) if self._on else ():
            path = self._path(number)
            if path is not None:
                path.unlink(missing_ok=True)

    def _path(self, number: int) -> Path | None:
        """The file of a trial's state; ``None`` if trainings are not continued."""
        return state_path(self._folder, number) if self._on and self._folder else None

    def _add(self, trial: Trial) -> list[int]:
        """Add an ended trial; returns the numbers of the trials whose states are not needed any
        more."""
        if trial.state is not State.FINISHED:
            return [trial.number]
        if not trial.kept:
            return []
        self._kept[trial.number] = trial
        equals = [t for t in self._kept.values() if t.fidelity == trial.fidelity]
        surplus = [t.number for t in self._kept.values() if self._superseded(t, trial)]
        full = self._history.epochs[-1:] == (trial.fidelity.epochs,)
        most = FINAL if full else RISING
        if len(equals) > most:
            starts = self._starts()
            surplus += [t.number for t in self._history.ranked(equals)[most:]]
            surplus = [number for number in surplus if number not in starts]
        for number in surplus:
            del self._kept[number]
        return surplus

    def load(self, architecture: Architecture) -> tuple[TrainingState | None, str]:
        """The state of an architecture with the most epochs, and why there is none although there
        should be one."""
        kept = [t for t in self._kept.values() if t.architecture == architecture]
        path = self._path(max(kept, key=lambda t: t.kept).number) if kept else None
        from ..train import TrainingState

        try:
            return (TrainingState.read(path) if path else None), ""
        except (InputError, OSError) as error:
            return None, " ".join(str(error).split())

    def _starts(self) -> set[int]:
        """Numbers of the trials that running ones continue."""
        running = self._history.running.values()
        return {t.continues for t in running if t.continues is not None}

    def _superseded(self, old: Trial, new: Trial) -> bool:
        same = old.architecture == new.architecture and old.fidelity.share == new.fidelity.share
        return same and old.fidelity.order < new.fidelity.order
