"""A reference model trained to be compared with the winner, and the files that keep it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .._support.errors import InputError
from .._support.weights import read, write
from ..history.paired import Comparison
from ..space.ordinary import ordinary
from ..task.contracts import references_of
from ..task.references import NetworkReference

if TYPE_CHECKING:
    from torch import Tensor, nn

    from ..task.problem import Problem

#: Incremented when a file of the same key would be made in another way.
FORMAT = "3"
#: How a reference is made comparable, in words that follow its name.
AT = {
    "time": "",
    "params": " at the winner's parameters",
    "latency_ms": " at the winner's latency",
}


@dataclass
class Baseline:
    """A reference model: how it was trained, its figures and how the winner compares with it.

    Attributes:
        name: of the reference.
        key: of its training, for notes and files: the same data, recipe, device and budget give
            the same key.
        at: what it shares with the winner: ``"time"`` (the reference as it was published, trained
            for the time of the whole search if that was limited), ``"params"`` or ``"latency_ms"``
            (widened or narrowed to the winner's value).
        scale: factor of its widths.
        epochs: that it was trained; 0 if the time decided, or for a model without epochs.
        settings: chosen on the validation part, for such a model.
        seed: of its training.
        validation, test: metrics. Of one trained on the validation part, too, ``validation`` is
            empty.
        costs, measured, curve, seconds: as of a :class:`~archsmith.workflow.finalist.Finalist`.
        comparison: of the winner with it on the test examples; ``None`` if the task's metrics are
            not means over examples.
        weights: state dict, on the CPU; empty for a model that is not a network.
        parts: each test example's part of a metric.
        checksum: of the file that keeps both.
        problem: what it was trained for; ``None`` if only the notes of a study were read.
    """

    name: str
    key: str
    scale: float
    seed: int
    epochs: int = 0
    at: str = "time"
    settings: dict[str, float] = field(default_factory=dict)
    validation: dict[str, float] = field(default_factory=dict)
    test: dict[str, float] = field(default_factory=dict)
    costs: dict[str, float] = field(default_factory=dict)
    measured: dict[str, Any] = field(default_factory=dict, repr=False)
    curve: list[dict[str, float]] = field(default_factory=list, repr=False)
    seconds: float = 0.0
    comparison: Comparison | None = None
    weights: dict[str, Tensor] = field(default_factory=dict, repr=False)
    parts: dict[str, Tensor] = field(default_factory=dict, repr=False)
    checksum: str = field(default="", repr=False)
    problem: Problem | None = field(default=None, repr=False, compare=False)

    @property
    def label(self) -> str:
        """Its name, and what it shares with the winner if its widths were changed for that."""
        return self.name + AT.get(self.at, "")

    @property
    def words(self) -> str:
        """How the winner compares with it, as a sentence without its subject."""
        if self.comparison is not None:
            return self.comparison.words
        return f"not compared with {self.label}: no metric is a mean over test examples"

    @property
    @ordinary()
    def model(self) -> nn.Module:
        """A fresh copy of the trained network, on the CPU and in evaluation mode.

        Raises:
            InputError: the weights are not loaded, or it is not a network.
        """
        if self.problem is None or not self.weights:
            raise InputError(f"reference {self.name}", "a network with its weights", "figures")
        return network_of(self.problem, self).eval()

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values: everything but tensors and the problem."""
        plain = {
            name: value
            for name, value in vars(self).items()
            if name not in ("weights", "parts", "problem", "comparison")
        }
        if self.comparison is not None:
            plain["comparison"] = self.comparison.to_json() | {"words": self.words}
        return plain

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Baseline:
        """The inverse of :meth:`to_json`, without tensors.

        Raises:
            KeyError, TypeError, ValueError: the values have another form.
        """
        noted = values.get("comparison")
        comparison = Comparison.from_json(noted) if noted else None
        return cls(**{**values, "comparison": comparison})


def network_of(problem: Problem, baseline: Baseline) -> nn.Module:
    """The network of a baseline, with its weights if they are loaded."""
    reference = next(r for r in references_of(problem.task) if r.name == baseline.name)
    assert isinstance(reference, NetworkReference)
    arguments = problem.task.arguments(problem.data.facts)
    model = reference.build(arguments, baseline.seed, baseline.scale)
    if baseline.weights:
        model.load_state_dict(baseline.weights)
    return model


def noted_baselines(notes: Mapping[str, Any]) -> list[Baseline]:
    """The baselines in the notes of a study, without tensors.

    Raises:
        KeyError, TypeError, ValueError: the notes have another form.
    """
    return [Baseline.from_json(values) for values in notes.get("baselines") or ()]


def path_of(folder: Path, key: str) -> Path:
    """Where a run folder or a cache keeps a baseline."""
    return folder / f"reference-{key}.safetensors"


def save(folder: Path, baseline: Baseline) -> str:
    """Write weights, test parts and figures as one file; returns its checksum.

    Raises:
        StoreError: it cannot be written.
    """
    tensors = {f"weights.{name}": value for name, value in baseline.weights.items()}
    tensors |= {f"parts.{name}": value for name, value in baseline.parts.items()}
    notes = {n: v for n, v in baseline.to_json().items() if n not in ("comparison", "checksum")}
    header = {"format": FORMAT, "baseline": json.dumps(notes | {"at": "time"}, sort_keys=True)}
    return write(path_of(folder, baseline.key), tensors, header)


def load(folder: Path, key: str, checksum: str = "") -> Baseline:
    """What :func:`save` wrote.

    Raises:
        InputError: there is no such file, or it is damaged or another one.
    """
    path = path_of(folder, key)
    tensors, header = read(path, checksum)
    try:
        baseline = Baseline.from_json(json.loads(header["baseline"]))
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(str(path), "a reference that was trained", str(error)) from None
    if header.get("format") != FORMAT or baseline.key != key:
        raise InputError(str(path), f"reference {key}", "another one")
    for name, tensor in tensors.items():
        kind, _, rest = name.partition(".")
        (baseline.weights if kind == "weights" else baseline.parts)[rest] = tensor
    return baseline


def digest_of(values: Mapping[str, Any]) -> str:
    """16 hex digits of JSON values."""
    text = json.dumps(values, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def recipe_values(problem: Problem, limited: bool) -> dict[str, Any]:
    """The recipe as JSON values, without the epochs if the time decides on them."""
    values = asdict(problem.recipe)
    return {n: v for n, v in values.items() if not (limited and n == "epochs")}
