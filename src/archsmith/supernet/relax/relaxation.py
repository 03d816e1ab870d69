"""What differentiable methods have in common: alphas, the mixed network, and deriving."""

from __future__ import annotations

from abc import abstractmethod
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor

from ..._support.errors import InputError, SpaceError
from ..._support.trees import Tree, call, move
from ...data.splits import Batch
from ...history.objective import Limit, Objective, violation
from ...space.architecture import Answer, Architecture
from ...space.decision import Categorical, Decision
from ..method import Method
from ..session import Costs, Session
from .child import Child, even_mixes, joined_by, open_scales, questions, read_child
from .collapse import Watch, entropy_share, free_share
from .curvature import held_curvature
from .derive import TRIES, derive, rank_subset
from .expected_cost import ExpectedCost
from .mixture import Mix, MixingWeights
from .reading import Relaxed, RelaxedReading, labels_of, size_of, taken
from .settings import Settings
from .weights import Alphas, rate_for

if TYPE_CHECKING:
    from ...space import Space
    from ..supernet import Supernet

_ITERATIONS = 6
_MEASURED = 100  # architectures whose latency is measured to find some within a limit
_CHEAP = 50  # steps in an epoch from which the eigenvalue adds a sixth at most to its cost


class Relaxation(Method):
    """A differentiable method: each step learns alphas on held-out data, then shared weights.

    All options of each ``one_of`` and ``subset`` are active in one network that is read from the
    same builder (:class:`~.reading.RelaxedReading`), over weights that the supernet lends. Other
    decisions (widths, kernels, depths) cannot be mixed: they are drawn at random at each step, and
    the network is read again. A subset's weights sum to its size; one with several sizes to
    their mean.

    Args:
        options: fields of :class:`Settings`.

    Raises:
        InputError: an option is unknown or out of its range.
    """

    holdout: ClassVar[float] = 0.5
    #: The options see one channel in this many.
    partial: ClassVar[int] = 1
    #: Settings whose defaults this method changes.
    usual: ClassVar[Mapping[str, Any]] = {}

    def __init__(self, **options: Any) -> None:
        unknown = set(options) - set(Settings.__dataclass_fields__)
        if unknown:
            names = ", ".join(Settings.__dataclass_fields__)
            raise InputError(f"{self.name} options", f"some of {names}", ", ".join(sorted(unknown)))
        self.settings = Settings(**{**self.usual, **options})
        self.settings.check(self.name)
        self.source = MixingWeights()
        self.watch = Watch(self.settings.free_bound)
        self.expected: dict[str, ExpectedCost] = {}
        #: Static costs of architectures; the caller may set them before the training.
        self._alphas: Alphas | None = None
        self._child: Child | None = None
        self._opened = -1
        self._visits: Counter[tuple[str, Answer]] = Counter()

    @property
    def alphas(self) -> Alphas:
        """The learned numbers of the options."""
        assert self._alphas is not None, "begin comes first"
        return self._alphas

    def join(self, decision: Relaxed) -> None:
        """Called for each mixed decision, new or not: its alphas are made once."""
        self.alphas.add(decision.name, size_of(decision))

    @abstractmethod
    def mix(self, session: Session, decision: Relaxed, purpose: str) -> Mix:
        """How a decision is mixed in the coming pass.

        Args:
            purpose: ``"alphas"`` or ``"weights"``, what learns from the pass; for random draws.
        """

    def probabilities(self, decision: Relaxed) -> Tensor:
        """The mixing weights without noise, (options,): they sum to how many options are taken."""
        return torch.softmax(self.alphas[decision.name], 0) * taken(decision)

    def scores(self, decision: Relaxed) -> Tensor:
        """What :meth:`derive` ranks options by, (options,); for a subset centred around 0."""
        alpha = self.alphas[decision.name].detach()
        if isinstance(decision, Categorical):
            return torch.log_softmax(alpha, 0)
        return alpha - alpha.mean()

    def regulariser(self, session: Session) -> Tensor | None:
        """The term that the method adds to the loss of its alphas."""
        return None

    def check(
        self, space: Space, objectives: Sequence[Objective] = (), limits: Sequence[Limit] = ()
    ) -> None:
        """Refuse a space without modules to choose from, or with some that cannot be mixed.

        Raises:
            SpaceError: with the decision, where one is the cause.
        """
        run = questions(space, self.source, self.partial, self.name)
        if not any(size_of(decision) > 1 for decision in run.relaxed.values()):
            raise SpaceError(
                space.name,
                "a choice of modules (nas.one_of or nas.subset)",
                f"only choices of values: {', '.join(run.asked) or 'none'}",
                "use a method for any space, such as spos or ofa",
            )

    def paths(self, space: Space) -> float:
        """How many options a pass computes at the same time, on average over the decisions."""
        relaxed = questions(space, self.source, self.partial, self.name).relaxed.values()
        alive = [size_of(d) / taken(d) for d in relaxed if size_of(d) > 1]
        mean = sum(alive) / max(1, len(alive))
        # In addition to the options there are the channels that bypass them.
        return mean if self.partial == 1 else mean / self.partial + 1.0

    def try_out(self, supernet: Supernet, example: Tree) -> None:
        """Pass one example through, which fails if options cannot be mixed."""
        run = RelaxedReading(self.source, partial=self.partial)
        model = supernet.lend(supernet.read(run), run).eval()
        self.source.set(even_mixes(run, supernet.device))
        with torch.no_grad():
            call(model, move(example, supernet.device))

    def begin(self, session: Session) -> None:
        super().begin(session)
        settings = self.settings
        self.watch, self._visits = Watch(settings.free_bound), Counter()
        rate = rate_for(session.steps) if settings.rate is None else settings.rate
        self._alphas = Alphas(rate, settings.decay, seed=session.seed, device=session.device)
        child = self._child = self._read(session, default=True)
        self.expected = self._budgets(session, child.run)
        self.try_out(session.supernet, session.task.example(session.data.facts, batch=2))

    def step(self, session: Session, batch: Batch) -> Tensor:
        child = self.child(session)
        if session.progress >= self.settings.warm:
            self.learn_alphas(session, child, batch)
        self.set(session, "weights")
        loss = session.loss(child.model, batch)
        loss.backward()  # type: ignore[no-untyped-call]
        session.update()
        self.count(child.run)
        return loss.detach()

    def learn_alphas(self, session: Session, child: Child, batch: Batch) -> None:
        """One step of the alphas on a held-out batch; ``batch`` is the coming training batch."""
        self.set(session, "alphas")
        loss = session.loss(child.model, session.held())
        self.alphas.learn(self.gradients(self.regularised(session, loss)))

    def gradients(self, loss: Tensor) -> list[Tensor | None]:
        """The gradients of a loss in the alphas, and in nothing else."""
        return list(torch.autograd.grad(loss, self.alphas.tensors(), allow_unused=True))

    def regularised(self, session: Session, loss: Tensor) -> Tensor:
        """The loss plus the method's regulariser and the penalties of the budgets."""
        more = self.regulariser(session)
        if more is not None:
            loss = loss + more
        for budget in self.expected.values():
            loss = loss + self.settings.pressure * budget.penalty(self._weights(budget))
        return loss

    @property
    def relaxed(self) -> Mapping[str, Relaxed]:
        """The mixed decisions of the current network."""
        assert self._child is not None, "begin comes first"
        return self._child.run.relaxed

    def set(self, session: Session, purpose: str) -> None:
        """Set the mixing weights of the coming pass; with gradients if alphas learn from it."""
        bypass = 1.0 - session.progress if self.settings.auxiliary_skip else 0.0
        with torch.set_grad_enabled(purpose == "alphas"):
            self.source.set(
                {
                    name: replace(self.mix(session, decision, purpose), bypass=bypass)
                    for name, decision in self.relaxed.items()
                }
            )

    def child(self, session: Session) -> Child:
        """The mixed network in training mode, read again where necessary."""
        supernet, child = session.supernet, self._child
        if session.seconds and session.step and self.settings.rate is None:
            # With a time limit the number of steps is unknown; it is estimated from those so far.
            self.alphas.rate = rate_for(round(session.step / max(session.progress, 1e-9)))
        if child is None or child.run.valued or child.version != supernet.version:
            child = self._child = self._read(session)
        else:
            self.follow(session, child)
        child.model.train()
        return child

    def follow(self, session: Session, child: Child) -> None:
        """Lend the weights again if the lent tensors do not follow the store by themselves."""
        if not child.live:
            session.supernet.lend(child.model, child.run)

    def end_epoch(self, session: Session, epoch: int) -> dict[str, float]:
        """Report the entropy, the share of parameter-free options, the curvature and budgets."""
        child = self.child(session)
        weights = {name: self.probabilities(d).detach() for name, d in self.relaxed.items()}
        leading = {
            name: self.scores(d).topk(round(taken(d))).indices.tolist()
            for name, d in self.relaxed.items()
        }
        sizes = {name: size_of(d) for name, d in self.relaxed.items()}
        metrics = {
            "entropy": entropy_share(list(weights.values())),
            "free_share": free_share(leading, child.run.free, sizes),
        }
        with_eigenvalue = self.settings.eigenvalue
        if self.holdout and with_eigenvalue is None:
            with_eigenvalue = session.steps >= _CHEAP * session.epochs
        if self.holdout and with_eigenvalue:
            metrics |= self.curvature(session, child)
        for metric, budget in self.expected.items():
            metrics[f"expected_{metric}"] = float(budget(self._weights(budget)).detach())
        settled = session.progress > self.settings.warm and self.settings.early_stop
        if settled and not self.stopped:
            reason = self.watch.look(
                metrics["free_share"],
                self.alphas.values(),
                eigenvalue=metrics.get("eigenvalue"),
                loss=metrics.get("probe_loss"),
                progress=session.progress,
            )
            if reason:
                self.alphas.put(self.watch.good)
                self.stopped = reason
        return metrics

    def curvature(self, session: Session, child: Child) -> dict[str, float]:
        """The largest eigenvalue of the Hessian of the held-out loss in the alphas, and that loss.

        Empty if the network cannot be differentiated twice.
        """

        def mix() -> None:
            self.source.set({n: Mix(self.probabilities(d)) for n, d in self.relaxed.items()})

        result = held_curvature(session, child.model, mix, self.alphas.tensors())
        return {} if result is None else {"eigenvalue": result[0], "probe_loss": result[1]}

    def derive(self, session: Session, count: int) -> list[Architecture]:
        """The most probable architectures that have a path from their input to their output.

        If costs are known, those within the limits.

        Raises:
            WorkError: there is none among the most probable ones.
        """
        costs, limits = self._costs(session), session.limits

        known_costs = session.costs
        confirmed = known_costs.confirm if known_costs else None

        def excess(architecture: Architecture) -> float:
            values = costs(architecture)
            over = violation(values, limits)
            if over > 0 or confirmed is None:
                return over
            return violation({**values, **confirmed(architecture)}, limits)

        slow_metrics = known_costs.clocked if known_costs else ()
        clocked = any(limit.metric in slow_metrics for limit in limits)
        return derive(
            session.supernet.space,
            self._ranking,
            count,
            excess=excess if limits else None,
            seed=session.seed,
            joined=joined_by(session, self.child(session), self.source),
            tries=_MEASURED if clocked and confirmed is None else TRIES,
        )

    def state(self) -> dict[str, Any]:
        visits = [[name, answer, count] for (name, answer), count in self._visits.items()]
        return {"alphas": self.alphas.state(), "visits": visits, "watch": self.watch.state()}

    def load_state(self, state: dict[str, Any]) -> None:
        self.alphas.load_state(state["alphas"])
        self._visits = Counter({(name, answer): n for name, answer, n in state["visits"]})
        self.watch.load_state(state["watch"])
        self._child = None  # its weights are about to be read

    def visits(self) -> Counter[tuple[str, Answer]]:
        """How often each option was computed; those of a subset by their labels."""
        return Counter(self._visits)

    def _ranking(self, decision: Decision) -> list[tuple[float, Answer]] | None:
        if not isinstance(decision, Relaxed) or decision.name not in self.alphas:
            return None
        scores = self.scores(decision).tolist()
        if len(scores) != size_of(decision):
            return None
        if isinstance(decision, Categorical):
            pairs = zip(scores, decision.options, strict=True)
            return sorted(pairs, key=lambda pair: -pair[0])
        return rank_subset(decision, scores)

    def _read(self, session: Session, default: bool = False) -> Child:
        child = read_child(session, self.source, self.partial, default=default)
        if default or child.version != self._opened:
            self._opened = child.version
            open_scales(child)
        for decision in child.run.relaxed.values():
            self.join(decision)
        return child

    def _costs(self, session: Session) -> Costs:
        """The static costs that are known: by default the number of parameters."""
        space = session.supernet.space

        def params(architecture: Architecture) -> dict[str, float]:
            trained = space.build(architecture, "meta", 0).parameters()
            return {"params": float(sum(p.numel() for p in trained if p.requires_grad))}

        known_costs = session.costs.of if session.costs else None
        return self.settings.costs or known_costs or params

    def _budgets(self, session: Session, run: RelaxedReading) -> dict[str, ExpectedCost]:
        """Budgets that keep the expected costs within the limits."""
        costs, space = self._costs(session), session.supernet.space
        limits = [x for x in session.limits if x.sign == "<=" and x.bound > 0]
        default_costs = costs(space.default()) if limits else {}

        def budget(limit: Limit) -> ExpectedCost:
            return ExpectedCost(
                space, run.relaxed, run.inside, lambda a: costs(a)[limit.metric], limit.bound
            )

        return {limit.metric: budget(limit) for limit in limits if limit.metric in default_costs}

    def _weights(self, budget: ExpectedCost) -> dict[str, Tensor]:
        return {name: self.probabilities(d) for name, d in budget.relaxed.items()}

    def count(self, run: RelaxedReading) -> None:
        """Count the options that the pass with the current mixes has computed."""
        drawn = {name: self.source[name].drawn for name in run.relaxed}
        for name, decision in run.relaxed.items():
            alive = all(
                drawn[outer] is None or labels_of(run.relaxed[outer]).index(label) in drawn[outer]  # type: ignore[operator]
                for outer, label in run.inside[name]
            )
            if alive:
                labels, places = labels_of(decision), drawn[name]
                for place in range(len(labels)) if places is None else places:
                    self._visits[name, labels[place]] += 1
        for name in run.valued:
            self._visits[name, run.answers[name]] += 1
