"""Making text from files and other people safe to show."""

from __future__ import annotations

import re
import unicodedata

#: Control characters (C0 except tab and newline, delete, C1), bidirectional controls (embeddings,
#: overrides, isolates), line separators, and surrogates, which no output can encode.
_HIDDEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufff9-\ufffb]"
)


def visible(text: str) -> str:
    r"""The text with control characters, and characters that no file can encode, as escapes.

    A class folder named ``"\x1b[31mred"`` is shown as ``\x1b[31mred``. Tabs and newlines stay.
    """
    return _HIDDEN.sub(lambda match: _escaped(match[0]), text)


def one_line(text: str) -> str:
    """The visible text in a single line."""
    return " ".join(visible(text).split())


def _escaped(character: str) -> str:
    code = ord(character)
    if unicodedata.category(character) == "Cs" and 0xDC80 <= code <= 0xDCFF:
        return f"\\x{code - 0xDC00:02x}"  # a byte of a name that is not UTF-8
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
