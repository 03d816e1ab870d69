"""What the user asks for, as one frozen value: what to learn, what to aim at, what to spend.

Python calls, the command line, TOML files, profiles and the record of a run folder share it. A
field that is also a command-line option carries the help text of that option.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .._support.options import values_of
from .._support.plans import call_text, option
from ..hardware.options import LatencyOptions
from ..task.options import ReadOptions, Recipe

if TYPE_CHECKING:
    from ..evaluate import Evaluator
    from ..history.objective import Limit, Objective
    from ..space.architecture import Answer
    from ..strategy import Strategy
    from ..study import Executor
    from ..study.stopping import Pruner
    from ..supernet.method import Method
    from ..task.base import Task
    from ..task.goals import Limits
    from ..task.own import Measure, Measures
    from ..task.problem import Problem, SpaceLike
    from ..task.tune import RecipeSpace
    from .listener import Listener

#: Trials that are trained to the end, without a time budget and with one: then each would have half
#: of the time, and the last training takes in the validation part, so that there is one winner.
FINALISTS, FINALISTS_IN_TIME = 2, 1


@dataclass(frozen=True)
class Plan:
    """What to learn and what to aim at.

    Attributes:
        space: a ready space by name, a builder, ``"module:function"``, or a :class:`Space`; the
            task's own if not given.
        data: a name (``digits``, ``fashion-mnist``), a folder of class folders, an ``.npz``, a CSV;
            with ``loss`` the data itself: a torch ``Dataset``, a pair of inputs and targets, or
            three of these (training, validation, test).
        task: by name, with its own options after a colon (``few-shot:ways=5``); inferred from the
            data if not given.
        loss, metrics: the loss and metrics for data given as objects, see
            :class:`~archsmith.task.own.OwnTask`. To continue a study, give the same ones again.
        maximize, minimize: objectives; the task's own metric if none is named.
        limits: ``{"params": 200_000}``, or ``["params<=200k", "accuracy>=0.9"]``.
        device: ``"auto"``, ``"cpu"``, ``"cuda"``, ``"cuda:1"``.
        latency: how it is determined: :class:`~archsmith.hardware.options.LatencyOptions`, or text
            such as ``"runtime=onnx,batch=8,threads=2"``.
        seed: of the search and of training.
        read: how data is read and split.
        arguments: arguments for the builder that replace those derived from the data: a mapping, or
            text such as ``"cells=3,filters=24"``.
    """

    space: SpaceLike | None = field(
        default=None, metadata=option("Ready space by name, module:function or file.py:function.")
    )
    data: Any = "digits"
    _: KW_ONLY
    task: str | None = field(
        default=None,
        metadata=option("Task (archsmith list tasks); default: inferred from the data."),
    )
    loss: Measure | None = None
    metrics: Measures | None = None
    maximize: str | Sequence[str] = field(
        default=(), metadata=option("Metric to maximise; may be repeated.")
    )
    minimize: str | Sequence[str] = field(
        default=(), metadata=option("Metric to minimise; may be repeated.")
    )
    limits: Limits = field(
        default=(), metadata=option("Hard limit, such as 'params<=200k'; may be repeated.", "limit")
    )
    device: str = field(default="auto", metadata=option("Device: auto, cpu, cuda, cuda:1, ..."))
    latency: LatencyOptions | str | None = field(
        default=None,
        metadata=option("How latency is determined, such as runtime=onnx,batch=8,threads=2."),
    )
    seed: int = field(default=0, metadata=option("Seed of the search and of training."))
    read: ReadOptions | None = None
    arguments: Mapping[str, Any] | str | None = field(
        default=None,
        metadata=option("Arguments of the space's builder, such as cells=3,filters=24."),
    )

    @property
    def own_arguments(self) -> Mapping[str, Any] | None:
        """Arguments for the builder, read if they are text.

        Raises:
            InputError: text that is not made of names and values.
        """
        given = self.arguments
        return values_of(given, "arguments") if isinstance(given, str) else given

    def open(self, **trained: Any) -> Problem:
        """Open data, task and space.

        Args:
            trained: recipe and fidelity of trials and finalists, see
                :func:`~archsmith.task.problem.open_problem`.

        Raises:
            InputError: a name, a path, an option or the data is wrong.
        """
        from ..task.problem import open_problem

        return open_problem(
            self.space,
            self.data,
            task=self._task(),
            options=self.read,
            arguments=self.own_arguments,
            device=self.device,
            latency=LatencyOptions.parse(self.latency)
            if isinstance(self.latency, str)
            else self.latency,
            **trained,
        )

    def goals(self, problem: Problem) -> tuple[tuple[Objective, ...], tuple[Limit, ...]]:
        """Objectives and limits.

        Raises:
            InputError: a metric that nothing measures.
        """
        from .evaluator import objectives_for

        return objectives_for(problem, self.maximize, self.minimize, self.limits)

    def _task(self) -> str | Task | None:
        if self.loss is None and not self.metrics:
            return self.task
        from ..task.own import own_task

        return own_task(self.task, self.loss, self.metrics)


@dataclass(frozen=True, kw_only=True)
class SearchPlan(Plan):
    """How to search, what the search may spend, and how it ends.

    Attributes:
        strategy: a name, or a :class:`Strategy`. The name of a one-shot method (``spos``, ``enas``,
            ``darts``, …) or a :class:`Method` trains shared weights first and evaluates trials with
            them; ``"spos+nsga2"`` also names the strategy that searches on them.
        start: an architecture to begin with in place of the default: a published one by name
            (``"resnet50"``; its space is taken as well), a mapping of answers, or these as JSON.
            Questions that it does not answer have their default.
        backbone: a trained image classifier whose features the search builds on: the run folder or
            the export of an earlier search, ``"efficientnet-lite0"``, or a published architecture
            and a checkpoint of it, ``"resnet50:FILE"``. The rest of the model is searched.
        backbone_weights: how it is trained, ``"layerwise"``, ``"tuned"`` or ``"frozen"``, see
            :data:`~archsmith.zoo.pretrained.TRAININGS`; if several, a choice of the search with the
            first one as its default.
        proxy: a zero-cost proxy (``naswot``, ``az-nas``, ``vote``, …) whose scores of untrained
            architectures pick the first trials.
        evaluator: replaces training, by name or as an object; costs are measured in addition. One
            that is also a :class:`Trainer` trains the finalists.
        trials, time: the budget; 24 trials if neither is given, 100 on shared weights. Time is
            seconds or ``"10m"`` for everything: reading the data, trials of equal time, the last
            training of the winner on training and validation part together, test and report.
        trial_time: time limit of one trial, which fails when it is exceeded. Without a limit, a
            trial that takes ten times as long as the slowest that finished, and at least a minute,
            is stopped and tried again, and fails the third time.
        workers: processes that evaluate trials; 1 evaluates in this process. With several GPUs,
            each worker has its own.
        executor: where trials run, by name or as an object.
        run: a folder that keeps the study; the same call on it resumes. Without one, nothing is
            kept.
        epochs, share: fidelity of a trial, in place of the task's. For a one-shot method,
            ``epochs`` are those of the supernet: twice the recipe's or 4,000 steps if not given.
        recipe: of the training to the end; a trial uses it at its fidelity.
        tune: fields of the recipe that are searched together with the architecture:
            ``"lr,weight_decay"``, or a :class:`~archsmith.task.tune.RecipeSpace`.
        final_epochs: epochs of the training to the end, in place of the recipe's.
        finalists: how many of the best trials are trained to the end (2, with a time 1); 0 stops
            after the search.
        final_seeds: how often each finalist and the default is trained, each time with a different
            seed: mean and spread are reported, and the training that is best on the validation
            part is kept.
        baseline: a reference model to hold the winner against: ``"quick"``, those of the task that
            are fitted in seconds (of tables gradient boosting and a linear model; of other tasks
            none), ``"none"``, a name such as ``"resnet-20"``, or ``"auto"``, the usual one of the
            task. A network is trained by the same recipe for the whole ``time`` of the search, or
            if that is not limited for as many epochs as a finalist; once as it was published, once
            as large as the winner, and once as fast if latency is an objective or limited. Each of
            these trainings is kept, and found again by later searches.
        inherit: finalists start from the shared weights instead of new ones.
        stop: stops hopeless trials while they train: ``"median"``, ``"curve"`` or a
            :class:`~archsmith.study.Pruner`. The epochs that they trained count towards the budget.
        command: what to show as the command that repeats the search.
        listener: callbacks that are called while the search works.
        began: the moment that ``time`` counts from, by ``time.monotonic()``; the call itself if not
            given.
    """

    strategy: str | Strategy | Method = field(
        default="auto", metadata=option("Search strategy or one-shot method.")
    )
    start: str | Mapping[str, Answer] | None = field(
        default=None,
        metadata=option(
            "Architecture to begin with: a published one (archsmith list architectures), or "
            "answers as JSON."
        ),
    )
    backbone: str | Path | None = field(
        default=None,
        metadata=option(
            "Trained image classifier to build on: a run folder, an export, efficientnet-lite0, or "
            "ARCHITECTURE:FILE."
        ),
    )
    backbone_weights: str | None = field(
        default=None,
        metadata=option(
            "How the backbone is trained: layerwise, tuned or frozen; several, separated by "
            "commas, are searched. Default: all three."
        ),
    )
    proxy: str | None = field(
        default=None, metadata=option("Zero-cost proxy that picks the first trials.")
    )
    evaluator: str | Evaluator | None = field(
        default=None,
        metadata=option(
            "Evaluates trials in place of training: a name (archsmith list evaluators), "
            "module:Class or file.py:Class."
        ),
    )
    trials: int | None = field(
        default=None,
        metadata=option("Number of trials; default: 24 without --time, 100 on shared weights."),
    )
    time: float | str | None = field(
        default=None, metadata=option("Time for everything, last training included, such as 10m.")
    )
    trial_time: float | str | None = field(
        default=None,
        metadata=option("Time limit of a trial; default: derived from the time that others took."),
    )
    workers: int = field(default=1, metadata=option("Number of processes that evaluate trials."))
    executor: str | Executor = field(
        default="local", metadata=option("Where trials run (archsmith list executors).")
    )
    run: str | Path | None = field(
        default=None, metadata=option("Run folder; the same command on it resumes the search.")
    )
    epochs: int | None = field(
        default=None, metadata=option("Epochs of a trial, or of the supernet.")
    )
    share: float | None = field(
        default=None, metadata=option("Share of the training data that a trial uses.")
    )
    recipe: Recipe | None = None
    tune: str | Sequence[str] | RecipeSpace | None = field(
        default=None,
        metadata=option("Recipe fields to search as well, such as lr,weight_decay."),
    )
    final_epochs: int | None = field(
        default=None, metadata=option("Epochs of a training to the end.")
    )
    finalists: int | None = field(
        default=None,
        metadata=option("Number of best trials to train to the end; default: 2, with --time 1."),
    )
    final_seeds: int = field(
        default=1, metadata=option("Number of seeds to train each finalist and the default with.")
    )
    baseline: str = field(
        default="quick",
        metadata=option(
            "Reference model to hold the winner against: quick (those fitted in seconds), none, "
            "auto or its name."
        ),
    )
    inherit: bool = field(
        default=False, metadata=option("Start finalists from the shared weights.")
    )
    stop: str | Pruner | None = field(
        default=None, metadata=option("Stop hopeless trials early: median or curve.")
    )
    command: str = ""
    listener: Listener | None = field(default=None, compare=False)
    began: float | None = field(default=None, compare=False)

    @property
    def final_count(self) -> int:
        """How many trials are trained to the end."""
        if self.finalists is not None:
            return self.finalists
        return FINALISTS if self.time is None else FINALISTS_IN_TIME

    @property
    def folder(self) -> Path | None:
        """The run folder by its absolute path."""
        return Path(self.run).absolute() if self.run is not None else None

    def call(self) -> str:
        """The command that repeats the search, or the Python call."""
        return self.command or call_text("search", self, ("command", "listener", "began"))
