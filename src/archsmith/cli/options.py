"""Options of commands, made from the fields of plans: each stands in one place, with its help."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import Field, fields
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

import typer

from ..task.options import ReadOptions

#: What a field is typed as on the command line, where it is more in Python.
_TYPED: dict[str, Any] = {
    "space": str | None,
    "strategy": str,
    "evaluator": str | None,
    "executor": str,
    "stop": str | None,
    "latency": str | None,
    "time": str | None,
    "trial_time": str | None,
    "run": Path | None,
}
#: The other types of fields.
_KINDS: dict[str, Any] = {
    "bool": bool,
    "int": int,
    "int | None": int | None,
    "float | None": float | None,
    "float | str": str,
    "str": str,
    "str | None": str | None,
}
#: What can be given several times.
_LISTS = ("maximize", "minimize", "limits")


def takes(*parameters: inspect.Parameter) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command these options beside those that its own signature has."""

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(command)
        def call(**given: Any) -> None:
            command(**given)

        own = inspect.signature(command, eval_str=True).parameters.values()
        kept = [p for p in own if p.kind is not p.VAR_KEYWORD]
        first = [p for p in (*kept, *parameters) if p.default is p.empty]
        rest = [p for p in (*kept, *parameters) if p.default is not p.empty]
        keyword = [p.replace(kind=p.KEYWORD_ONLY) for p in (*first, *rest)]
        call.__signature__ = inspect.Signature(keyword)  # type: ignore[attr-defined]
        call.__annotations__ = {p.name: p.annotation for p in keyword}
        return call

    return decorate


def options_of(plan: type, *, without: Sequence[str] = ()) -> list[inspect.Parameter]:
    """The options of a plan's fields, and those of how its data is read.

    Args:
        without: fields that the command has in another form.
    """
    found = [_parameter(plan, f) for f in fields(plan) if _offered(f) and f.name not in without]
    return found + [
        _parameter(ReadOptions, f)
        for f in fields(ReadOptions)
        if _offered(f) and f.name not in without
    ]


def plan_of(plan: Callable[..., Any], given: Mapping[str, Any], **more: Any) -> Any:
    """The plan that the options of a command mean; what was left out has its default."""
    known = {_name(f): f for f in fields(plan) if _offered(f)}  # type: ignore[arg-type]
    reading = {_name(f): f for f in fields(ReadOptions) if _offered(f)}
    said = {f.name: given[n] for n, f in known.items() if given.get(n) is not None}
    read = {f.name: given[n] for n, f in reading.items() if given.get(n) is not None}
    return plan(**said, read=ReadOptions(**read), **more)


def _parameter(plan: type, found: Field[Any]) -> inspect.Parameter:
    kind = list[str] | None if found.name in _LISTS else _TYPED.get(found.name)
    kind = kind or _KINDS.get(str(found.type)) or get_type_hints(plan)[found.name]
    told = typer.Option(f"--{_flag(found)}", help=found.metadata["help"])
    default = None if found.name in _LISTS else found.default
    return inspect.Parameter(
        _name(found),
        inspect.Parameter.KEYWORD_ONLY,
        default=str(default) if _is_text(kind) and default is not None else default,
        annotation=Annotated[kind, told],
    )


def _is_text(kind: Any) -> bool:
    return str in (kind, *get_args(kind)) and get_origin(kind) is not Literal


def _offered(found: Field[Any]) -> bool:
    return "help" in found.metadata


def _flag(found: Field[Any]) -> str:
    return found.metadata["flag"] or found.name.replace("_", "-")


def _name(found: Field[Any]) -> str:
    return _flag(found).replace("-", "_")
