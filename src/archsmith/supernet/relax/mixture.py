"""Modules that represent a choice while all options are active, and the weights that mix them.

A mixture holds no weights of its own: before each pass they are set from outside, by decision, in a
:class:`MixingWeights` that all mixtures of a network read. So a decision that is asked in several
places (the cells of a network) is mixed identically in all of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_iter

from ..._support.errors import SpaceError

#: Names that a module's child cannot have.
_TAKEN = frozenset(dir(nn.Module())) | {"decision", "labels", "source", "names", "mend", "option"}
MEND = (
    "give the options one output shape (a stride, padding or 1x1 convolution in those that "
    "differ), or use a method that trains one option at a time, such as spos"
)
_INSIDE = (
    "use only what all options return, or wrap each in a module that returns just that: "
    "forward(self, x): out, _ = self.rnn(x); return out; or use a method that trains one option "
    "at a time, such as spos"
)


@dataclass(frozen=True, slots=True)
class Mix:
    """How a decision is mixed in one pass.

    Attributes:
        weights: (options,).
        drawn: places of the options that are computed; ``None`` for all of them.
        scale: (), of the mixture as a whole, including channels that bypass it.
        bypass: weight of the input itself, added if it has the output's shape.
    """

    weights: Tensor
    drawn: tuple[int, ...] | None = None
    scale: Tensor | None = None
    bypass: float = 0.0


class MixingWeights:
    """The mixes of the coming pass by decision, set by a method and read by mixtures."""

    def __init__(self) -> None:
        self._mixes: dict[str, Mix] = {}
        self._split: dict[str, tuple[Tensor, ...]] = {}

    def __reduce__(self) -> tuple[Any, ...]:
        # A builder may copy a mixture at any time, while the weights are part of some graph.
        return MixingWeights, ()

    def set(self, mixes: Mapping[str, Mix]) -> None:
        """Replace all mixes."""
        self._mixes = dict(mixes)
        # Unbound once for all mixtures of a decision: there may be dozens.
        self._split = {name: mix.weights.unbind() for name, mix in mixes.items()}

    def __getitem__(self, decision: str) -> Mix:
        return self._mixes[decision]

    def weights(self, decision: str) -> tuple[Tensor, ...]:
        """One weight per option, each ()."""
        return self._split[decision]


class Mixture(nn.Module):
    """The weighted sum of all options of a ``one_of``.

    Args:
        decision: its full name.
        options: label to module. They become children, named by their labels where valid.
        source: where the weights are looked up at each pass.
    """

    hint: ClassVar[str] = MEND

    def __init__(
        self, decision: str, options: Mapping[str, nn.Module], source: MixingWeights
    ) -> None:
        super().__init__()
        self.decision, self.labels, self.source = decision, tuple(options), source
        for label, option in options.items():
            self.add_module(child_name(label), option)
        self.names = tuple(map(child_name, options))

    def option(self, place: int) -> nn.Module:
        """The module of an option by its place among the labels."""
        option = self._modules[self.names[place]]
        assert option is not None
        return option

    def forward(self, *inputs: Any, **named: Any) -> Any:
        """The weighted sum of the options' outputs (tensors, or tuples, lists and dicts of them).

        Where options differ in a part of their outputs, that part is an :class:`Unlike`.

        Raises:
            SpaceError: two options differ in the shape of their outputs.
        """
        mix = self.source[self.decision]
        out = self._sum(mix, inputs, named)
        if mix.bypass and _shape(out) == _shape(inputs[0]):
            out = out + mix.bypass * inputs[0]
        return out if mix.scale is None else _map(lambda t: t * mix.scale, out, self.decision)

    def _sum(self, mix: Mix, inputs: tuple[Any, ...], named: dict[str, Any]) -> Any:
        weights = self.source.weights(self.decision)
        places = range(len(self.labels)) if mix.drawn is None else mix.drawn
        outs = [self.option(place)(*inputs, **named) for place in places]
        unlike = _Unlikes(self.decision, [self.labels[place] for place in places], self.hint)
        total = _mix_values(outs, [weights[place] for place in places], unlike)
        if isinstance(total, Unlike):
            raise total.error
        return total


class Unlike:
    """A part that mixed options do not have in common; using it in any way is an error."""

    def __init__(self, error: SpaceError) -> None:
        self.error = error

    def __getattr__(self, name: str) -> Any:
        raise self.error

    def _use(self, *_: Any, **__: Any) -> Any:
        raise self.error

    @classmethod
    def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        raise next(value for value in tree_iter((args, kwargs)) if isinstance(value, cls)).error

    __add__ = __radd__ = __mul__ = __rmul__ = __sub__ = __rsub__ = __truediv__ = _use
    __getitem__ = __iter__ = __len__ = __bool__ = __matmul__ = __neg__ = __call__ = _use


@dataclass(frozen=True)
class _Unlikes:
    """Builds the error for a part that options do not have in common."""

    decision: str
    labels: list[str]
    hint: str

    def __call__(self, values: list[Any]) -> Unlike:
        shapes = list(map(_shape, values))
        place = next((n for n, shape in enumerate(shapes) if shape != shapes[0]), -1)
        one, other = _format_shape(shapes[0]), _format_shape(shapes[place])
        plain = all(isinstance(value, Tensor) for value in values)
        return Unlike(
            SpaceError(
                self.decision,
                "options that can be mixed, of one output shape",
                f"{one} from {self.labels[0]!r} and {other} from {self.labels[place]!r}",
                self.hint if plain else _INSIDE,
            )
        )


class Scaled(nn.Module):
    """One candidate of a ``subset``, its output times its weight.

    A candidate that was not drawn outputs zeros of the shape that its output would have.

    Args:
        decision: its full name.
        label, place: of the candidate, and its place among the labels.
        option: the candidate.
        source: where the weight is looked up at each pass.
    """

    def __init__(
        self, decision: str, label: str, place: int, option: nn.Module, source: MixingWeights
    ) -> None:
        super().__init__()
        self.decision, self.labels, self.source = decision, (label,), source
        self.place, self.names = place, (child_name(label),)
        self.add_module(self.names[0], option)
        self._shapes: dict[Any, Any] = {}

    def option(self, place: int) -> nn.Module:
        """The candidate."""
        option = self._modules[self.names[0]]
        assert option is not None
        assert place == self.place
        return option

    def forward(self, *inputs: Any, **named: Any) -> Any:
        mix = self.source[self.decision]
        weight = self.source.weights(self.decision)[self.place]
        if mix.drawn is not None and self.place not in mix.drawn:
            return self._zeros(inputs, named)
        out = self.option(self.place)(*inputs, **named)
        self._note(inputs, named, out)
        return _map(lambda t: t * weight, out, self.decision)

    def _note(self, inputs: tuple[Any, ...], named: dict[str, Any], out: Any) -> None:
        first = inputs[0] if len(inputs) == 1 and not named else None
        if isinstance(first, Tensor) and isinstance(out, Tensor):
            self._shapes[first.shape] = (out.shape, out.dtype)

    def _zeros(self, inputs: tuple[Any, ...], named: dict[str, Any]) -> Any:
        """Zeros of the output's shape; the candidate and all random numbers are left untouched."""
        first = inputs[0] if len(inputs) == 1 and not named else None
        if isinstance(first, Tensor) and first.shape in self._shapes:
            shape, dtype = self._shapes[first.shape]
            return first.new_zeros(shape, dtype=dtype)
        option = self.option(self.place)
        modes = {module: module.training for module in option.modules()}
        with torch.no_grad(), torch.random.fork_rng(devices=_devices(inputs)):
            # Statistics of normalisation would move in training mode.
            out = option.eval()(*inputs, **named)
        for module, mode in modes.items():
            module.training = mode
        self._note(inputs, named, out)
        # Contiguous, like those above: another layout would round differently further on.
        return _map(lambda t: t.new_zeros(t.shape), out, self.decision)


def _devices(inputs: tuple[Any, ...]) -> list[torch.device]:
    """The GPUs of tensors among the inputs."""
    devices = (value.device for value in inputs if isinstance(value, Tensor))
    return list({device for device in devices if device.type == "cuda"})


def child_name(label: str) -> str:
    """The name of an option's module inside a mixture: its label, or a variant of it."""
    return f"{label}_" if label in _TAKEN else label


def weighted_sum(outs: list[Tensor], weights: list[Tensor]) -> Tensor:
    """The sum of tensors of one shape, each times a scalar tensor."""
    total = outs[0] * weights[0]
    for out, weight in zip(outs[1:], weights[1:], strict=True):
        total = total + out * weight
    return total


def _mix_values(values: list[Any], weights: list[Tensor], unlike: _Unlikes) -> Any:
    """The weighted sum of values of one structure, whose tensors have the same shapes."""
    first = values[0]
    if all(isinstance(value, Tensor) and value.shape == first.shape for value in values):
        return weighted_sum(values, weights)
    if all(type(value) is type(first) for value in values):
        if isinstance(first, tuple | list) and len({len(value) for value in values}) == 1:
            return _rebuild(
                first, [_mix_values(list(v), weights, unlike) for v in zip(*values, strict=True)]
            )
        if isinstance(first, dict) and all(value.keys() == first.keys() for value in values):
            return {key: _mix_values([v[key] for v in values], weights, unlike) for key in first}
        if first is None:
            return None
    return unlike(values)


def _rebuild(one: Any, parts: list[Any]) -> Any:
    """A tuple or list of the same kind, a named tuple too."""
    return type(one)(*parts) if hasattr(one, "_fields") else type(one)(parts)


def _map(function: Any, value: Any, decision: str) -> Any:
    """Apply a function to each tensor of nested tuples, lists and dicts."""
    if isinstance(value, Tensor):
        return function(value)
    if isinstance(value, tuple | list):
        return _rebuild(value, [_map(function, item, decision) for item in value])
    if isinstance(value, dict):
        return {key: _map(function, item, decision) for key, item in value.items()}
    if value is None or isinstance(value, Unlike):
        return value
    raise SpaceError(
        decision,
        "options that return tensors, or tuples, lists and dicts of them",
        f"a {type(value).__name__}",
        _INSIDE,
    )


def _shape(value: Any) -> Any:
    """Shapes in the structure of the value; the type of anything that is not a tensor."""
    if isinstance(value, Tensor):
        return value.shape
    if isinstance(value, tuple | list):
        return tuple(_shape(item) for item in value)
    if isinstance(value, dict):
        return {key: _shape(item) for key, item in value.items()}
    return type(value).__name__


def _format_shape(shape: Any) -> str:
    if isinstance(shape, tuple) and not isinstance(shape, torch.Size):
        return f"({', '.join(map(_format_shape, shape))})"
    return str(tuple(shape)) if isinstance(shape, torch.Size) else str(shape)
