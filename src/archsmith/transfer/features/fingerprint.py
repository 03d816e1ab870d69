"""Digests of a model and its inputs by content: the key under which features are stored."""

from __future__ import annotations

import enum
import hashlib
import types
import weakref
from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from ..._support.errors import InputError
from ..._support.trees import leaves, map_tensors

_PLAIN = (
    type(None),
    bool,
    int,
    float,
    complex,
    str,
    bytes,
    enum.Enum,
    torch.dtype,
    torch.device,
    torch.Size,
)
#: Equal ones may or may not be one object, so identity carries no meaning.
_VALUES = (tuple, frozenset, types.MethodType, partial)
#: Attributes that ``nn.Module`` keeps for itself.
_OWN = frozenset(vars(nn.Module()))


class Digest:
    """A running SHA-256 of named values."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()
        self._seen: dict[int, int] = {}
        self._alive: list[Any] = []  # an id identifies an object only while it lives

    def add(self, *texts: object) -> None:
        """Hash texts, each with its length, so that no two lists of them run together."""
        for text in texts:
            data = str(text).encode()
            self._hash.update(f"{len(data)}:".encode())
            self._hash.update(data)

    def tensor(self, tensor: Tensor) -> None:
        """Hash a tensor's type, shape and bytes."""
        self.add(tensor.dtype, tuple(tensor.shape))
        self.content(tensor)

    def content(self, tensor: Tensor) -> None:
        """Hash only a tensor's bytes."""
        if tensor.is_meta:
            raise InputError("cache", "tensors with values", "one on meta")
        flat = tensor.detach().cpu().contiguous().reshape(-1)
        if flat.numel():
            self._hash.update(flat.view(torch.uint8).numpy().data)

    def value(self, value: Any, place: str) -> None:
        """Hash any attribute.

        Raises:
            InputError: its content cannot be determined.
        """
        if isinstance(value, Tensor):
            self.tensor(value)
        elif isinstance(value, _PLAIN):
            self.add(type(value).__name__, repr(value))
        elif isinstance(value, _VALUES):
            self._object(value, place)
        elif id(value) in self._seen:
            self.add("seen", self._seen[id(value)])
        else:
            self._seen[id(value)] = len(self._seen)
            self._alive.append(value)
            self._object(value, place)

    def _object(self, value: Any, place: str) -> None:
        self.add(type(value).__qualname__)
        if isinstance(value, nn.Module):
            self._module(value, place)
        elif isinstance(value, Mapping):
            self._items(value.items(), place)
        elif isinstance(value, weakref.ReferenceType):
            self.value(value(), place)
        elif isinstance(value, tuple | list):
            self._items(enumerate(value), place)
        elif isinstance(value, set | frozenset):
            self.add(*sorted(map(repr, value)))
        elif isinstance(value, type | types.BuiltinFunctionType | types.ModuleType):
            self.add(getattr(value, "__module__", ""), getattr(value, "__qualname__", value))
        elif isinstance(value, types.FunctionType):
            self._function(value, place)
        elif isinstance(value, types.MethodType):
            self.value(value.__func__, place)
            self.value(value.__self__, place)
        elif isinstance(value, partial):
            self._items([("f", value.func), ("a", value.args), ("k", value.keywords)], place)
        elif type(value).__module__ == "numpy":
            self.add(str(value.dtype), value.shape, value.tobytes())
        elif hasattr(value, "__dict__"):
            self._items(vars(value).items(), place)
        elif " at 0x" not in repr(value):
            self.add(repr(value))
        else:
            raise InputError(
                "cache",
                "a model whose attributes can be compared by content",
                f"{place} of type {type(value).__name__}",
                "leave the cache out",
            )

    def _items(self, items: Iterable[tuple[Any, Any]], place: str) -> None:
        for key, item in items:
            self.add("item")
            self.value(key, place)
            self.value(item, f"{place}.{key}")

    def _function(self, function: types.FunctionType, place: str) -> None:
        self.add(function.__module__, function.__qualname__)
        self._code(function.__code__)
        self.value(function.__defaults__, place)
        self.value(function.__kwdefaults__, place)
        for cell in function.__closure__ or ():
            try:
                self.value(cell.cell_contents, place)
            except ValueError:  # a cell that is not filled yet
                self.add("empty")

    def _code(self, code: types.CodeType) -> None:
        self.add(code.co_code.hex(), code.co_names)
        for constant in code.co_consts:
            if isinstance(constant, types.CodeType):
                self._code(constant)
            elif isinstance(constant, frozenset):
                self.add(*sorted(map(repr, constant)))
            else:
                self.add(repr(constant))

    def _module(self, module: nn.Module, place: str) -> None:
        kind = type(module)
        self.add(kind.__module__, kind.__qualname__)
        if not kind.__module__.startswith("torch."):
            # A class whose code changed under the same name is another model.
            for ancestor in kind.__mro__:
                if ancestor is not object and not ancestor.__module__.startswith("torch."):
                    self._items(_functions(ancestor), place)
        for name, tensor in (*module._parameters.items(), *module._buffers.items()):
            self.add("tensor", name)
            self.value(tensor, place)
        own = ((name, value) for name, value in vars(module).items() if name not in _OWN)
        self._items(own, place)
        # Hooks may change a module's output; their keys count the hooks of the whole process.
        hooks = (*module._forward_pre_hooks.values(), *module._forward_hooks.values())
        self._items(enumerate(hooks), place)
        self._items(module._modules.items(), place)

    def hex(self) -> str:
        """The digest as 64 hex digits."""
        return self._hash.hexdigest()


def inputs_digest(batches: Iterable[Any]) -> str:
    """A digest of prepared inputs, independent of how they are cut into batches."""
    frame, columns, last, count = Digest(), list[Digest](), "", 0
    for batch in batches:
        tensors = list(leaves(batch))
        # The structure around the tensors, and their shapes, which batches may pad differently.
        around = repr(map_tensors(lambda t: (t.dtype, tuple(t.shape[1:])), batch))
        if around != last:
            frame.add(count, around)
            last = around
        columns += [Digest() for _ in tensors[len(columns) :]]
        for column, tensor in zip(columns, tensors, strict=False):
            column.content(tensor)
        count += len(tensors[0])
    frame.add(count, *(column.hex() for column in columns))
    return frame.hex()


def _functions(kind: type) -> list[tuple[str, types.FunctionType]]:
    """The functions that a class itself defines, by name."""
    functions = []
    for name, value in vars(kind).items():
        inner = getattr(value, "__func__", None) or getattr(value, "fget", None) or value
        if isinstance(inner, types.FunctionType):
            functions.append((name, inner))
    return functions


def model_digest(model: nn.Module) -> str:
    """A digest of what determines a model's output: weights, attributes, class code, hooks.

    Functions outside its classes that its code calls count only by name.

    Raises:
        InputError: an attribute whose content cannot be determined.
    """
    digest = Digest()
    digest.add(torch.__version__)
    digest.value(model, type(model).__name__)
    return digest.hex()
