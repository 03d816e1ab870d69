"""What an example shows of layers: outputs that are cut, and inputs that were concatenated."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from .._support.errors import InputError
from .._support.trees import Tree
from ..space.architecture import Architecture
from ..space.building import parameter_keys, tell
from .channels import joined_runs
from .concatenation import Joined, Runs, join
from .determinism import cover
from .fused import fused_parts
from .survey_records import Survey

if TYPE_CHECKING:
    from ..space import Space

#: Architectures that are traced for the sizes of concatenated parts.
_COVER = 12


class Tracing:
    """Passes an example through architectures of a survey, as more and more are built.

    Args:
        example: a model input, the batch first; without one nothing is traced.

    Raises:
        InputError: an architecture does not take the example.
    """

    def __init__(self, space: Space, survey: Survey, example: Tree | None) -> None:
        self.space, self.survey, self.example = space, survey, example
        self._parts: dict[str, set[int]] = {}
        self._passed: set[Architecture] = set()
        self._runs: dict[Architecture, Runs] = {}

    def go_on(self) -> None:
        """Trace architectures that together have all layers added since the last time."""
        if self.example is None:
            return
        survey = self.survey
        new = {a: s.shapes.keys() - self._parts.keys() for a, s in survey.seen.items()}
        self._pass([*cover(new), survey.smallest, survey.largest], self.example)
        for key, counts in self._parts.items():
            if len(counts) == 1 and counts != {1}:
                survey.fused[key] = next(iter(counts))
        elastic = self._elastic_keys()
        if elastic:
            sizes = {a: {(k, s.shapes.get(k)) for k in elastic} for a, s in survey.seen.items()}
            self._pass(cover(sizes, _COVER), self.example)
            inputs = {key: self._joined_inputs(key) for key in elastic}
            self.adopt({key: joined for key, joined in inputs.items() if joined is not None})

    def adopt(self, joined: Mapping[str, Joined]) -> None:
        """Record what is concatenated, and make room for parts that are not largest together."""
        self.survey.joined.update(joined)
        for seen in self.survey.seen.values():
            for key in joined.keys() & seen.shapes.keys():
                self.survey.stored[key].hold_joined(joined[key], seen.shapes, seen.shapes[key])

    def _pass(self, architectures: Iterable[Architecture], example: Tree) -> None:
        widths = self._widths()
        for architecture in architectures:
            follow = widths and architecture not in self._runs
            if architecture in self._passed and not follow:
                continue
            run, model = self.space.read(architecture, seed=0)
            keys = parameter_keys(run, model)
            try:
                parts = fused_parts(model, keys, example)
                if follow:
                    self._runs[architecture] = joined_runs(model, keys, example)
            except Exception as error:
                raise InputError(
                    "example",
                    f"an input for all architectures, including {tell(architecture)}",
                    f"{type(error).__name__}: {error}",
                ) from error
            self._passed.add(architecture)
            for key in keys.values():
                self._parts.setdefault(key, set()).add(parts.get(key, 1))

    def _widths(self) -> bool:
        """Whether any number of channels is chosen."""
        first_shapes: dict[str, tuple[int, ...]] = {}
        for seen in self.survey.seen.values():
            for key, shape in seen.shapes.items():
                if first_shapes.setdefault(key, shape[:2]) != shape[:2]:
                    return True
        return False

    def _elastic_keys(self) -> set[str]:
        """Keys of tensors that read concatenated channels whose number varies."""
        keys = set()
        for runs in self._runs.values():
            for key, (dim, parts) in runs.items():
                if parts is not None and len(parts) > 1 and key not in self.survey.joined:
                    shapes = [s.shapes[key] for s in self.survey.seen.values() if key in s.shapes]
                    if len({shape[dim] for shape in shapes}) > 1:
                        keys.add(key)
        return keys

    def _joined_inputs(self, key: str) -> Joined | None:
        """The inputs that a tensor reads, if their sizes are correct wherever it was traced."""
        traced = {a: runs[key] for a, runs in self._runs.items() if key in runs}
        joined = join(list(traced.values()))
        if joined is None:
            return None
        for architecture, (dim, runs) in traced.items():
            shapes = self.survey.seen[architecture].shapes
            sizes = joined.sizes(shapes, shapes[key][dim])
            assert runs is not None
            if sizes is None or [s for s in sizes if s] != [run.size for run in runs]:
                return None
        return joined
