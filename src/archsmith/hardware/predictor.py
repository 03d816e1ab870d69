"""A predictor of latency that is made on the device itself."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .._support.errors import InputError
from .._support.trees import Spec, as_spec, example_of, spec_from_json, spec_to_json
from ..space import Space
from ..space.architecture import Architecture
from .blocks import measure_blocks
from .options import FEWEST_SAMPLES, LatencyOptions
from .place import device_name
from .regress import Array, held_out, relative_error
from .sampling import distinct, measure_all
from .ways import Model, Seen, read, ways
from .work import Operation, features, operations

_FORMAT = 1
_SAMPLES = 60
#: A simpler way is taken where its error is at most so many times the least.
_NEAR = 1.02
#: Called with a number of measurements done, and of how many.
OnDone = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Held:
    """What a predictor holds for.

    Attributes:
        device: name of the processor, as the system gives it.
        runtime, batch, threads: see :class:`~.options.LatencyOptions`.
        space: fingerprint of the space.
        inputs: what a model takes, as :func:`~archsmith._support.trees.spec_to_json` has it.
    """

    device: str
    runtime: str
    batch: int
    threads: int
    space: str
    inputs: Any

    def check(self, wanted: Held) -> None:
        """Refuse to be used for something else.

        Raises:
            InputError: with the first thing that differs.
        """
        for name, value in asdict(self).items():
            other = getattr(wanted, name)
            if value != other:
                raise InputError(
                    f"latency predictor, {name}",
                    f"{other}",
                    f"one made for {value}",
                    "make one here, or load it with anywhere=True if its error does not matter",
                )


class LatencyPredictor:
    """Predicts the latency of architectures of one space on one device.

    Its features are those of :mod:`~.work`, which exist for any space: calls, FLOPs and bytes of
    each kind of operation. A linear model with prices that are not negative is fitted to relative
    errors; it is corrected by boosted trees where that has the lower error in cross-validation.
    With a table of blocks a third way stands beside them: the sum of operations that were measured
    alone. :attr:`error` is the error of the one that is used, on architectures that it was not
    fitted to.

    Args:
        space: of the architectures.
        held: what it holds for.
        blocks: times of operations by key, see :func:`~.blocks.measure_blocks`.

    Attributes:
        way: ``linear``, ``boosted`` or ``blocks``: which one is used.
        errors: of each way by cross-validation, relative: 0.05 is five percent off on average.
        samples: architectures it was fitted to, with their times in milliseconds.
    """

    def __init__(self, space: Space, held: Held, blocks: Mapping[str, float] | None = None) -> None:
        self.space, self.held, self.blocks = space, held, dict(blocks or {})
        self.way = ""
        self.errors: dict[str, float] = {}
        self.samples: list[tuple[Architecture, float]] = []
        self._model: Model | None = None

    @classmethod
    def measure(
        cls,
        space: Space,
        inputs: Spec | Sequence[int],
        dtype: str = "float32",
        *,
        device: str = "cpu",
        options: LatencyOptions | None = None,
        blocks: bool = False,
        seed: int = 0,
        on_done: OnDone | None = None,
    ) -> LatencyPredictor:
        """Measure architectures on this machine and fit to them.

        Args:
            inputs: what a model takes: a spec, or the shape of one input with the batch first;
                the batch is that of the options.
            options: runtime, batch, threads, seconds, and how many architectures (60 if not said).
            blocks: measure each different operation alone as well. Not for ONNX Runtime, whose
                operations are others.

        Raises:
            InputError: a space with too few architectures, or blocks for ONNX Runtime.
        """
        options = options or LatencyOptions()
        held = holds_for(space, as_spec(inputs, dtype), device, options)
        if blocks and options.runtime == "onnx":
            raise InputError("blocks", "the runtime eager or exported", "onnx", "leave blocks out")
        architectures = distinct(space, options.samples or _SAMPLES, seed)
        times = measure_all(
            space,
            architectures,
            inputs,
            dtype,
            device=device,
            options=options,
            seed=seed,
            on_done=on_done,
        )
        predictor = cls(space, held)
        if blocks:
            found = [one for a in architectures for one in predictor.operations(a)]
            predictor.blocks = measure_blocks(found, device=device, threads=options.threads)
        predictor.fit(architectures, times, seed)
        return predictor

    def fit(
        self, architectures: Sequence[Architecture], times: Sequence[float], seed: int = 0
    ) -> None:
        """Fit to times in milliseconds, and find out the error by cross-validation.

        Raises:
            InputError: fewer than 8 architectures, or a time that is not above 0.
        """
        if len(architectures) < FEWEST_SAMPLES:
            raise InputError(
                "latency predictor",
                f"{FEWEST_SAMPLES} architectures or more",
                str(len(architectures)),
                "measure each architecture of so small a space",
            )
        if not all(0 < time < np.inf for time in times):
            raise InputError("latency predictor", "times above 0", str(min(times)))
        values = np.array(times, dtype=float)
        seen = [self._see(a) for a in architectures]
        fits = ways(self.blocks)
        found = {name: held_out(fit, seen, values, seed) for name, fit in fits.items()}
        self.errors = {name: relative_error(guess, values) for name, guess in found.items()}
        near = _NEAR * min(self.errors.values()) + 1e-9
        self.way = next(name for name, error in self.errors.items() if error <= near)
        self._model = fits[self.way](seen, values)
        self.samples = list(zip(architectures, map(float, times), strict=True))

    @property
    def error(self) -> float:
        """Mean absolute error relative to the latency, on architectures not fitted to."""
        return self.errors[self.way]

    def predict(self, architectures: Sequence[Architecture]) -> Array:
        """Latencies in milliseconds a batch, (n,)."""
        assert self._model is not None, "fit comes first"
        return self._model.predict([self._see(a) for a in architectures])

    def operations(self, architecture: Architecture) -> list[Operation]:
        """What a pass of an architecture does, at the batch that the predictor holds for."""
        spec, batch = spec_from_json(self.held.inputs), self.held.batch
        with contextlib.suppress(Exception):
            model = self.space.build(architecture, device="meta", seed=0)
            return operations(model, example_of(spec, batch, "meta"))
        # Some models cannot be built or run on meta.
        model = self.space.build(architecture, device="cpu", seed=0)
        return operations(model, example_of(spec, batch))

    def _see(self, architecture: Architecture) -> Seen:
        found = self.operations(architecture)
        return Seen(features(found, architecture), found)

    def describe(self) -> str:
        """In words what it holds for and how good it is."""
        held = self.held
        threads = f"{held.threads} thread" + ("s" if held.threads > 1 else "")
        return (
            f"{held.runtime}, batch {held.batch}, {threads}, {held.device}: {self.way} model of "
            f"{len(self.samples)} architectures, {self.error:.1%} off on average on others"
        )

    def to_json(self) -> dict[str, Any]:
        """As JSON values, for :meth:`from_json`."""
        assert self._model is not None, "fit comes first"
        return {
            "format": _FORMAT,
            "held": asdict(self.held),
            "way": self.way,
            "errors": self.errors,
            "blocks": self.blocks,
            "model": self._model.to_json(),
            "samples": [[a.to_json(), time] for a, time in self.samples],
        }

    @classmethod
    def from_json(
        cls, space: Space, values: Mapping[str, Any], wanted: Held | None = None
    ) -> LatencyPredictor:
        """The inverse of :meth:`to_json`.

        Args:
            wanted: what it is to be used for; ``None`` uses it anywhere.

        Raises:
            InputError: it was made for something else.
        """
        held = _held_in(values)
        if wanted is not None:
            held.check(wanted)
        predictor = cls(space, held, values["blocks"])
        predictor.way, predictor.errors = values["way"], dict(values["errors"])
        predictor.samples = [(Architecture.from_json(a), t) for a, t in values["samples"]]
        predictor._model = read(values["model"])
        return predictor

    def save(self, path: str | Path) -> None:
        """Write it as JSON."""
        Path(path).write_text(json.dumps(self.to_json()), encoding="utf-8")

    @classmethod
    def load(
        cls,
        path: str | Path,
        space: Space,
        *,
        device: str = "cpu",
        options: LatencyOptions | None = None,
        anywhere: bool = False,
    ) -> LatencyPredictor:
        """Read what :meth:`save` wrote.

        Args:
            device, options: what it is to be used for.
            anywhere: use it although it was made for another device, runtime, batch or space.

        Raises:
            InputError: no such file, or made for something else.
        """
        try:
            values = json.loads(Path(path).read_text(encoding="utf-8"))
            spec = spec_from_json(_held_in(values).inputs)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InputError(str(path), "a latency predictor", str(error)) from None
        wanted = None
        if not anywhere:
            wanted = holds_for(space, spec, device, options or LatencyOptions())
        return cls.from_json(space, values, wanted)


def _held_in(values: Mapping[str, Any]) -> Held:
    told = dict(values["held"])
    if "inputs" not in told:  # of an earlier version, which knew models of one input
        told["inputs"] = {"shape": list(told.pop("shape")), "dtype": told.pop("dtype")}
    return Held(**told)


def holds_for(space: Space, inputs: Spec, device: str, options: LatencyOptions) -> Held:
    """What a predictor that is made here, now and with these options holds for."""
    return Held(
        device_name(device),
        options.runtime,
        options.batch,
        options.threads,
        space.fingerprint,
        spec_to_json(inputs),
    )
