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
    """A file that runs a deployed model: raw inputs in, answers out.

    Adding a format takes one file, its registration and its test.
    """

    #: Name on the command line, and of the file that it writes.
    name: ClassVar[str]
    file: ClassVar[str]
    #: Files that it may write in addition to :attr:`file`.
    beside: ClassVar[tuple[str, ...]] = ()

    def missing(self) -> str:
        """Why it cannot be written on this machine; empty if it can."""
        return ""

    def expect(self) -> None:  # noqa: B027
        """Raises MissingExtraError if :meth:`missing` gives a reason."""

    @abstractmethod
    def write(self, deployable: nn.Module, signature: Signature, path: Path) -> None:
        """Write the file with a dynamic batch (the first dimension of each tensor).

        Raises:
            Exception: any reason why it cannot be written; the file is left out then.
        """

    @abstractmethod
    def read(self, path: Path) -> Callable[[Tree], Tree]:
        """The file as a function of raw inputs, examples first, on the CPU."""

    def loading(self, words: Mapping[str, str]) -> str:
        """How to load it, for the model card, as Markdown.

        Args:
            words: code fragments by name: ``torch`` and ``numpy`` make raw inputs, ``call`` is the
                prefix that passes them to a module, ``fed`` passes them to a session by name;
                ``one`` selects the only output.
        """
        return ""
