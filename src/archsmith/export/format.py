"""The contract of an export format: a program that is written, read back and compared."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from .._support.trees import Tree

if TYPE_CHECKING:
    from torch import nn

    from ..task.base import Signature


class ExportFormat(ABC):
    """A file that runs a deployed model: raw inputs in, answers out. Adding one takes one file,
    its registration and its test."""

    #: Name on the command line, and of the file that it writes.
    name: ClassVar[str]
    file: ClassVar[str]
    #: What it may write beside :attr:`file`.
    beside: ClassVar[tuple[str, ...]] = ()

    def missing(self) -> str:
        """Why it cannot be written on this machine; empty where it can."""
        return ""

    def expect(self) -> None:  # noqa: B027
        """Raises MissingExtraError where :meth:`missing` says something."""

    @abstractmethod
    def write(self, deployable: nn.Module, signature: Signature, path: Path) -> None:
        """Write the file, its batch (the first size of each tensor) dynamic.

        Raises:
            Exception: whatever stands in the way; the file is left out then.
        """

    @abstractmethod
    def read(self, path: Path) -> Callable[[Tree], Tree]:
        """The file as a function of raw inputs, examples first, on the CPU."""

    def loading(self, words: Mapping[str, str]) -> str:
        """How to load it, for the model card, as Markdown.

        Args:
            words: ``torch`` and ``numpy`` make raw inputs, ``call`` passes them to a module,
                ``fed`` by name to a session; ``one`` takes the only output of several.
        """
        return ""
