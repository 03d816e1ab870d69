"""Windows of a long sequence of tokens."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from .splits import Batch, Split

#: A target that the loss ignores.
NOT_ASKED = -100


@dataclass(frozen=True)
class WindowSplit(Split):
    """Windows of a sequence: inputs int64 (n, length), and as targets the tokens that follow each.

    Args:
        codes: the sequence, integers (tokens,), more than ``length``.
        length: of a window.
        asked: number of targets at the end of a window; those before are -100 and only context.
            Windows then follow each other at this distance, and the first one asks for all, so that
            each token but the first is asked for once. 0 for windows at all offsets that ask for
            all of their targets.
    """

    codes: Tensor
    length: int
    asked: int = 0

    def __len__(self) -> int:
        room = len(self.codes) - self.length
        return room if not self.asked else 1 + -(-(room - 1) // self.asked)

    def batches(self, order: Iterable[Tensor]) -> Iterator[Batch]:
        device, last = self.codes.device, len(self.codes) - self.length - 1
        places = torch.arange(self.length + 1, device=device)
        for index in order:
            index = index.to(device)
            asked_from = index * max(1, self.asked)
            # The last window ends where the sequence does, and asks for fewer.
            starts = asked_from.clamp(max=last)
            rows = self.codes[starts[:, None] + places].long()
            targets = rows[:, 1:]
            if self.asked:
                known = self.length - self.asked + asked_from - starts
                known = torch.where(index == 0, 0, known)
                targets = targets.masked_fill(places[:-1] < known[:, None], NOT_ASKED)
            yield Batch(rows[:, :-1].contiguous(), targets.contiguous())

    def update(self, digest: hashlib._Hash) -> None:
        digest.update(f"windows {self.length} {self.asked}".encode())
        digest.update(self.codes.cpu().to(torch.int32).numpy().data)

    def joined(self, other: Split) -> Split | None:
        """The sequence of this split followed by that of the other, in windows as of this one."""
        if not isinstance(other, WindowSplit):
            return None
        return replace(self, codes=torch.cat([self.codes, other.codes]))

    def to(self, device: str | torch.device) -> WindowSplit:
        """The sequence itself on a device."""
        return replace(self, codes=self.codes.to(device))
