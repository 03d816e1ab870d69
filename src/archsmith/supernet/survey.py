"""What has to be known of a space before weights can be shared, found by building and looking."""

from __future__ import annotations

import contextlib
import random
import time
from collections.abc import Hashable, Iterator, Mapping
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.modules.conv import _ConvNd

from ..errors import InputError, SpaceError
from ..space.architecture import Answer, Architecture
from ..space.building import BuilderError, architecture_policy, parameter_keys, tell
from ..space.decision import Decision
from ..space.reading import Reading
from ..space.typical import typical_answers
from .fused import fused_parts
from .keys import Made, Naming, identities, watched
from .known import Seen, Stored, Survey
from .lending import Place, distinct, uninitialised
from .shifting import refuse_shift, rows_of
from .slicing import SlicingRule, flaw, take
from .steady import cover, random_buffers, refuse_unsteady

if TYPE_CHECKING:
    from ..space import Space

#: Random architectures in a row that bring nothing new end the survey.
_QUIET = 24
#: Decisions that the largest architecture may have, and beside those a multiple of the default's.
_BOUND, _TIMES = 64, 4
#: Architectures that are built repeatedly, to see whether they come out the same.
_COVER = 12
#: Seconds after which the survey looks no further than the sweeps.
_SECONDS = 10.0


class Surveyor:
    """Builds architectures without filling them, and takes note.

    Raises:
        SpaceError: weights cannot be shared in this space; with the decision and the parameter.
    """

    def __init__(self, space: Space, seed: int = 0, example: Tensor | None = None) -> None:
        self.space, self.example, self.survey = space, example, Survey()
        self._rng = random.Random(seed)
        self._naming = Naming()
        self._buffers: dict[str, list[Tensor]] = {}
        self._settled: set[Hashable] = set()
        self._random: set[str] = set()
        self._parts: dict[str, set[int]] = {}

    def look(self, drawn: int | None = None) -> Survey:
        """Sweeps around the default, the largest and the smallest; then random architectures.

        Args:
            drawn: how many random ones, to repeat an earlier survey; until they bring nothing new,
                by default.
        """
        space, survey = self.space, self.survey
        default = self.build(space.default())
        refuse_unsteady(space, [default.architecture])
        survey.smallest = self._extreme(default, -1).architecture
        largest = self._extreme(default, 1)
        survey.largest = largest.architecture
        for start in (largest, default):
            for seen in self._sweep(start):
                self._note_effects(start, seen)
        self._draw(drawn)
        self.settle()
        return survey

    def _draw(self, count: int | None) -> None:
        began, quiet = time.monotonic(), 0
        while self.survey.drawn != count:
            late = time.monotonic() - began > _SECONDS
            if count is None and (quiet == _QUIET or late):
                break
            known = self._extent()
            with contextlib.suppress(BuilderError):  # the checks before a search tell of it
                self.build(self.space.sample(self._rng))
            quiet = quiet + 1 if self._extent() == known else 0
            self.survey.drawn += 1

    def settle(self) -> set[str]:
        """Sort the buffers of what was built since the last time, and refuse what draws at random.

        Returns:
            Keys of buffers that turned out to be constants of the architecture.
        """
        seen = self.survey.seen
        items: dict[Architecture, set[Hashable]] = {}
        for architecture, was in seen.items():
            options: set[Hashable] = {(name, architecture[name]) for name in was.options}
            items[architecture] = (options | was.shapes.keys()) - self._settled
        refuse_unsteady(self.space, cover(items, _COVER))
        self._settled.update(*items.values())
        found = self._computed() - self.survey.constants - self._random
        for architecture in cover({a: found & s.shapes.keys() for a, s in seen.items()}):
            self._random |= random_buffers(self.space, architecture)
        self.survey.constants |= found - self._random
        self._follow()
        return found - self._random

    def _follow(self) -> None:
        """Pass the example through architectures that together have all layers."""
        if self.example is None:
            return
        new = {a: s.shapes.keys() - self._parts.keys() for a, s in self.survey.seen.items()}
        for architecture in {*cover(new), self.survey.smallest, self.survey.largest}:
            run, model = self.space.read(architecture, seed=0)
            keys = parameter_keys(run, model)
            try:
                parts = fused_parts(model, keys, self.example)
            except Exception as error:
                raise InputError(
                    "example", f"an input for all architectures, {tell(architecture)} too",
                    f"{type(error).__name__}: {error}",
                ) from error  # fmt: skip
            for key in keys.values():
                self._parts.setdefault(key, set()).add(parts.get(key, 1))
        for key, met in self._parts.items():
            if len(met) == 1 and met != {1}:
                self.survey.fused[key] = next(iter(met))

    def build(self, architecture: Architecture) -> Seen:
        """Build one architecture and hold it against what is known."""
        known = self.survey.seen.get(architecture)
        if known is not None:
            return known
        run, model, made = self._read(architecture)
        keys = parameter_keys(run, model)
        shapes: dict[str, torch.Size] = {}
        size = 0
        self._naming.take(identities(model, run, keys, made), tuple(run.asked))
        for key, place in distinct(model, keys):
            _refuse_lazy(key, place)
            shapes[key] = place.tensor.shape
            size += place.tensor.numel() if place.trained else 0
            self._take(key, place, architecture)
        options = frozenset(name for _, name, _ in run.origins)
        asked, rows = dict(run.asked), rows_of(model, keys)
        seen = Seen(architecture, shapes, size, options, asked, rows)
        self.survey.seen[architecture] = seen
        return seen

    def _read(self, architecture: Architecture) -> tuple[Reading, nn.Module, dict[int, Made]]:
        run = Reading(architecture_policy(architecture))
        with watched(run) as made, uninitialised():
            model = self.space.run(run)
        return run, model, made

    def _take(self, key: str, place: Place, architecture: Architecture) -> None:
        layer, tensor = place.layer, place.tensor
        stored = self.survey.stored.get(key)
        if stored is None:
            stored = self.survey.stored[key] = Stored(
                tensor.shape, tensor.dtype, place.trained, tensor.requires_grad, type(layer),
                self.survey.rule(key, place), set(), (architecture, tensor.shape),
            )  # fmt: skip
        if isinstance(layer, _ConvNd):
            depthwise = 1 < layer.groups == layer.in_channels
            stored.groups.add(0 if depthwise else layer.groups)
        self._check(key, stored, self.survey.rule(key, place), tensor, architecture)
        stored.shape = torch.Size(map(max, stored.shape, tensor.shape))
        stored.grad = stored.grad or tensor.requires_grad
        if not place.trained and not isinstance(layer, _NormBase):
            met = self._buffers.setdefault(key, [])
            # Each value once: the mask of a transformer may be larger than its weights.
            if not any(torch.equal(tensor, value) for value in met):
                met.append(tensor.detach().clone())

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
            reason = f"{tensor.dtype} beside {stored.dtype}"
        if reason:
            before, shape = stored.first
            raise SpaceError(
                f"parameter {key}", "shapes of which one is part of the other",
                f"{tuple(tensor.shape)} beside {tuple(shape)}: {reason}; "
                f"decisions that differ: {_differing(before, architecture)}",
                "build the kinds under different names, as nas.one_of options are, or register how "
                "the layer shrinks: nas.slice_rule(Layer)",
            )  # fmt: skip

    def _extreme(self, start: Seen, sign: int) -> Seen:
        """The architecture with the most (1) or fewest (-1) weights, one decision after another."""
        best, asked = start, True
        met: set[str] = set()
        # In a space without a bound larger ones come up for ever.
        most = _BOUND + _TIMES * len(start.decisions)
        while asked and len(met) < most:
            asked = False
            for name, decision in best.decisions.items():
                if name in met:
                    continue
                met.add(name)
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
        """The architecture with other answers to one decision, as far as the builder takes them."""
        found = []
        for answer in typical_answers(decision):
            if answer == start.architecture[decision.name]:
                continue
            try:
                changed = self.space.complete({**start.architecture, decision.name: answer})
                found.append(self.build(changed))
            except BuilderError:
                continue
        return found

    def _note_effects(self, start: Seen, seen: Seen) -> None:
        changed = [
            name for name, answer in seen.architecture.items()
            if name in start.architecture and start.architecture[name] != answer
        ]  # fmt: skip
        if len(changed) != 1:
            return
        name = changed[0]
        answers = start.architecture[name], seen.architecture[name]
        refuse_shift(start.rows, seen.rows, name, answers)
        effect = self._effect(name, start, seen)
        if _WEIGHT[effect] > _WEIGHT.get(self.survey.effects.get(name, ""), -1):
            self.survey.effects[name] = effect

    def _effect(self, name: str, start: Seen, seen: Seen) -> str:
        if name in start.options:
            return "operation"
        one, two = start.shapes, seen.shapes
        differing = [(one[key], two[key]) for key in one if one[key] != two.get(key, one[key])]
        if any(a[:2] != b[:2] for a, b in differing):
            return "width"
        if one.keys() != two.keys():
            nested = one.keys() <= two.keys() or two.keys() <= one.keys()
            return "depth" if nested else "operation"
        return "kernel" if differing else "value"

    def _extent(self) -> tuple[int, int]:
        stored = self.survey.stored.values()
        return len(stored), sum(s.shape.numel() for s in stored)

    def _computed(self) -> set[str]:
        """Keys of buffers that are not part of one another, as those computed from sizes are."""
        found = set()
        for key, values in self._buffers.items():
            stored = self.survey.stored[key]
            whole = next((v for v in values if v.shape == stored.shape), None)
            if whole is None:
                found.add(key)
                continue
            parts = (take(whole, v.shape, stored.rule) for v in values)
            if not all(torch.equal(p, v) for p, v in zip(parts, values, strict=True)):
                found.add(key)
        return found


_WEIGHT = {"value": 0, "kernel": 1, "width": 2, "depth": 3, "operation": 4}


def _refuse_lazy(key: str, place: Place) -> None:
    if nn.parameter.is_lazy(place.tensor):
        raise SpaceError(
            f"parameter {key}", "a shape that is known when the model is built",
            f"a lazy layer, {type(place.layer).__name__}", "give the layer its sizes",
        )  # fmt: skip


def _differing(one: Mapping[str, Answer], two: Mapping[str, Answer]) -> str:
    names = [n for n in {**one, **two} if one.get(n, ...) != two.get(n, ...)]
    return tell({n: two[n] for n in names if n in two}) + (
        f" against {tell({n: one[n] for n in names if n in one})}"
    )
