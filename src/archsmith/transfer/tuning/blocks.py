"""A model as its blocks, from the input to the output; freezing them."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase

from torch import nn

from ..._support.errors import InputError
from ...train import is_norm


@dataclass(frozen=True)
class Block:
    """A part of a model that is frozen, trained or adapted as a unit.

    Attributes:
        name: of its first module, or of a parameter outside any block.
        modules: names of the modules that it consists of, in order.
        parameters: names of the model's parameters in it.
    """

    name: str
    modules: tuple[str, ...]
    parameters: tuple[str, ...]


def layers_in_order(model: nn.Module) -> list[Block]:
    """The blocks of a model in the order of registration, which is usually that of use.

    The model itself is divided, and so are containers of composed parts (a stage of residual
    blocks), modules that hold a list of blocks, and a module of stages that has more than half of
    the parameters (a backbone below a head). Anything else stays whole: a residual block, a
    transformer layer, a stem of convolution, norm and activation. A
    normalisation belongs to the block before it, adjacent embeddings are one block, and
    parameters of the model itself belong to the block after them. Each parameter is in one block.
    """
    seen: set[int] = set()
    half = sum(p.numel() for p in model.parameters()) / 2
    blocks = [block for block in _parts(model, "", True, half, seen) if block.parameters]
    return _merge_blocks(model, blocks)


def freeze(model: nn.Module, patterns: str | Iterable[str]) -> list[str]:
    """Freeze parameters, so that they are not trained; returns their names.

    Args:
        patterns: names of modules (all inside them) or parameters, where ``*`` matches
            anything: ``"stem"``, ``"stage1.*"``, ``"*.bias"``, ``"*"``.

    Raises:
        InputError: a pattern that matches nothing.
    """
    names = matching(model, patterns)
    for name in names:
        model.get_parameter(name).requires_grad_(False)
    return names


def matching(model: nn.Module, patterns: str | Iterable[str]) -> list[str]:
    """Names of the parameters that the patterns of :func:`freeze` match, in the model's order.

    Raises:
        InputError: a pattern that matches nothing.
    """
    listed = [patterns] if isinstance(patterns, str) else list(patterns)
    matched: dict[str, None] = {}
    names = [name for name, _ in model.named_parameters()]
    for pattern in listed:
        matches = [name for name in names if any(fnmatchcase(n, pattern) for n in _upward(name))]
        if not matches:
            raise no_match(pattern, dict.fromkeys(n for name in names for n in _upward(name)))
        matched.update(dict.fromkeys(matches))
    return [name for name in names if name in matched]


def no_match(pattern: str, names: Iterable[str]) -> InputError:
    """An error for a pattern that matches nothing, with similar names."""
    near = difflib.get_close_matches(pattern.strip("*."), list(names), n=3, cutoff=0.3)
    hint = f"similar names: {', '.join(near)}" if near else None
    return InputError(f"pattern {pattern!r}", "a name in the model", "no match", hint)


def trained(model: nn.Module) -> int:
    """How many numbers are trained."""
    return sum(p.numel() for p in model.parameters() if p.requires_grad)


def _upward(name: str) -> Iterator[str]:
    """A parameter's name and those of the modules around it."""
    while name:
        yield name
        name = name.rpartition(".")[0]


def _parts(
    module: nn.Module, name: str, root: bool, half: float, seen: set[int]
) -> Iterator[Block]:
    children = [(n, c) for n, c in module.named_children() if _has_parameters(c)]
    apart = root or _is_stack(module)
    if not apart and sum(p.numel() for p in module.parameters()) > half:
        apart = any(_is_stack(child) for _, child in children)
    if not (children and apart):
        yield _block(module, name, seen)
        return
    own = [n for n, p in module.named_parameters(name, recurse=False) if _is_first_use(p, seen)]
    if own:
        yield Block(own[0], (), tuple(own))
    for last, child in children:
        inner = f"{name}.{last}" if name else last
        # Around a single module the root is a wrapper, and that module the model.
        yield from _parts(child, inner, root and len(children) == 1 and not own, half, seen)


def _is_stack(module: nn.Module) -> bool:
    """Whether a module below the root is a stack of blocks, not a block."""
    children = [child for child in module.children() if _has_parameters(child)]
    composed = [any(map(_has_parameters, child.children())) for child in children]
    if isinstance(module, nn.ModuleList | nn.ModuleDict):
        return len(children) > 1 or any(composed)
    if isinstance(module, nn.Sequential):
        return any(composed)
    return any(
        isinstance(child, nn.ModuleList) and sum(map(_has_parameters, child)) > 1
        for child in children
    )


def _block(module: nn.Module, name: str, seen: set[int]) -> Block:
    own = [n for n, p in module.named_parameters(name) if _is_first_use(p, seen)]
    return Block(name, (name,), tuple(own))


def _merge_blocks(model: nn.Module, blocks: list[Block]) -> list[Block]:
    merged: list[Block] = []
    for block in blocks:
        before = merged[-1] if merged else None
        if before is not None and _joins(model, before, block):
            modules = before.modules + block.modules
            name = before.name if before.modules else block.name
            merged[-1] = Block(name, modules, before.parameters + block.parameters)
        else:
            merged.append(block)
    return merged


def _joins(model: nn.Module, before: Block, block: Block) -> bool:
    if not before.modules:  # parameters that stand alone: a class token, positions
        return True
    if not block.modules:
        return False
    here, there = (model.get_submodule(b.modules[-1]) for b in (block, before))
    embeddings = isinstance(here, nn.Embedding) and isinstance(there, nn.Embedding)
    return is_norm(type(here)) or embeddings


def _has_parameters(module: nn.Module) -> bool:
    return next(module.parameters(), None) is not None


def _is_first_use(parameter: nn.Parameter, seen: set[int]) -> bool:
    if id(parameter) in seen:
        return False
    seen.add(id(parameter))
    return True
