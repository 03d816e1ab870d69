"""Every export format keeps the contract of formats."""

from __future__ import annotations

import pytest

from archsmith._support.errors import UnknownNameError
from archsmith.export.onnx import ONNX
from archsmith.export.pt2 import PT2
from archsmith.export.registry import formats, formats_of
from archsmith.testing.export import ExportFormatContract


class TestPT2(ExportFormatContract):
    make = staticmethod(PT2)


@pytest.mark.slow
class TestONNX(ExportFormatContract):
    make = staticmethod(ONNX)


def test_formats_are_known_by_name():
    assert formats.names() == ["onnx", "pt2"]
    assert [each.name for each in formats_of()] == ["pt2", "onnx"]
    with pytest.raises(UnknownNameError, match="onnx"):
        formats_of(["onx"])
