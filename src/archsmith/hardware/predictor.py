"""A latency predictor that is fitted to measurements on the device itself."""

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
#: A simpler way is preferred if its error is at most this factor times the lowest.
_TOLERANCE = 1.02
#: Called with the number of finished measurements and their total number.
OnDone = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Held:
    """The conditions that a predictor is valid for.

    Attributes:
        device: name of the processor, as the system reports it.
        runtime, batch, threads: see :class:`~.options.LatencyOptions`.
        space: fingerprint of the space.
        inputs: inputs of a model, in the form of :func:`~archsmith._support.trees.spec_to_json`.
    """

    device: str
    runtime: str
    batch: int
    threads: int
    space: str
    inputs: Any

    def check(self, wanted: Held) -> None:
        """Refuse to be used under other conditions.

        Raises:
            InputError: names the first condition that differs.
        """
        for name, value in asdict(self).items():
            required = getattr(wanted, name)
            if value != required:
                raise InputError(
                    f"latency predictor, {name}",
                    f"{required}",
                    f"one made for {value}",
                    "fit one here, or load it with anywhere=True if its error does not matter",
                )


class LatencyPredictor:
    """Predicts the latency of architectures of one space on one device.

    Its features are those of :mod:`~.work`, which exist for any space: calls, FLOPs and bytes of
    each kind of operation. A linear model with non-negative coefficients is fitted to relative
    errors; boosted trees correct it if that lowers the error in cross-validation. With a table of
    blocks there is a third way: the sum of operations that were measured alone. :attr:`error` is
    the error of the way that is used, on architectures that it was not fitted to.

    >>> predictor = LatencyPredictor.measure(space, (1, 3, 32, 32))
    >>> predictor.predict([space.default()])  # milliseconds per batch, (1,)

    Args:
        space: of the architectures.
        held: the conditions that it is valid for.
        blocks: times of operations by key, see :func:`~.blocks.measure_blocks`.

    Attributes:
        way: ``linear``, ``boosted`` or ``blocks``: the one that is used.
        errors: relative error of each way in cross-validation: 0.05 is five percent off on average.
        samples: architectures that it was fitted to, with their times in milliseconds.
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
            inputs: inputs of a model: a spec, or the shape of one input with the batch first; the
                batch size is that of the options.
            options: runtime, batch, threads, seconds, and the number of architectures (60 by
                default).
            blocks: also measure each distinct operation alone. Not for ONNX Runtime, whose
                operations are different.

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
            recorded = [one for a in architectures for one in predictor.operations(a)]
            predictor.blocks = measure_blocks(recorded, device=device, threads=options.threads)
        predictor.fit(architectures, times, seed)
        return predictor

    def fit(
        self, architectures: Sequence[Architecture], times: Sequence[float], seed: int = 0
    ) -> None:
        """Fit to times in milliseconds, and estimate the error by cross-validation.

        Raises:
            InputError: fewer than 8 architectures, or a time that is not above 0.
        """
        if len(architectures) < FEWEST_SAMPLES:
            raise InputError(
                "latency predictor",
                f"{FEWEST_SAMPLES} architectures or more",
                str(len(architectures)),
                "in such a small space, measure each architecture",
            )
        if not all(0 < time < np.inf for time in times):
            raise InputError("latency predictor", "times above 0", str(min(times)))
        values = np.array(times, dtype=float)
        descriptions = [self._describe_architecture(a) for a in architectures]
        fits = ways(self.blocks)
        predictions = {
            name: held_out(fit, descriptions, values, seed) for name, fit in fits.items()
        }
        self.errors = {
            name: relative_error(predicted, values) for name, predicted in predictions.items()
        }
        tolerated = _TOLERANCE * min(self.errors.values()) + 1e-9
        self.way = next(name for name, error in self.errors.items() if error <= tolerated)
        self._model = fits[self.way](descriptions, values)
        self.samples = list(zip(architectures, map(float, times), strict=True))

    @property
    def error(self) -> float:
        """Mean absolute error relative to the latency, on architectures that were held out."""
        return self.errors[self.way]

    def predict(self, architectures: Sequence[Architecture]) -> Array:
        """Latencies in milliseconds per batch, (n,)."""
        assert self._model is not None, "call fit first"
        return self._model.predict([self._describe_architecture(a) for a in architectures])

    def operations(self, architecture: Architecture) -> list[Operation]:
        """The operations of a pass of an architecture, at the predictor's batch size."""
        spec, batch = spec_from_json(self.held.inputs), self.held.batch
        with contextlib.suppress(Exception):
            model = self.space.build(architecture, device="meta", seed=0)
            return operations(model, example_of(spec, batch, "meta"))
        # Some models cannot be built or run on meta.
        model = self.space.build(architecture, device="cpu", seed=0)
        return operations(model, example_of(spec, batch))

    def _describe_architecture(self, architecture: Architecture) -> Seen:
        recorded = self.operations(architecture)
        return Seen(features(recorded, architecture), recorded)

    def describe(self) -> str:
        """A readable line: the conditions that it is valid for, and its error."""
        held = self.held
        threads = f"{held.threads} thread" + ("s" if held.threads > 1 else "")
        return (
            f"{held.runtime}, batch {held.batch}, {threads}, {held.device}: {self.way} model of "
            f"{len(self.samples)} architectures, {self.error:.1%} off on average on others"
        )

    def to_json(self) -> dict[str, Any]:
        """As JSON values, for :meth:`from_json`."""
        assert self._model is not None, "call fit first"
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
            wanted: the conditions that it is to be used under; ``None`` allows any.

        Raises:
            InputError: it was fitted for other conditions.
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
            device, options: the conditions that it is to be used under.
            anywhere: use it even if it was fitted for another device, runtime, batch or space.

        Raises:
            InputError: no such file, or a predictor that was fitted for other conditions.
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
    fields = dict(values["held"])
    if "inputs" not in fields:  # stored by an earlier version, for models with one input
        fields["inputs"] = {"shape": list(fields.pop("shape")), "dtype": fields.pop("dtype")}
    return Held(**fields)


def holds_for(space: Space, inputs: Spec, device: str, options: LatencyOptions) -> Held:
    """The conditions that a predictor fitted now, on this device and with these options, is valid
    for."""
    return Held(
        device_name(device),
        options.runtime,
        options.batch,
        options.threads,
        space.fingerprint,
        spec_to_json(inputs),
    )
