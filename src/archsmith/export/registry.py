"""Export formats by name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from .._support.registry import Registry

if TYPE_CHECKING:
    from .format import ExportFormat

#: Programs that an export writes next to the weights. Plug-ins register in the entry-point group
#: ``archsmith.export_formats``.
formats = Registry(
    "export format",
    "archsmith.export_formats",
    {
        "onnx": "archsmith.export.onnx:ONNX",
        "pt2": "archsmith.export.pt2:PT2",
    },
)


def formats_of(names: Sequence[str] | None = None) -> list[ExportFormat]:
    """The formats with these names; all formats if none are given.

    Raises:
        UnknownNameError: no such format; the message has the nearest name.
    """
    return [
        formats.get(name)()
        for name in (sorted(formats.names(), reverse=True) if names is None else names)
    ]
