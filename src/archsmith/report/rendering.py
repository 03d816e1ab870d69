"""Pages from templates, with styles inside and every value escaped."""

from __future__ import annotations

from importlib.resources import files
from typing import Any

from markupsafe import Markup


def text_of(name: str) -> str:
    """A file of the templates as text."""
    return (files(__package__) / "templates" / name).read_text("utf-8")


def rendered(template: str, **values: Any) -> str:
    """A page as text, to be written as UTF-8. Plain text among the values is escaped."""
    from jinja2 import Environment, FunctionLoader, StrictUndefined

    environment = Environment(
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        loader=FunctionLoader(text_of),
    )
    style = Markup(text_of("report.css"))
    return environment.get_template(template).render(style=style, **values)
