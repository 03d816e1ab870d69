"""One store of weights for all architectures of a space."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from .._support.errors import SpaceError
from .._support.trees import Tree
from ..space.architecture import Answer, Architecture
from ..space.building import architecture_policy, parameter_keys, refuse_extra
from ..space.reading import Reading
from .header import FORMAT, check_header
from .initial_values import first_values
from .kernels import Sizes, elastic_kernels, matrices, name_of, shrink
from .lending import Place, distinct, lend, uninitialised
from .slicing import SlicingRule, fits_layout
from .store import WeightStore, beyond, filled
from .survey import Surveyor
from .survey_records import Stored, Survey

if TYPE_CHECKING:
    from ..space import Space

_TAG = "|"


class Supernet(WeightStore):
    """One store of weights, of which every architecture of a space uses a part (weight sharing).

    A child is the user's own module, built for one architecture, whose parameters and buffers are
    parts of the stored tensors: leading channels, centred kernels, each gate of an LSTM separately
    (see :mod:`~archsmith.supernet.slicing`). Training it trains the store. The store is an
    ``nn.Module``: its parameters go to an optimiser, ``DistributedDataParallel`` (with
    ``find_unused_parameters=True``) wraps it, ``to`` moves it. A parameter that no architecture of
    a step used has no gradient, so torch's optimisers leave it and its momentum alone. Inside a
    stored tensor of which a step used a part, momentum and weight decay move the rest as well:
    docs/benchmarks.md compares that with leaving the rest alone.

    Weight sharing: Pham et al. 2018 (ENAS, arXiv:1802.03268); single paths: Guo et al. 2020 (SPOS,
    arXiv:1904.00420); elastic sizes: Cai et al. 2020 (Once-for-All, arXiv:1908.09791).

    Args:
        space: any space whose builder uses torch layers; it is built a few hundred times, without
            filling memory, to learn its shapes.
        seed: of the initial weights.
        device: of the weights and of the modules that are built.
        example: a model input, on the CPU, the batch first. Passing it through shows which of the
            user's own linear layers are cut into queries, keys and values, or a value and its
            gate: each part then shrinks to its own prefix.

    Raises:
        InputError: an architecture does not take the example.
        SpaceError: the weights cannot be shared: a name with two meanings, shapes of which neither
            is part of the other, a builder that draws random numbers.

    Example:
        >>> net = nas.Supernet(space)
        >>> child = net.subnet(space.sample(random.Random(0)))   # a plain module, lent weights
        >>> loss(child(x), y).backward(); optimizer.step()       # over net.parameters()
        >>> plain = net.extract(architecture)                    # with weights of its own
    """

    _kernels: dict[str, Sizes]

    def __init__(
        self,
        space: Space,
        *,
        seed: int = 0,
        device: str | torch.device = "cpu",
        example: Tree | None = None,
    ) -> None:
        super().__init__()
        self.space, self.seed, self._example = space, seed, example
        self._start()
        self.to(device)

    @property
    def splits(self) -> tuple[str, ...]:
        """Decisions by which the weights have been split."""
        return tuple(value for event, value in self._events if event == "split")

    def subnet(self, architecture: Architecture, *, own_buffers: bool = False) -> nn.Module:
        """The architecture's module over lent weights; gradients reach :meth:`parameters`.

        It is built again at each call, which costs a few milliseconds, and is valid until the
        weights next change: a part of a fused tensor may be a copy. It is in training mode.

        Args:
            own_buffers: its buffers (BatchNorm statistics) are copies, so that it can be
                recalibrated and evaluated without changing the store.

        Raises:
            SpaceError: the architecture does not belong to the space.
        """
        run, model = self._read(architecture)
        keys = self._keys(architecture, run, model)
        return self._lend(model, run, keys, own_buffers)

    def read(self, run: Reading) -> nn.Module:
        """What the builder returns under any reading, on this device, with no tensors filled."""
        with uninitialised():
            return self.space.run(run, str(self.device))

    def builds(self, architecture: Architecture) -> bool:
        """Whether the builder takes an architecture; a walk of the space may lead to another."""
        try:
            self._read(architecture)
        except SpaceError:
            return False
        return True

    def lacks(self, model: nn.Module, run: Reading) -> bool:
        """Whether a module returned by :meth:`read` needs more weights than are stored."""
        return self._lacks(model, run, parameter_keys(run, model))

    def _lacks(self, model: nn.Module, run: Reading, keys: Mapping[str, str]) -> bool:
        tag, shapes = self._tag(run.answers), self.survey.shapes(model, keys)
        for key, place in distinct(model, keys):
            stored = self.get(tag + key)
            missing = stored is None or beyond(stored.shape, place.tensor.shape)
            if not missing and key in self.survey.joined:
                rule = self.survey.rule(key, place, shapes)
                missing = not fits_layout(rule, self.survey.room(key))
            if missing and key not in self.survey.constants:
                return True
        return False

    def lend(self, model: nn.Module, run: Reading, *, own_buffers: bool = False) -> nn.Module:
        """Put lent weights into a module returned by :meth:`read`, and return it.

        Raises:
            SpaceError: one of its weights is not in the store.
        """
        return self._lend(model, run, parameter_keys(run, model), own_buffers)

    def _lend(
        self, model: nn.Module, run: Reading, keys: Mapping[str, str], own_buffers: bool
    ) -> nn.Module:
        tag, shapes = self._tag(run.answers), self.survey.shapes(model, keys)

        def lent(key: str, place: Place) -> Tensor | None:
            if key in self.survey.constants:
                return None
            rule = self.survey.rule(key, place, shapes)
            shape = place.tensor.shape
            stored = self.get(tag + key)
            if stored is None or beyond(stored.shape, shape):
                raise SpaceError(
                    f"weights {key}",
                    "a part of the supernet",
                    f"shape {tuple(shape)}, where the store has "
                    f"{'nothing' if stored is None else tuple(stored.shape)}",
                )
            part = self._part(key, tag, stored, shape, rule)
            if place.trained and place.computed:
                part = part.contiguous()  # sums over other strides round differently
            if place.trained and not place.tensor.requires_grad:
                part = part.detach()  # frozen in this architecture
            return part.clone() if own_buffers and not place.trained else part

        lend(model, keys, lent)
        return model

    def extract(self, architecture: Architecture) -> nn.Module:
        """A plain module that computes what :meth:`subnet` does, with weights of its own.

        It contains nothing of archsmith: it pickles, exports and compiles like a handwritten one.

        Raises:
            SpaceError: the architecture does not belong to the space.
        """
        run, model = self._read(architecture)
        keys = self._keys(architecture, run, model)
        tag, shapes = self._tag(run.answers), self.survey.shapes(model, keys)

        def own(key: str, place: Place) -> Tensor | None:
            if key in self.survey.constants:
                return None
            stored = self.get(tag + key)
            assert stored is not None
            rule = self.survey.rule(key, place, shapes)
            part = self._part(key, tag, stored, place.tensor.shape, rule).detach()
            copy = part.clone(memory_format=torch.contiguous_format)
            return nn.Parameter(copy, place.tensor.requires_grad) if place.trained else copy

        lend(model, keys, own)
        return model

    def forward(self, *inputs: Any, architecture: Architecture) -> Any:
        """The outputs of the architecture's subnet for the inputs, in this module's mode."""
        return self.subnet(architecture).train(self.training)(*inputs)

    def split(self, decision: str) -> None:
        """Separate the weights by the answer to a decision (few-shot NAS, arXiv:2006.06863).

        Each answer continues with a copy of all weights. Optimisers must be given the new
        parameters.

        Raises:
            SpaceError: not a decision of every architecture that was seen, or already split.
        """
        seen = self.survey.seen.values()
        if decision in self.splits or not all(decision in s.decisions for s in seen):
            raise SpaceError(
                decision,
                "a decision that all architectures are asked, not split by before",
                "another",
                "space.decisions(space.default()) has them",
            )
        asked = next(iter(seen)).decisions[decision]
        seen_answers = [s.architecture[decision] for s in seen]
        answers = list(dict.fromkeys([*seen_answers, *(asked.answers() if asked.listed else ())]))
        for key, tensor in list(self.stored()):
            self.remove(key)
            base, tags = self._split_key(key)
            for answer in answers:
                trained = isinstance(tensor, nn.Parameter)
                name = f"{tags}{decision}={answer}{_TAG}{base}"
                self.put(name, tensor.detach().clone(), trained, tensor.requires_grad)
        self._events.append(("split", decision))
        self.version += 1

    def transform_kernels(self) -> None:
        """Put learned matrices between kernels of different size (Once-for-All).

        They begin as identities, which changes nothing. Optimisers must be given the new ones.
        """
        if self._kernels:
            return
        self._kernels = elastic_kernels(self.survey)
        for key, matrix in matrices(self._kernels):
            self.put(key, matrix.to(self.device), trained=True)
        self._events.append(("transform", ""))
        self.version += 1

    def _part(
        self, key: str, tag: str, stored: Tensor, wanted: torch.Size, rule: SlicingRule
    ) -> Tensor:
        """The part of a stored tensor that a layer uses."""
        room, sizes = self.survey.room(key), self._kernels.get(key, [])
        return shrink(
            stored, wanted, rule, room, sizes, lambda size: self.get(tag + name_of(key, size))
        )

    def facts(self, key: str) -> Stored | None:
        """The survey's record of a key of :meth:`stored`; ``None`` for matrices between kernels."""
        return self.survey.stored.get(self._split_key(key)[0])

    def save(self, path: str | Path) -> None:
        """Write the weights as a safetensors file, completely or not at all."""
        from .._support.weights import write

        write(Path(path), dict(self.stored()), self._meta())

    @classmethod
    def load(
        cls, path: str | Path, space: Space, *, device: str | torch.device = "cpu"
    ) -> Supernet:
        """A supernet from a file of :meth:`save`.

        Raises:
            InputError: no such file, one of another kind, or of another space.
        """
        from .._support.weights import read

        tensors, meta = read(Path(path))
        check_header(meta, space, str(path))
        net = cls(space, seed=int(meta["seed"]), device=device)
        net.restore(tensors, meta, str(path))
        return net

    @staticmethod
    def check(path: str | Path, space: Space) -> None:
        """Check a file of :meth:`save` without reading its weights.

        Raises:
            InputError: as :meth:`load`.
        """
        from .._support.weights import header

        check_header(header(Path(path)), space, str(path))

    def restore(self, tensors: Mapping[str, Tensor], meta: Mapping[str, str], source: str) -> None:
        """Load the content of a file of :meth:`save`: its weights, and which ones there are.

        Raises:
            InputError: they are not those of this space.
        """
        drawn, events = int(meta["drawn"]), json.loads(meta["events"])
        self._example = None  # from here on, weights are cut as they were when trained
        if self._events or self.survey.drawn != drawn:
            self._start(drawn)
        self._surveyor.example = None
        self.survey.fused = json.loads(meta["fused"])
        joined, aligned = (json.loads(meta.get(name, "{}")) for name in ("joined", "aligned"))
        if self._surveyor.adopt(joined, aligned):
            self._refill()
        for event, value in events:
            if event == "split":
                self.split(value)
            elif event == "transform":
                self.transform_kernels()
            else:
                self._admit(Architecture.from_json(value))
        self.fill_from(tensors, source)

    def _meta(self) -> dict[str, str]:
        return {
            "format": str(FORMAT),
            "space": self.space.name,
            "arguments": json.dumps(self.space.plain_arguments()),
            "fingerprint": self.space.fingerprint,
            "seed": str(self.seed),
            "drawn": str(self.survey.drawn),
            "events": json.dumps(self._events),
            "fused": json.dumps(self.survey.fused),
            "joined": json.dumps({k: joined.to_json() for k, joined in self.survey.joined.items()}),
            "aligned": json.dumps(self.survey.aligned),
        }

    def _read(self, architecture: Architecture) -> tuple[Reading, nn.Module]:
        run = Reading(architecture_policy(architecture))
        model = self.read(run)
        refuse_extra(architecture, run.asked)
        return run, model

    def _keys(self, architecture: Architecture, run: Reading, model: nn.Module) -> dict[str, str]:
        """The keys of a model, after adding weights that the survey has not seen to the store."""
        keys = parameter_keys(run, model)
        if self._lacks(model, run, keys):
            self._admit(architecture)
        return keys

    def _admit(self, architecture: Architecture) -> None:
        """Make room for an architecture that needs more than was seen before."""
        before = {key: dict(facts.layout) for key, facts in self.survey.stored.items()}
        self._surveyor.build(architecture)
        computed = self._surveyor.settle()
        for key, _ in list(self.stored()):
            if self._split_key(key)[0] in computed:
                self.remove(key)
        self._events.append(("admit", architecture.to_json()))
        run, model = self.space.read(architecture, seed=self.seed)
        tag, keys = self._tag(run.answers), parameter_keys(run, model)
        shapes = self.survey.shapes(model, keys)
        for key, place in distinct(model, keys):
            stored = self.get(tag + key)
            if key in self.survey.constants:
                continue
            whole = filled(place.tensor, self.survey.stored[key].shape, self._generator())
            if stored is None:
                grad = self.survey.stored[key].grad
                self.put(tag + key, whole.to(self.device), place.trained, grad)
            elif beyond(stored.shape, whole.shape):
                rule = replace(self.survey.rule(key, place, shapes), groups=0)
                equal = [part for part in rule.parts if isinstance(part[1], int)]
                rule = replace(rule, parts=(*equal, *before[key].items()))
                self.grow(tag + key, whole.to(self.device), rule, self.survey.room(key))
        self.version += 1

    def _start(self, drawn: int | None = None) -> None:
        """Survey the space and fill the store again; ``drawn`` as in :meth:`Surveyor.look`."""
        self._surveyor = Surveyor(self.space, self.seed, self._example)
        self.survey: Survey = self._surveyor.look(drawn)
        #: Changes of the store since, in order: loading a file repeats them.
        self._events: list[tuple[str, Any]] = []
        self._kernels = {}
        self._refill()

    def _refill(self) -> None:
        device = self.device
        for key, _ in list(self.stored()):
            self.remove(key)
        values = first_values(self.space, self.survey, self.seed, self._generator())
        for key, value in values.items():
            facts = self.survey.stored[key]
            self.put(key, value, facts.trained, facts.grad)
        self.to(device)
        self.version += 1

    def _generator(self) -> torch.Generator:
        return torch.Generator().manual_seed(self.seed)

    def _tag(self, answers: Mapping[str, Answer]) -> str:
        return "".join(f"{name}={answers[name]}{_TAG}" for name in self.splits)

    def _split_key(self, key: str) -> tuple[str, str]:
        """A stored key as the key of the space and the tags of splits before it."""
        base = key
        while base not in self.survey.stored and _TAG in base:  # labels may hold the sign as well
            base = base.partition(_TAG)[2]
        return base, key[: len(key) - len(base)]
