"""A run folder opened again: shown, reported, trained further, exported."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .._support.errors import InputError, RunFolderError, WorkError, undamaged
from .._support.files import write_text
from .._support.renamed import warn_renamed
from .._support.visible import one_line, visible
from ..history.objective import Limit, Metric, Objective
from ..history.paired import Comparison
from ..history.trial import History, Trial
from ..space import Architecture
from ..space.ordinary import ordinary
from ..study import SqliteStore, Store
from ..study.meta import RESTORE, check_kept, objectives_in
from ..study.record import as_history
from ..task.problem import Problem, SpaceLike
from .finalist import Finalist, model_of, noise
from .finalists import Finalists, Start, repeats_of
from .reopening import kept_values, outline, reopen
from .standing import environment_of, failures_in, graph_of, predictions_of, progress_of

if TYPE_CHECKING:
    from ..export.parity import Parity
    from ..history.trust import Trust
    from ..report.content import FinalistRow, ReportContent

#: Of the note about a supernet, what the report shows.
SHOWN = ("method", "epochs", "seconds", "parameters", "curve", "stopped")


class Run:
    """A study on disk, which anybody may have written.

    What its record names is imported and opened only where it is registered, where the record
    carries this user's signature, or where it is given here.

    Args:
        folder: the run folder.
        space: in place of what the record names: where its builder cannot be imported, has moved,
            or is named by a record that a stranger may have written.
        data: likewise.
        problem: what the study works on, where it is open already.

    Raises:
        RunFolderError: there is no study in the folder.
    """

    def __init__(
        self,
        folder: str | Path,
        space: SpaceLike | None = None,
        data: str | Path | None = None,
        *,
        problem: Problem | None = None,
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
        with self.undamaged():  # told now, not in the middle of a command
            kept_values(self.meta)
        self._space, self._data = space, data
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
        """Task and space with what the folder keeps of the data, which is not opened for it; with
        the data where it is given, or where the folder keeps nothing."""
        if self._data is not None or "facts" not in self.meta:
            return self.problem
        return outline(self.meta, self.folder, self._space)

    def trial(self, number: int | None) -> Trial:
        """A trial by number; the best one without.

        Raises:
            InputError: no such trial, or none that finished.
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

    @ordinary()
    def train(
        self,
        number: int | None = None,
        on_epoch: Callable[[Mapping[str, float]], None] | None = None,
        test: bool = False,
    ) -> Finalist:
        """Train a trial's architecture to the end; what was trained before is not trained again.

        Args:
            number: of the trial; the winner is trained, and tested, without one.
            test: score another trial on the test part as well. Whoever chooses between trials by
                that has no untouched data left to say how good the choice is.
        """
        with SqliteStore(self.folder) as store:
            goal, start = self.goals[0][0], self._start()
            seeds = self.meta.get("final_seeds") or 1
            finals = Finalists(self.problem, store, self.meta["seed"], goal, start, seeds)
            architecture, which = self._chosen(number)
            final = finals.train(architecture, which, on_epoch)
            if test or number is None:
                finals.test(final)
            self.record, self.problems = store.record(), finals.problems
        return final

    @ordinary()
    def export(
        self,
        to: str | Path,
        number: int | None = None,
        onnx: Any = "auto",
        formats: Sequence[str] | None = None,
    ) -> tuple[Finalist, Parity]:
        """Write a trained architecture as files; see :func:`archsmith.export.export`.

        Raises:
            InputError: the architecture was not trained to the end.
        """
        from ..export import export

        architecture, which = self._chosen(number)
        final = self._final(architecture)
        if final is None:
            flag = "" if number is None else f" --trial {which}"
            raise InputError(
                f"trial {which}",
                "an architecture trained to the end",
                "one that is not",
                f"archsmith train {self.folder}{flag}",
            )
        problem = self.outline
        if not len(problem.data.validation):
            problem = self.problem
        metrics = {f"test_{name}": value for name, value in final.test.items()}
        metrics |= {f"validation_{name}": value for name, value in final.validation.items()}
        parity = export(
            model_of(problem, final),
            problem.task,
            problem.data,
            problem.space,
            architecture,
            to,
            metrics=metrics | final.costs,
            onnx=onnx,
            formats=formats,
        )
        return final, parity

    @property
    def trust(self) -> Trust | None:
        """How far shared weights can be believed; without a sample until that was measured."""
        from ..history.trust import Trust

        notes = self.record.notes
        if "trust" in notes:
            return Trust.from_json(notes["trust"])
        shared = notes.get("supernet")
        return Trust.of(self.goals[0][0], visits=shared["visits"]) if shared else None

    @property
    def comparison(self) -> Comparison | None:
        """The winner against the default on the test examples, where both were looked at."""
        noted = self.record.notes.get("comparison")
        try:
            return Comparison.from_json(noted) if noted else None
        except (KeyError, TypeError, ValueError):  # anybody may have written it
            return None

    def repeats(self, role: str) -> list[Finalist]:
        """All trainings of the ``winner`` or the ``default``, without weights."""
        final = self._noted(role)
        return repeats_of(self.record.notes, final.architecture) if final else []

    @ordinary()
    def content(self, pictures: bool = True) -> ReportContent:
        """What the report shows.

        Args:
            pictures: open the data and the space, for the diagram and the predictions.
        """
        from ..report.content import ReportContent, SupernetFacts, decision_rows

        history, meta = self.history, self.meta
        objectives, limits = self.goals
        best = self._best()
        winner, finalists = self._noted("winner"), self._finalists()
        shown = winner.architecture if winner else best.architecture if best else None
        state, progress = progress_of(self.record, meta)
        graph, predictions = None, None
        underived = (self.record.notes.get("supernet") or {}).get("problem")
        warnings = [underived] if underived else []
        warnings += [*(self.record.notes.get("problems") or []), *failures_in(history)]
        warnings += noise(history, winner)
        if pictures and shown is not None:
            self.left_out = []
            graph = self._picture("diagram", lambda: graph_of(self.outline, shown))
            predictions = self._picture("predictions", lambda: self._predictions(winner))
            warnings += self.left_out
        default = Architecture.from_json(meta["default"])
        shared = self.record.notes.get("supernet")
        return ReportContent(
            title=f"{meta['space']} on {meta['name']}",
            objectives=objectives,
            limits=limits,
            trials=history.trials,
            summary=meta["summary"],
            command=meta["command"],
            best=best.number if best else None,
            front=[t.number for t in history.front()],
            finalists=finalists,
            comparison=self.comparison,
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
            trust=self.trust,
            metrics=[Metric(**metric) for metric in meta["metrics"]],
            seconds=self.record.seconds,
            created=time.strftime("%Y-%m-%d %H:%M"),
            folder=str(self.folder),
        )

    def report(self, path: str | Path | None = None) -> Path:
        """Write the HTML page, ``report.html`` in the run folder by default; its path."""
        from ..report.page import render

        target = Path(path) if path else self.folder / "report.html"
        with self.undamaged():
            page = render(self.content())
        try:
            if target.is_file() or not target.exists():
                write_text(target, page)
            else:  # such as /dev/stdout, which must not be replaced
                target.write_text(visible(page), encoding="utf-8")
        except OSError as error:
            raise WorkError(str(target), "a file that can be written", str(error)) from None
        return target

    def try_report(self) -> tuple[Path | None, str]:
        """The page, or why there is none: a result that is there must not be lost over it."""
        try:
            return self.report(), ""
        except Exception as error:
            why = f"{type(error).__name__}: {one_line(str(error))}"
            return None, f"no report: {why}; archsmith report {self.folder} writes it anew"

    def _start(self) -> Start | None:
        """The weights that the training of this study's finalists begins with, if not new ones."""
        if not self.meta.get("inherit"):
            return None
        from .oneshot import check_weights, evaluator_of, inherited

        evaluator = evaluator_of(self.problem, self.folder)

        def start(architecture: Architecture) -> Mapping[str, Any]:
            check_weights(evaluator)
            return inherited(evaluator)(architecture)

        return start

    def _chosen(self, number: int | None) -> tuple[Architecture, int]:
        winner = self._noted("winner")
        if number is None and winner is not None:
            return winner.architecture, winner.number
        trial = self.trial(number)
        return trial.architecture, trial.number

    def _best(self) -> Trial | None:
        winner = self._noted("winner")
        if winner is not None and winner.number >= 0:
            return self.history.trials[winner.number]
        return self.history.best()

    def _noted(self, role: str) -> Finalist | None:
        note = self.record.notes.get(f"final.{self.record.notes.get(role)}")
        with self.undamaged():
            return Finalist.from_json(note) if note else None

    def undamaged(self) -> AbstractContextManager[None]:
        """Around what reads values of the record: what does not fit is told as damage."""
        return undamaged(str(self.folder), "a record as archsmith writes it", RESTORE)

    def _final(self, architecture: Architecture) -> Finalist | None:
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

    def _finalists(self) -> list[FinalistRow]:
        from ..report.content import FinalistRow

        roles = {"winner": "best of the search", "default": "default"}
        found = [(role, self._noted(role)) for role in roles]
        return [
            FinalistRow(
                roles[role],
                final.validation,
                final.test,
                final.costs,
                final.seconds,
                final.curve,
                [one.test for one in self.repeats(role)],
            )
            for role, final in found
            if final is not None
        ]

    def _picture(self, name: str, draw: Callable[[], Any]) -> Any:
        try:
            return draw()
        except Exception as error:
            # A page without its pictures is worth more than no page.
            why = str(error) if isinstance(error, InputError) else repr(error)
            self.left_out.append(f"no {name}: {why}")
        return None

    def _predictions(self, winner: Finalist | None) -> bytes | None:
        if winner is None:
            return None
        problem = self.problem  # says of space and data what is missing, before the outline does
        final = self._final(winner.architecture)
        return predictions_of(problem, final) if final else None


def open_store(folder: Path | None) -> Store:
    """The durable store of a folder, or one in memory."""
    from ..study import MemoryStore

    return SqliteStore(folder) if folder else MemoryStore()
