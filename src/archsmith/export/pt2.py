"""The pt2 format: programs of torch.export."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from torch import nn

from .._support.trees import Tree
from ..hardware.runtimes import quiet
from ..task.base import Signature
from .format import ExportFormat
from .programs import inferring, traced

_LOADING = """\
Raw inputs go in; pre- and post-processing are inside `model.pt2`. Load only a `.pt2` that you \
trust: torch may run code that is in one.

```python
import torch
model = torch.export.load("model.pt2").module()
inputs = {torch}  # your raw examples, any number of them
print(model({call}inputs))
```
"""


class PT2(ExportFormat):
    """A program of :func:`torch.export.export`, which torch alone loads."""

    name = "pt2"
    file = "model.pt2"

    def write(self, deployable: nn.Module, signature: Signature, path: Path) -> None:
        with quiet():
            torch.export.save(traced(deployable, signature), path)

    def read(self, path: Path) -> Callable[[Tree], Tree]:
        """The exported program as a function of raw inputs, examples first.

        Only for files of one's own. As read in torch 2.13, ``torch.export.load`` unpickles sample
        inputs with ``weights_only=True`` but tries again without it when that fails, unpickles any
        weight or constant that the archive marks as pickled, and reads size expressions with sympy,
        which evaluates them. A stranger's archive can run code.
        """
        with quiet():
            module = torch.export.load(path).module()
        return inferring(module)

    def loading(self, words: Mapping[str, str]) -> str:
        return _LOADING.format(**words)
