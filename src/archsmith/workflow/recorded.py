"""A run folder opened for reading: the settings of a study and its results."""

from __future__ import annotations

from contextlib import AbstractContextManager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .._support.errors import InputError, RunFolderError, undamaged
from .._support.renamed import warn_renamed
from ..history.objective import Limit, Objective
from ..history.paired import Comparison
from ..history.trial import History, Trial
from ..space import Architecture
from ..study import SqliteStore, Store
from ..study.meta import RESTORE, check_kept, objectives_in
from ..study.record import as_history
from ..task.problem import Problem, SpaceLike
from .baseline import Baseline, noted_baselines
from .finalist import Finalist
from .finalists import Finalists, repeats_of
from .reopening import kept_values, outline, reopen

if TYPE_CHECKING:
    from ..evaluate import Evaluator
    from ..history.trust import Trust


class Recorded:
    """A study on disk, which anybody may have written. Opening it only reads.

    A space or data set that the record names is imported and opened only if it is registered, if
    the record carries this user's signature, or if it is given here.

    Args:
        folder: the run folder.
        space: replaces the one that the record names: for a builder that cannot be imported, has
            moved, or is named by a record that a stranger may have written.
        data: likewise.
        problem: the study's problem, if it is open already.
        evaluator: the one that the search was given, if it trains the finalists itself.

    Raises:
        RunFolderError: there is no study in the folder.
    """

    def __init__(
        self,
        folder: str | Path,
        space: SpaceLike | None = None,
        data: Any = None,
        *,
        problem: Problem | None = None,
        evaluator: Evaluator | None = None,
    ) -> None:
        self.folder = Path(folder)
        if not (self.folder / "study.db").is_file():
            raise RunFolderError(
                str(folder),
                "a run folder with a study.db",
                "none",
                "archsmith search DATA --run FOLDER makes one",
            )
        with SqliteStore(self.folder, read=True) as store:
            self.meta, self.record = store.meta(), store.record()
        if not self.meta:
            raise RunFolderError(str(folder), "a study that has begun", "an empty record")
        if "reference" not in self.meta:
            raise RunFolderError(
                str(folder),
                "a study that nas.search began",
                "one of nas.Study alone",
                "its trials: archsmith.study.SqliteStore(folder, read=True).history()",
            )
        check_kept(str(folder), self.meta)
        with self.undamaged():  # fail now, not in the middle of a command
            kept_values(self.meta)
        self._space, self._data, self.evaluator = space, data, evaluator
        if problem is not None:
            self.__dict__["problem"] = self.__dict__["outline"] = problem
        #: What the last report had to leave out, and what the last training met, in words.
        self.left_out: list[str] = []
        self.problems: list[str] = []

    @cached_property
    def goals(self) -> tuple[tuple[Objective, ...], tuple[Limit, ...]]:
        """Objectives and limits."""
        return objectives_in(self.meta)

    @cached_property
    def history(self) -> History:
        """All trials."""
        with self.undamaged():
            return as_history(self.record, *self.goals)

    @cached_property
    def problem(self) -> Problem:
        """Data, task and space, opened now.

        Raises:
            InputError: the record names a file or a module, without this user's signature; or the
                data is not what the study was begun on.
        """
        return reopen(self.meta, self._space, self._data, str(self.folder))

    @property
    def setting(self) -> Problem:
        """The problem, by its name of earlier versions."""
        warn_renamed("Run.setting", "Run.problem")
        return self.problem

    @cached_property
    def outline(self) -> Problem:
        """The problem with the few examples that the folder keeps, without opening the data.

        The data is opened if it was given here, or if the folder keeps no examples.
        """
        if self._data is not None or "facts" not in self.meta:
            return self.problem
        return outline(self.meta, self.folder, self._space)

    def trial(self, number: int | None) -> Trial:
        """A trial by number; the best one if ``number`` is ``None``.

        Raises:
            InputError: no such trial, or none has finished.
        """
        if number is None:
            best = self.history.best()
            if best is None:
                raise InputError(str(self.folder), "a finished trial that keeps the limits", "none")
            return best
        trials = self.history.trials
        if not 0 <= number < len(trials):
            raise InputError("trial", f"a number from 0 to {len(trials) - 1}", str(number))
        return trials[number]

    @property
    def trust(self) -> Trust | None:
        """How far shared weights can be trusted; without a sample until that was measured."""
        from ..history.trust import Trust

        notes = self.record.notes
        if "trust" in notes:
            return Trust.from_json(notes["trust"])
        shared = notes.get("supernet")
        return Trust.of(self.goals[0][0], visits=shared["visits"]) if shared else None

    @property
    def comparison(self) -> Comparison | None:
        """The winner against the default on the test examples, if both were scored on them."""
        noted = self.record.notes.get("comparison")
        try:
            return Comparison.from_json(noted) if noted else None
        except (KeyError, TypeError, ValueError):  # anybody may have written it
            return None

    @property
    def baselines(self) -> list[Baseline]:
        """Reference models that the winner was compared with, without weights."""
        with self.undamaged():
            return noted_baselines(self.record.notes)

    def repeats(self, role: str) -> list[Finalist]:
        """All trainings of the ``"winner"`` or the ``"default"``, without weights."""
        final = self.noted(role)
        return repeats_of(self.record.notes, final.architecture) if final else []

    def chosen(self, number: int | None) -> tuple[Architecture, int]:
        winner = self.noted("winner")
        if number is None and winner is not None:
            return winner.architecture, winner.number
        trial = self.trial(number)
        return trial.architecture, trial.number

    def best(self) -> Trial | None:
        winner = self.noted("winner")
        if winner is not None and winner.number >= 0:
            return self.history.trials[winner.number]
        return self.history.best()

    def noted(self, role: str) -> Finalist | None:
        note = self.record.notes.get(f"final.{self.record.notes.get(role)}")
        with self.undamaged():
            return Finalist.from_json(note) if note else None

    def undamaged(self) -> AbstractContextManager[None]:
        """A context for reading values of the record: those that do not fit raise DamagedError."""
        return undamaged(str(self.folder), "a record as archsmith writes it", RESTORE)

    def trained(self, architecture: Architecture) -> Finalist | None:
        with SqliteStore(self.folder, read=True) as store:
            finals = Finalists(self.outline, store, self.meta["seed"], self.goals[0][0])
            final = finals.known(architecture)
        if final is None and (damage := next(iter(finals.damaged.values()), "")):
            raise InputError(
                "trained weights",
                "the file that training left",
                f"damage: {damage}",
                f"archsmith train {self.folder} trains the winner again, with --trial another one",
            )
        return final


def open_store(folder: Path | None) -> Store:
    """The durable store of a folder, or one in memory."""
    from ..study import MemoryStore

    return SqliteStore(folder) if folder else MemoryStore()
