"""The files that hold a model, each written and read back: safetensors, pt2 and ONNX."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from .._support.errors import WorkError
from .._support.trees import Tree, arguments, call, clone, leaves, map_tensors
from .._support.weights import read, snapshot, write
from ..hardware.runtimes import quiet, require_onnx
from ..task.base import Signature
from .record import first_line

if TYPE_CHECKING:
    from ..space import Space
    from ..space.architecture import Architecture

#: Operator set of ONNX files: the newest that runtimes of the last two years all read.
OPSET = 20


def write_safetensors(model: nn.Module, path: Path) -> None:
    """Parameters and buffers by name; tensors that are tied are written once."""
    state = model.state_dict()
    first: dict[tuple[Any, ...], str] = {}
    for name, key in sorted(_places(state).items()):
        first.setdefault(key, name)
    kept = {name: value for name, value in state.items() if name not in _places(state)}
    write(path, kept | {name: state[name] for name in first.values()}, {"format": "pt"})


def read_safetensors(model: nn.Module, path: Path) -> nn.Module:
    """Fill ``model`` from the file and return it.

    Raises:
        RuntimeError: names or shapes differ.
    """
    state, _ = read(path)
    places = _places(model.state_dict())
    written = {places[name]: value for name, value in state.items() if name in places}
    tied = {name: written[key] for name, key in places.items() if key in written}
    model.load_state_dict(tied | state)
    return model.eval()


def write_pt2(deployable: nn.Module, signature: Signature, path: Path) -> None:
    """Export by :func:`torch.export.export` with a dynamic batch (the first size).

    Raises:
        Exception: whatever torch raises where it cannot trace the model.
    """
    with quiet():
        torch.export.save(_traced(deployable, signature), path)


def read_pt2(path: Path) -> Callable[[Tree], Tree]:
    """The exported program as a function of raw inputs, examples first.

    Only for files of one's own. Read in torch 2.13: ``torch.export.load`` unpickles sample inputs
    with ``weights_only=True`` but tries again without it when that fails, unpickles any weight or
    constant that the archive marks as pickled, and reads size expressions with sympy, which
    evaluates them. A stranger's archive can run code.
    """
    with quiet():
        module = torch.export.load(path).module()
    return _inferring(module)


def write_onnx(deployable: nn.Module, signature: Signature, path: Path) -> None:
    """Convert the exported program by torch's dynamo exporter, batch dynamic.

    Raises:
        MissingExtraError: the ``export`` extra is not installed.
        Exception: whatever torch raises where an operation has no ONNX counterpart.
    """
    require_onnx()
    by_position, by_keyword = arguments(signature.example)
    single = isinstance(signature.example, Tensor)
    with quiet():
        program: Any = torch.onnx.export(
            _traced(deployable, signature),
            by_position,
            kwargs=by_keyword,
            dynamo=True,
            input_names=[signature.input_name] if single else None,
            output_names=[signature.output_name] if single else None,
            dynamic_shapes=_dynamic(signature),
            opset_version=OPSET,
            verbose=False,
        )
        program.save(str(path))


def read_onnx(path: Path) -> Callable[[Tree], Tree]:
    """The ONNX graph on the CPU as a function of raw inputs, examples first.

    Raises:
        MissingExtraError: onnxruntime is not installed.
    """
    require_onnx()
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(
        str(path), sess_options=options, providers=["CPUExecutionProvider"]
    )
    names = [taken.name for taken in session.get_inputs()]

    def run(inputs: Tree) -> Tree:
        arrays = [tensor.numpy() for tensor in leaves(inputs)]
        outputs = session.run(None, dict(zip(names, arrays, strict=True)))
        given = tuple(torch.from_numpy(array) for array in outputs)
        return given[0] if len(given) == 1 else given

    return run


def live(deployable: nn.Module) -> Callable[[Tree], Tree]:
    """The model itself, as a function like those that the readers give."""
    return _inferring(deployable.eval())


def _places(state: Mapping[str, Any]) -> dict[str, tuple[Any, ...]]:
    """Where the tensors of a state dict lie: the same for those that are tied."""
    return {
        name: (t.untyped_storage().data_ptr(), t.storage_offset(), t.shape, t.stride())
        for name, t in state.items()
        if isinstance(t, Tensor) and t.numel()
    }


def own_copy(model: nn.Module, space: Space, architecture: Architecture) -> nn.Module:
    """A copy on the CPU in evaluation mode, built anew; the caller's model stays as it is.

    Many modules cannot be copied in any other way: they hold a lock, a file, a tensor that is
    computed from a parameter.

    Raises:
        WorkError: the space builds another model.
    """
    fresh = space.build(architecture, seed=0)
    try:
        fresh.load_state_dict(snapshot(model))
    except Exception as error:
        raise WorkError(
            "export",
            f"a model whose weights fit what {space.name} builds",
            first_line(error),
            "export it with the space and the architecture that it was built from",
        ) from error
    return fresh.eval()


def _traced(deployable: nn.Module, signature: Signature) -> torch.export.ExportedProgram:
    by_position, by_keyword = arguments(signature.example)
    return torch.export.export(
        deployable.eval(), by_position, by_keyword, dynamic_shapes=_dynamic(signature)
    )


def _dynamic(signature: Signature) -> Any:
    """The batch is dynamic in each tensor."""
    batch = torch.export.Dim("batch")
    by_position, by_keyword = arguments(signature.example)
    return map_tensors(lambda _: {0: batch}, by_keyword or by_position)


def _inferring(module: Any) -> Callable[[Tree], Tree]:
    def run(inputs: Tree) -> Tree:
        with torch.no_grad():
            return call(module, clone(inputs))  # a model may change its input in place

    return run
