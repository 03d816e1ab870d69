"""The ONNX format, which ONNX runtimes read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from .._support.trees import Tree, arguments, leaves
from ..hardware import runtimes
from ..hardware.runtimes import quiet
from ..task.base import Signature
from .format import ExportFormat
from .programs import dynamic, traced

#: Operator set of ONNX files: the newest that runtimes of the last two years all read.
OPSET = 20

_LOADING = """\
The same without PyTorch:

```python
import numpy, onnxruntime
session = onnxruntime.InferenceSession("model.onnx")
inputs = {numpy}  # your raw examples, any number of them
print(session.run(None, {fed}){one})
```
"""


class ONNX(ExportFormat):
    """A graph made by torch's dynamo exporter."""

    name = "onnx"
    file = "model.onnx"
    beside = ("model.onnx.data",)

    def missing(self) -> str:
        return "" if runtimes.has_onnx() else "the export extra is not installed"

    def expect(self) -> None:
        runtimes.require_onnx()

    def write(self, deployable: nn.Module, signature: Signature, path: Path) -> None:
        runtimes.require_onnx()
        by_position, by_keyword = arguments(signature.example)
        single, names = isinstance(signature.example, Tensor), signature.output_name
        output_names = list(names) if isinstance(names, tuple) else [names] if single else None
        with quiet():
            program: Any = torch.onnx.export(
                traced(deployable, signature),
                by_position,
                kwargs=by_keyword,
                dynamo=True,
                input_names=[signature.input_name] if single else None,
                output_names=output_names,
                dynamic_shapes=dynamic(signature),
                opset_version=OPSET,
                verbose=False,
            )
            program.save(str(path))

    def read(self, path: Path) -> Callable[[Tree], Tree]:
        runtimes.require_onnx()
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        options.log_severity_level = 3  # errors; it warns of initializers that the exporter left
        session = onnxruntime.InferenceSession(
            str(path), sess_options=options, providers=["CPUExecutionProvider"]
        )
        names = [taken.name for taken in session.get_inputs()]

        def run(inputs: Tree) -> Tree:
            arrays = [tensor.numpy() for tensor in leaves(inputs)]
            outputs = session.run(None, dict(zip(names, arrays, strict=True)))
            tensors = tuple(torch.from_numpy(array) for array in outputs)
            return tensors[0] if len(tensors) == 1 else tensors

        return run

    def loading(self, words: Mapping[str, str]) -> str:
        return _LOADING.format(**words)
