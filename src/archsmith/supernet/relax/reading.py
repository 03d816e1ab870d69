"""The third reading of a builder: all options of its choices active at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from torch import nn

from ..._support.errors import SpaceError
from ...space.architecture import Answer
from ...space.decision import Categorical, Decision, Subset
from ...space.reading import Policy, Reading
from ...train import is_norm
from .mixture import MixingWeights, Mixture, Scaled
from .narrow import PartialMixture, narrow

#: A decision whose options are mixed.
Relaxed = Categorical | Subset


def defaults(decision: Decision, _: Mapping[str, Answer]) -> Answer:
    """A policy: the default of each decision."""
    return decision.default


class RelaxedReading(Reading):
    """Builds a mixture of all options for each ``one_of``, and all candidates of each ``subset``.

    Decisions that do not choose modules (``choose``, ``repeat``, subsets of plain values, ...)
    are answered by a policy. A relaxed decision counts as answered by its default.

    Normalisations inside options are built frozen: see :meth:`hold_norms`.

    Args:
        source: where the mixtures look their weights up.
        values: answers the decisions that cannot be relaxed; their defaults if omitted.
        partial: each option of a mixture sees one channel in this many, the others bypass it
            (PC-DARTS); options inside options see all of those.

    Attributes:
        relaxed: relaxed decisions by name, in the order in which they were asked.
        inside: for each of them, the decisions and labels inside whose options it was asked, from
            the outside in (when it was first asked).
        free: for each of them, the places of the options that have no parameters.
        held: the normalisations inside options whose scales would otherwise learn.
    """

    def __init__(
        self, source: MixingWeights, values: Policy = defaults, *, partial: int = 1
    ) -> None:
        super().__init__(self._answer)
        self.source, self.values, self.partial = source, values, partial
        self.relaxed: dict[str, Relaxed] = {}
        self.inside: dict[str, tuple[tuple[str, str], ...]] = {}
        self.free: dict[str, frozenset[int]] = {}
        self.held: list[nn.Module] = []
        self._under: list[tuple[str, str]] = []
        self._relaxing = ""

    @property
    def valued(self) -> tuple[str, ...]:
        """Names of the decisions that the policy answered."""
        return tuple(name for name in self.asked if name not in self.relaxed)

    def one_of(self, decision: Decision, options: Mapping[str, Callable[[], Any]]) -> Any:
        """A :class:`~.mixture.Mixture` of all options."""
        assert isinstance(decision, Categorical)
        self._relax(decision)
        if len(decision.options) == 1:
            return self.build_option(decision.name, *next(iter(options.items())))
        whole = self.partial == 1 or bool(self._under)
        built = self._build(decision, options, 1 if whole else self.partial)
        mixture = (
            Mixture(decision.name, built, self.source)
            if whole
            else PartialMixture(decision.name, built, self.source, self.partial)
        )
        self.mixtures.append(mixture)
        self.mark(mixture)
        return mixture

    def subset(self, decision: Decision, options: Mapping[str, Callable[[], Any]]) -> Any:
        """All candidates by label, each a :class:`~.mixture.Scaled`."""
        assert isinstance(decision, Subset)
        self._relax(decision)
        scaled = {
            label: Scaled(decision.name, label, place, option, self.source)
            for place, (label, option) in enumerate(self._build(decision, options, 1).items())
        }
        self.mixtures.extend(scaled.values())
        candidates = nn.ModuleDict(scaled)
        self.mark(candidates)
        return candidates

    def settle(self, model: nn.Module) -> None:
        """Make copies of mixtures look their weights up where the mixtures do."""
        super().settle(model)
        for mixture in self.mixtures:
            mixture.source = self.source

    def hold_norms(self, option: nn.Module) -> None:
        """Freeze the scales and shifts of an option's normalisations while it is mixed.

        A scale behind the last convolution multiplies the option's output as its mixing weight
        does: what the scale learns, the alphas need not. The differentiable papers build batch
        norms in options without scales (``affine=False``); here they exist and stay fixed, so that
        derived architectures have them. The same goes for every other normalisation of torch.
        """
        for module in option.modules():
            if not is_norm(type(module)):
                continue
            scale = module._parameters.get("weight")
            if scale is not None and scale.requires_grad:
                self.held.append(module)
            for parameter in module.parameters(recurse=False):
                parameter.requires_grad_(False)

    def _relax(self, decision: Relaxed) -> None:
        self._relaxing = decision.name
        self.ask(decision)
        self._relaxing = ""
        self.relaxed.setdefault(decision.name, decision)
        self.inside.setdefault(decision.name, tuple(self._under))

    def _answer(self, decision: Decision, answers: Mapping[str, Answer]) -> Answer:
        if decision.name == self._relaxing:
            return decision.default
        return self.values(decision, answers)

    def _build(
        self, decision: Relaxed, options: Mapping[str, Callable[[], Any]], parts: int
    ) -> dict[str, nn.Module]:
        built: dict[str, nn.Module] = {}
        for label, build in options.items():
            self._under.append((decision.name, label))
            try:
                option = self.build_option(decision.name, label, build)
            finally:
                self._under.pop()
            if not isinstance(option, nn.Module):
                raise SpaceError(
                    f"{decision.name}={label}",
                    "a module, so that options can be mixed",
                    f"a {type(option).__name__}",
                    "make it a module, nn.Identity() for no operation; or use a method that trains "
                    "one option at a time, such as spos",
                )
            narrow(option, parts, f"{decision.name}={label}")
            self.hold_norms(option)
            built[label] = option
        self.free[decision.name] = frozenset(
            place
            for place, option in enumerate(built.values())
            if next(option.parameters(), None) is None
        )
        return built


def labels_of(decision: Relaxed) -> tuple[Answer, ...]:
    """The labels of the options or candidates, in the order of the alphas."""
    return decision.options if isinstance(decision, Categorical) else decision.labels


def size_of(decision: Relaxed) -> int:
    """How many options or candidates there are."""
    return len(labels_of(decision))


def taken(decision: Relaxed) -> float:
    """How many options are taken: 1 of a choice, a subset's size or the mean of its sizes."""
    if isinstance(decision, Categorical):
        return 1.0
    return sum(decision.sizes) / len(decision.sizes)
