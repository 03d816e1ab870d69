"""Turning a function of a frozen plan into a function of the plan's fields."""

from __future__ import annotations

import functools
import inspect
import re
from collections.abc import Callable
from dataclasses import fields
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
Plan = TypeVar("Plan")
Result = TypeVar("Result")
_FUNCTION = re.compile(r"<function (\S+) at 0x[0-9a-f]+>")
#: Values with longer reprs are shown as their type in the text of a call.
_LONG = 200


def option(help: str, flag: str = "") -> dict[str, str]:
    """Metadata of a field that is also a command-line option.

    Args:
        help: the help text.
        flag: its name there, if it differs from the field's.
    """
    return {"help": help, "flag": flag}


def flat(
    plan: Callable[P, Plan], name: str
) -> Callable[[Callable[[Plan], Result]], Callable[P, Result]]:
    """Turn a function of a plan into one of the plan's fields: signature, types and docs.

    Each option is then defined once, and users still write ``search(space, data, trials=9)``.

    Args:
        name: public name of the function.
    """

    def decorate(function: Callable[[Plan], Result]) -> Callable[P, Result]:
        @functools.wraps(function)
        def call(*args: P.args, **kwargs: P.kwargs) -> Result:
            try:
                values = plan(*args, **kwargs)
            except TypeError as error:  # an unknown argument: name the public function
                message = str(error).replace(f"{_name(plan)}.__init__()", f"{name}()")
                raise TypeError(message) from None
            return function(values)

        call.__name__ = call.__qualname__ = name
        signature = inspect.signature(plan).replace(
            return_annotation=function.__annotations__["return"]
        )
        call.__signature__ = signature  # type: ignore[attr-defined]
        about, raises, errors = inspect.cleandoc(function.__doc__ or "").partition("Raises:")
        call.__doc__ = f"{about.rstrip()}\n\nArgs:\n{_options(plan)}\n\n{raises}{errors}"
        return call

    return decorate


def call_text(name: str, plan: Any, without: tuple[str, ...] = ()) -> str:
    """The Python call that makes a plan, with the fields that differ from their defaults; objects
    are shown as their type."""
    parts = []
    for field in fields(plan):
        value = getattr(plan, field.name)
        if field.name not in without and value is not field.default:
            named = getattr(value, "__name__", None) if callable(value) else None
            text = named or _FUNCTION.sub(r"\1", repr(value))
            short = len(text) <= _LONG and "\n" not in text
            parts.append(f"{field.name}={text if short else f'<{type(value).__name__}>'}")
    return f"nas.{name}({', '.join(parts)})"


def _options(plan: Any) -> str:
    """The documentation of the fields in the docstrings of a plan and its bases."""
    entries = []
    for kind in reversed(plan.__mro__):
        _, heading, rest = inspect.cleandoc(kind.__dict__.get("__doc__") or "").partition(
            "Attributes:\n"
        )
        if heading:
            entries.append(rest.partition("\n\n")[0].rstrip())
    return "\n".join(entries)


def _name(plan: Any) -> str:
    return str(plan.__qualname__)
