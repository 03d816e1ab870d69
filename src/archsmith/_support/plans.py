"""Functions that take a frozen plan, called with the plan's fields."""

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
#: Longer values are named by their type where a call is told.
_LONG = 200


def option(help: str, flag: str = "") -> dict[str, str]:
    """Marks a field that the command line offers.

    Args:
        flag: where it is called otherwise there.
    """
    return {"help": help, "flag": flag}


def flat(
    plan: Callable[P, Plan], name: str
) -> Callable[[Callable[[Plan], Result]], Callable[P, Result]]:
    """Make a function of a plan one of the plan's fields: its signature, its types, its docs.

    Args:
        name: of the function for users.

    So each option stands in one place, and users still write ``search(space, data, trials=9)``.
    """

    def decorate(function: Callable[[Plan], Result]) -> Callable[P, Result]:
        @functools.wraps(function)
        def call(*args: P.args, **kwargs: P.kwargs) -> Result:
            try:
                made = plan(*args, **kwargs)
            except TypeError as error:  # an argument that is none, told of the name that was called
                told = str(error).replace(f"{_name(plan)}.__init__()", f"{name}()")
                raise TypeError(told) from None
            return function(made)

        call.__name__ = call.__qualname__ = name
        given = inspect.signature(plan).replace(
            return_annotation=function.__annotations__["return"]
        )
        call.__signature__ = given  # type: ignore[attr-defined]
        about, raises, errors = inspect.cleandoc(function.__doc__ or "").partition("Raises:")
        call.__doc__ = f"{about.rstrip()}\n\nArgs:\n{_options(plan)}\n\n{raises}{errors}"
        return call

    return decorate


def told_call(name: str, plan: Any, without: tuple[str, ...] = ()) -> str:
    """The Python call of what differs from a plan's defaults; what is given as an object is named
    by its type."""
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
    """What the docstrings of a plan and its bases say of the fields."""
    said = []
    for kind in reversed(plan.__mro__):
        _, found, rest = inspect.cleandoc(kind.__dict__.get("__doc__") or "").partition(
            "Attributes:\n"
        )
        if found:
            said.append(rest.partition("\n\n")[0].rstrip())
    return "\n".join(said)


def _name(plan: Any) -> str:
    return str(plan.__qualname__)
