"""A run folder opened again, to be shown, reported, trained further and exported."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .._support.errors import InputError, WorkError
from .._support.files import write_text
from .._support.visible import one_line, visible
from ..history.trial import History
from ..space import Architecture
from ..space.ordinary import ordinary
from ..study import SqliteStore
from ..study.continuing import States
from ..study.fidelity import offered
from ..study.record import as_history
from .finalist import Finalist, model_of
from .finalists import Finalists, Start
from .recorded import Recorded

if TYPE_CHECKING:
    from ..evaluate import Trainer
    from ..export.parity import Parity
    from ..report.content import ReportContent


class Run(Recorded):
    """A study on disk that can be trained further, reported and exported.

    It is opened as :class:`Recorded` says. Trainings and pages are written to the run folder::

        run = nas.Run("runs/digits")
        run.export("digits-model")
    """

    @ordinary()
    def train(
        self,
        number: int | None = None,
        on_epoch: Callable[[Mapping[str, float]], None] | None = None,
        test: bool = False,
    ) -> Finalist:
        """Train a trial's architecture to the end, unless that was done before.

        Args:
            number: of the trial; by default the winner is trained and scored on the test part.
            on_epoch: called with the metrics of each epoch.
            test: also score a trial other than the winner on the test part. If you choose between
                trials by that score, no untouched data is left to say how good the choice is.

        Raises:
            InputError: no such trial, or space, data or evaluator are needed and missing.
            WorkError: the training diverged.
        """
        with SqliteStore(self.folder) as store:
            goal, start = self.goals[0][0], self._start()
            seeds = self.meta.get("final_seeds") or 1
            trainer = self._trainer()
            finals = Finalists(
                self.problem,
                store,
                self.meta["seed"],
                goal,
                start,
                seeds,
                trainer,
                states=self._states(trainer),
            )
            architecture, which = self.chosen(number)
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

        architecture, which = self.chosen(number)
        final = self.trained(architecture)
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
            final.calibrated(problem.data),
            problem.space,
            architecture,
            to,
            metrics=metrics | final.costs,
            onnx=onnx,
            formats=formats,
        )
        return final, parity

    @ordinary()
    def content(self, pictures: bool = True) -> ReportContent:
        """What the report shows.

        Args:
            pictures: open the data and the space, for the diagram and the predictions.
        """
        from .page import content_of

        content, self.left_out = content_of(self, pictures)
        return content

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
        """The page, or why there is none: a failed report must not cost a finished result."""
        try:
            return self.report(), ""
        except Exception as error:
            why = f"{type(error).__name__}: {one_line(str(error))}"
            return None, f"no report: {why}; archsmith report {self.folder} writes it again"

    def _trainer(self) -> Trainer | None:
        """The trainer of this study's finalists; ``None`` for the task's recipe."""
        from ..evaluate import Trainer

        named = self.meta.get("trainer")
        trainer = self.evaluator if isinstance(self.evaluator, Trainer) else None
        if named and trainer is None:
            raise InputError(
                f"evaluator {named}",
                "the one that trained the finalists of this study",
                "none",
                "nas.Run(folder, evaluator=...).train(number)",
            )
        return trainer

    def _states(self, trainer: Trainer | None) -> States:
        """What the search kept of its trainings."""
        from ..evaluate import Evaluator
        from ..evaluate.training import TrainingEvaluator

        own = TrainingEvaluator.for_problem(self.problem)
        evaluator = trainer if isinstance(trainer, Evaluator) else own
        epochs = offered(evaluator, self.problem.fidelity)
        empty = History(*self.goals, epochs=epochs)
        history = as_history(self.record, *self.goals, empty=empty)
        return States(history, self.folder, evaluator.continues)

    def _start(self) -> Start | None:
        """Gives the initial weights of this study's finalists; ``None`` for new ones."""
        if not self.meta.get("inherit"):
            return None
        from .oneshot import check_weights, evaluator_of, inherited

        evaluator = evaluator_of(self.problem, self.folder)

        def start(architecture: Architecture) -> Mapping[str, Any]:
            check_weights(evaluator)
            return inherited(evaluator)(architecture)

        return start
