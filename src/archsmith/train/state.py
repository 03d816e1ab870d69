"""The state of a training, from which it can be continued: safetensors and JSON, never pickled."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor, nn

from .._support.errors import MISFITS, InputError
from .._support.weights import read, write

#: Key of the file's header for everything but tensors.
_HEADER = "training"


@dataclass(frozen=True)
class TrainingState:
    """A training after some of its steps, on the CPU.

    Attributes:
        tensors: by name, with a first part that says what it belongs to: ``model`` (a state dict),
            ``average``, ``loss`` (a learned loss), ``optimizer``, ``random`` (generators).
        step: steps taken.
        batches: steps of an epoch.
        epoch: complete epochs.
        position: steps taken since then.
        skipped: batches taken since the pass over the data began that ``random.order`` belongs to.
        total: sum of the losses of the steps since the last complete epoch.
        optimizer: its name in the recipe.
        device: type of the device, whose random generators are known.
        seed: of the subset of the data, if it was not fixed otherwise.
        rows: the curve of the complete epochs.
        half: whether the forward pass was in bfloat16 on a CPU.
    """

    tensors: Mapping[str, Any]
    step: int
    batches: int
    epoch: int
    position: int
    skipped: int
    total: float
    optimizer: str
    device: str
    seed: int
    rows: Sequence[Mapping[str, float]] = ()
    half: bool = False

    @property
    def epochs(self) -> float:
        """Epochs that were trained, the last one perhaps in part."""
        return self.epoch + self.position / self.batches

    def part(self, name: str) -> dict[str, Any]:
        """The tensors of a part, such as ``"model"``, by their own names."""
        start = f"{name}."
        return {n[len(start) :]: t for n, t in self.tensors.items() if n.startswith(start)}

    def write(self, path: Path) -> None:
        """Write a file, replacing an older one atomically.

        Raises:
            StoreError: it cannot be written.
            InputError: a model with extra state that a file cannot store.
        """
        facts = asdict(self) | {"rows": [dict(row) for row in self.rows]}
        del facts["tensors"]
        write(path, self.tensors, {_HEADER: json.dumps(facts)})

    @classmethod
    def read(cls, path: Path) -> Self:
        """The state in a file.

        Raises:
            InputError: no such file, or one that is damaged or of another kind.
        """
        tensors, header = read(path)
        try:
            state = cls(tensors, **json.loads(header[_HEADER]))
            if not (0 <= state.position < state.batches and 0 <= state.epoch <= state.step):
                raise ValueError("counters that contradict each other")
        except MISFITS as error:
            raise InputError(str(path), "the state of a training", repr(error)) from None
        return state


def moments_of(
    optimizer: torch.optim.Optimizer, names: Mapping[int, str], where: str = "optimizer"
) -> dict[str, Tensor]:
    """What an optimiser remembers of each parameter, copied to the CPU.

    Args:
        names: of the parameters, by their ``id``.
    """
    return {
        f"{where}.{key}.{names[id(parameter)]}": value.detach().to("cpu", copy=True)
        for parameter, values in optimizer.state.items()
        for key, value in values.items()
        if isinstance(value, Tensor)
    }


def load_moments(
    optimizer: torch.optim.Optimizer, names: Mapping[int, str], moments: Mapping[str, Tensor]
) -> None:
    """Continue with what :func:`moments_of` returned, without the first part of the names.

    A parameter that it does not know, such as one of a new head, begins anew.
    """
    by_name: dict[str, dict[str, Tensor]] = {}
    for full, value in moments.items():
        key, _, name = full.partition(".")
        by_name.setdefault(name, {})[key] = value.clone()  # it changes in place
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    known = {i: by_name.get(names[id(p)]) for i, p in enumerate(parameters)}
    state = {i: values for i, values in known.items() if values is not None}
    optimizer.load_state_dict(optimizer.state_dict() | {"state": state})
    for parameter, values in optimizer.state.items():  # fused optimisers expect one memory layout
        for key, value in values.items():
            if isinstance(value, Tensor) and value.shape == parameter.shape:
                values[key] = torch.empty_like(parameter, dtype=value.dtype).copy_(value)


def random_states(device: torch.device, **generators: torch.Generator) -> dict[str, Tensor]:
    """The states of torch's global generators and of those given."""
    states = {name: generator.get_state() for name, generator in generators.items()}
    states["global"] = torch.random.get_rng_state()
    if device.type == "cuda":
        states["cuda"] = torch.cuda.get_rng_state(device)
    return {f"random.{name}": state.clone() for name, state in states.items()}


def load_random_states(
    states: Mapping[str, Tensor], device: torch.device, **generators: torch.Generator
) -> None:
    """Set the generators to the states that :func:`random_states` returned."""
    torch.random.set_rng_state(states["global"])
    if device.type == "cuda":
        torch.cuda.set_rng_state(states["cuda"], device)
    for name, generator in generators.items():
        generator.set_state(states[name])


def load_model(model: nn.Module, state: Mapping[str, Any], what: str) -> None:
    """Load a state dict.

    Raises:
        InputError: it does not fit.
    """
    try:
        model.load_state_dict(state)
    except Exception as error:  # set_extra_state is the user's code
        reason = " ".join(str(error).split())[:200]
        raise InputError("start", f"the state of a training of this {what}", reason) from error
