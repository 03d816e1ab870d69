"""Small helpers for SVG as escaped markup."""

from __future__ import annotations

from collections.abc import Iterable

from markupsafe import Markup, escape

#: Widths of characters as a share of the font size, for common system fonts.
_NARROW, _WIDE = frozenset("iljtfI.,:;|!'·()[] /"), frozenset("mwMW→×@%÷—")


def px(value: float) -> str:
    """A coordinate, to a tenth of a pixel."""
    text = f"{value:.1f}"
    return text[:-2] if text.endswith(".0") else text


def tag(name: str, /, *children: object, **attributes: object) -> Markup:
    """An element. Attribute names take ``_`` for ``-`` and a final ``_`` for reserved words.

    Floats are written to a tenth of a pixel; ``None`` leaves an attribute out. Children and
    attributes are escaped unless they are markup already.
    """
    parts = [name]
    for key, value in attributes.items():
        if value is not None:
            shown = px(value) if isinstance(value, float) else value
            parts.append(f'{key.rstrip("_").replace("_", "-")}="{escape(shown)}"')
    inside = "".join(escape(child) for child in children)
    opening = " ".join(parts)
    return Markup(f"<{opening}>{inside}</{name}>" if inside else f"<{opening}/>")


def joined(parts: Iterable[Markup]) -> Markup:
    """The concatenation of several pieces of markup."""
    return Markup("").join(parts)


def text_width(text: str, size: float, bold: bool = False) -> float:
    """The approximate width of a text in pixels at a font size in pixels, rather too wide.

    System fonts differ; this follows DejaVu Sans, the widest of the common ones.
    """
    total = 0.0
    for letter in text:
        if letter in _NARROW:
            total += 0.36
        elif letter in _WIDE:
            total += 0.9
        else:
            total += 0.69 if letter.isupper() else 0.62
    return total * size * (1.1 if bold else 1.0)
