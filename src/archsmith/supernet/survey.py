"""What must be known of a space before weights can be shared, found by building architectures."""

from __future__ import annotations

import contextlib
import random
import time
from collections.abc import Hashable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.modules.conv import _ConvNd

from .._support.errors import SpaceError
from .._support.trees import Tree
from ..space.architecture import Answer, Architecture
from ..space.building import BuilderError, architecture_policy, parameter_keys, tell
from ..space.decision import Decision
from ..space.reading import Policy, Reading
from ..space.tree import replay
from ..space.typical import typical_answers
from .alignment import Kernel, alignment, kernel_of, unclear
from .concatenation import Joined
from .determinism import cover, random_buffers, refuse_unsteady
from .effects import note_effects
from .identity import Naming, identities
from .lending import Place, distinct, uninitialised
from .origins import Made, watched
from .shifting import rows_of
from .slicing import SlicingRule, flaw, take
from .survey_records import Seen, Stored, Survey
from .tracing import Tracing

if TYPE_CHECKING:
    from ..space import Space

#: The survey ends after this many random architectures in a row that bring nothing new.
_QUIET = 24
#: Limit on the decisions of the largest architecture, plus a multiple of the default's.
_BOUND, _TIMES = 64, 4
#: Architectures that are built repeatedly, to check that the result is the same.
_COVER = 12
#: Architectures with the largest kernel for which one is sought that differs only in it.
_PAIRS = 4
#: Seconds after which the survey makes only the sweeps.
_SECONDS = 10.0


class Surveyor:
    """Builds architectures without filling them, and records what they need.

    Raises:
        SpaceError: weights cannot be shared in this space; with the decision and the parameter.
    """

    def __init__(self, space: Space, seed: int = 0, example: Tree | None = None) -> None:
        self.space, self.example, self.survey = space, example, Survey()
        self._rng = random.Random(seed)
        self._naming = Naming()
        self._buffers: dict[str, list[tuple[Tensor, SlicingRule]]] = {}
        self._settled: set[Hashable] = set()
        self._random: set[str] = set()
        self._tracing = Tracing(space, self.survey, example)
        self._kernels: dict[str, set[Kernel]] = {}

    def look(self, drawn: int | None = None) -> Survey:
        """Survey around the default, the largest and the smallest; then random architectures.

        Args:
            drawn: number of random ones, to repeat an earlier survey; by default, until they
                bring nothing new.
        """
        space, survey = self.space, self.survey
        default = self.build(space.default())
        refuse_unsteady(space, [default.architecture])
        survey.smallest = self._extreme(default, -1).architecture
        largest = self._extreme(default, 1)
        survey.largest = largest.architecture
        for start in (largest, default):
            for seen in self._sweep(start):
                note_effects(survey, start, seen)
        self._draw(drawn)
        self._align()
        self.settle()
        return survey

    def _draw(self, count: int | None) -> None:
        began, quiet = time.monotonic(), 0
        while self.survey.drawn != count:
            late = time.monotonic() - began > _SECONDS
            if count is None and (quiet == _QUIET or late):
                break
            before = self._extent()
            with contextlib.suppress(BuilderError):  # the checks before a search report it
                self.build(self.space.sample(self._rng))
            quiet = quiet + 1 if self._extent() == before else 0
            self.survey.drawn += 1

    def settle(self) -> set[str]:
        """Classify the buffers of new architectures, and refuse those drawn at random.

        Returns:
            Keys of buffers that turned out to be constants of the architecture.
        """
        seen = self.survey.seen
        items: dict[Architecture, set[Hashable]] = {}
        for architecture, record in seen.items():
            options: set[Hashable] = {(name, architecture[name]) for name in record.options}
            items[architecture] = (options | record.shapes.keys()) - self._settled
        refuse_unsteady(self.space, cover(items, _COVER))
        self._settled.update(*items.values())
        computed = self._computed_buffers() - self.survey.constants - self._random
        for architecture in cover({a: computed & s.shapes.keys() for a, s in seen.items()}):
            self._random |= random_buffers(self.space, architecture)
        self.survey.constants |= computed - self._random
        self._tracing.go_on()
        return computed - self._random

    def adopt(self, joined: Mapping[str, Any], aligned: Mapping[str, Any]) -> bool:
        """Take over what another survey saw in its example; whether that changes layouts."""
        inputs = {key: Joined.from_json(values) for key, values in joined.items()}
        self.survey.aligned = {k: tuple((d, end) for d, end in v) for k, v in aligned.items()}
        self._tracing = Tracing(self.space, self.survey, None)
        self._tracing.adopt(inputs)
        return bool(inputs)

    def _align(self) -> None:
        """Find where kernels lie if their padding does not show it."""
        for key in [key for key, kernels in self._kernels.items() if unclear(kernels)]:
            if key in self.survey.aligned:
                continue
            pair = self._pair(key)
            if pair is not None:
                self.survey.aligned |= alignment(self.space, *pair, self.example)

    def _pair(self, key: str) -> tuple[Architecture, Architecture] | None:
        """Two architectures that differ in one decision, and in the size of this kernel."""

        def area(seen: Seen) -> int:
            return seen.shapes[key][2:].numel()

        having = [seen for seen in self.survey.seen.values() if key in seen.shapes]
        for large in sorted(having, key=area, reverse=True)[:_PAIRS]:
            for decision in large.decisions.values():
                for small in self._change(large, decision):
                    if key in small.shapes and area(small) < area(large):
                        return small.architecture, large.architecture
        return None

    def build(self, architecture: Architecture) -> Seen:
        """Build one architecture and compare it with what is known."""
        known = self.survey.seen.get(architecture)
        return known or self._record(*self._read(architecture_policy(architecture)))

    def _record(self, run: Reading, model: nn.Module, origins: Mapping[int, Made]) -> Seen:
        architecture = Architecture(run.answers)
        known = self.survey.seen.get(architecture)
        if known is not None:
            return known
        keys = parameter_keys(run, model)
        self._naming.take(identities(model, run, keys, origins), tuple(run.asked))
        places = dict(distinct(model, keys))
        for key, place in places.items():
            _refuse_lazy(key, place)
        shapes = {key: place.tensor.shape for key, place in places.items()}
        size = sum(place.tensor.numel() for place in places.values() if place.trained)
        for key, place in places.items():
            self._take(key, place, shapes, architecture)
        options = frozenset(name for _, name, _ in run.origins)
        asked, rows = dict(run.asked), rows_of(model, _automatic_keys(keys, run))
        seen = Seen(architecture, shapes, size, options, asked, rows)
        self.survey.seen[architecture] = seen
        return seen

    def _read(self, policy: Policy) -> tuple[Reading, nn.Module, dict[int, Made]]:
        run = Reading(policy)
        with watched(run) as origins, uninitialised():
            model = self.space.run(run)
        return run, model, origins

    def _take(
        self, key: str, place: Place, shapes: Mapping[str, torch.Size], architecture: Architecture
    ) -> None:
        layer, tensor = place.layer, place.tensor
        stored = self.survey.stored.get(key)
        if stored is None:
            stored = self.survey.stored[key] = Stored(
                tensor.shape,
                tensor.dtype,
                place.trained,
                tensor.requires_grad,
                type(layer),
                set(),
                (architecture, tensor.shape),
            )
        if isinstance(layer, _ConvNd):
            depthwise = 1 < layer.groups == layer.in_channels
            stored.groups.add(0 if depthwise else layer.groups)
        kernel = kernel_of(place)
        if kernel is not None:
            self._kernels.setdefault(key, set()).add(kernel)
        rule = self.survey.rule(key, place, shapes)
        self._check(key, stored, rule, tensor, architecture)
        stored.hold(rule, tensor.shape)
        stored.grad = stored.grad or tensor.requires_grad
        if not place.trained and not isinstance(layer, _NormBase):
            values = self._buffers.setdefault(key, [])
            # Each value once: the mask of a transformer may be larger than its weights.
            if not any(torch.equal(tensor, value) for value, _ in values):
                values.append((tensor.detach().clone(), rule))

    def _check(
        self,
        key: str,
        stored: Stored,
        rule: SlicingRule,
        tensor: Tensor,
        architecture: Architecture,
    ) -> None:
        reason = flaw(rule, stored.shape, tensor.shape)
        if tensor.dtype != stored.dtype:
            reason = f"{tensor.dtype} instead of {stored.dtype}"
        if reason:
            before, shape = stored.first
            raise SpaceError(
                f"parameter {key}",
                "shapes of which one is part of the other",
                f"{tuple(tensor.shape)} and {tuple(shape)}: {reason}; "
                f"decisions that differ: {_describe_differences(before, architecture)}",
                "build the kinds under different names, as nas.one_of options are, or register how "
                "the layer shrinks: nas.slice_rule(Layer)",
            )

    def _extreme(self, start: Seen, sign: int) -> Seen:
        """The architecture with the most (1) or fewest (-1) weights, one decision at a time."""
        best, asked = start, True
        visited: set[str] = set()
        # In an unbounded space there is always a larger one.
        most = _BOUND + _TIMES * len(start.decisions)
        while asked and len(visited) < most:
            asked = False
            for name, decision in best.decisions.items():
                if name in visited:
                    continue
                visited.add(name)
                asked = True
                for seen in self._change(best, decision):
                    if sign * seen.size > sign * best.size:
                        best = seen
                break
        return best

    def _sweep(self, start: Seen) -> Iterator[Seen]:
        for decision in start.decisions.values():
            yield from self._change(start, decision)

    def _change(self, start: Seen, decision: Decision) -> list[Seen]:
        """The architecture with other answers to one decision, where the builder takes them."""
        variants = []
        for answer in typical_answers(decision):
            if answer == start.architecture[decision.name]:
                continue
            # Not completed first: where the space does not know what is asked, that is a build.
            changed = replay({**start.architecture, decision.name: answer})
            with contextlib.suppress(BuilderError):
                variants.append(self._record(*self._read(changed)))
        return variants

    def _extent(self) -> tuple[int, int]:
        stored = self.survey.stored.values()
        return len(stored), sum(s.shape.numel() for s in stored)

    def _computed_buffers(self) -> set[str]:
        """Keys of buffers that are not part of one another, such as those computed from sizes."""
        keys = set()
        for key, values in self._buffers.items():
            stored = self.survey.stored[key]
            whole = next((v for v, _ in values if v.shape == stored.shape), None)
            if whole is None:
                keys.add(key)
                continue
            parts = (take(whole, v.shape, rule, stored.layout) for v, rule in values)
            if not all(torch.equal(p, v) for p, (v, _) in zip(parts, values, strict=True)):
                keys.add(key)
        return keys


def _automatic_keys(keys: Mapping[str, str], run: Reading) -> dict[str, str]:
    """The keys that come from places in the model, not from the user."""
    user_named = tuple(f"{path}." for path in run.named)
    return {name: key for name, key in keys.items() if not name.startswith(user_named)}


def _refuse_lazy(key: str, place: Place) -> None:
    if nn.parameter.is_lazy(place.tensor):
        raise SpaceError(
            f"parameter {key}",
            "a shape that is known when the model is built",
            f"a lazy layer, {type(place.layer).__name__}",
            "give the layer its sizes",
        )


def _describe_differences(one: Mapping[str, Answer], two: Mapping[str, Answer]) -> str:
    names = [n for n in {**one, **two} if one.get(n, ...) != two.get(n, ...)]
    return tell({n: two[n] for n in names if n in two}) + (
        f" against {tell({n: one[n] for n in names if n in one})}"
    )
