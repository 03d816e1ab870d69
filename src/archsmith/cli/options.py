"""Command options made from the fields of plans, so that each is defined once, with its help."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import Field, fields
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

import typer

from ..task.options import ReadOptions

#: Command-line types of fields that accept more in Python.
_TYPED: dict[str, Any] = {
    "space": str | None,
    "strategy": str,
    "evaluator": str | None,
    "executor": str,
    "stop": str | None,
    "tune": str | None,
    "start": str | None,
    "backbone": str | None,
    "arguments": str | None,
    "latency": str | None,
    "time": str | None,
    "trial_time": str | None,
    "run": Path | None,
}
#: Command-line types of the other fields, by their annotation.
_KINDS: dict[str, Any] = {
    "bool": bool,
    "int": int,
    "int | None": int | None,
    "float | None": float | None,
    "float | str": str,
    "str": str,
    "str | None": str | None,
}
#: Fields whose options may be repeated.
_LISTS = ("maximize", "minimize", "limits")


def takes(*parameters: inspect.Parameter) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command these options in addition to those of its own signature."""

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(command)
        def call(**options: Any) -> None:
            command(**options)

        own = inspect.signature(command, eval_str=True).parameters.values()
        named = [p for p in own if p.kind is not p.VAR_KEYWORD]
        first = [p for p in (*named, *parameters) if p.default is p.empty]
        rest = [p for p in (*named, *parameters) if p.default is not p.empty]
        keyword = [p.replace(kind=p.KEYWORD_ONLY) for p in (*first, *rest)]
        call.__signature__ = inspect.Signature(keyword)  # type: ignore[attr-defined]
        call.__annotations__ = {p.name: p.annotation for p in keyword}
        return call

    return decorate


def options_of(plan: type, *, without: Sequence[str] = ()) -> list[inspect.Parameter]:
    """The options for a plan's fields and for how its data is read.

    Args:
        without: fields that the command offers in another form.
    """
    parameters = [
        _parameter(plan, f) for f in fields(plan) if _has_option(f) and f.name not in without
    ]
    return parameters + [
        _parameter(ReadOptions, f)
        for f in fields(ReadOptions)
        if _has_option(f) and f.name not in without
    ]


def plan_of(plan: Callable[..., Any], options: Mapping[str, Any], **more: Any) -> Any:
    """Make the plan from a command's options; those left out keep their defaults."""
    own = {_name(f): f for f in fields(plan) if _has_option(f)}  # type: ignore[arg-type]
    reading = {_name(f): f for f in fields(ReadOptions) if _has_option(f)}
    values = {f.name: options[n] for n, f in own.items() if options.get(n) is not None}
    reading_values = {f.name: options[n] for n, f in reading.items() if options.get(n) is not None}
    return plan(**values, read=ReadOptions(**reading_values), **more)


def _parameter(plan: type, field: Field[Any]) -> inspect.Parameter:
    kind = list[str] | None if field.name in _LISTS else _TYPED.get(field.name)
    kind = kind or _KINDS.get(str(field.type)) or get_type_hints(plan)[field.name]
    option = typer.Option(f"--{_flag(field)}", help=field.metadata["help"])
    default = None if field.name in _LISTS else field.default
    return inspect.Parameter(
        _name(field),
        inspect.Parameter.KEYWORD_ONLY,
        default=str(default) if _is_text(kind) and default is not None else default,
        annotation=Annotated[kind, option],
    )


def _is_text(kind: Any) -> bool:
    return str in (kind, *get_args(kind)) and get_origin(kind) is not Literal


def _has_option(field: Field[Any]) -> bool:
    return "help" in field.metadata


def _flag(field: Field[Any]) -> str:
    return field.metadata["flag"] or field.name.replace("_", "-")


def _name(field: Field[Any]) -> str:
    return _flag(field).replace("-", "_")
