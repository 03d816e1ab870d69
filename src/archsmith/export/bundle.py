"""A trained model as a folder of files that anybody can load, each checked against the model."""

from __future__ import annotations

import contextlib
import json
import math
import os
import platform
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from .._support.errors import InputError, WorkError
from .._support.files import held, remove_folder, write_text
from .._support.trees import Tree, spec_of, spec_to_json, take
from ..space.beside import model_part, model_space
from ..space.ordinary import ordinary
from ..task.contracts import deployment_of
from .card import card
from .parity import Parity, compare
from .record import FORMAT, first_line, outputs_of, read_record
from .registry import formats_of

if TYPE_CHECKING:
    from torch import nn

    from ..space import Space
    from ..space.architecture import Architecture
    from ..task.base import Data, Signature, Task
    from .format import ExportFormat

__all__ = ["export", "read_record"]

#: Files of every export.
_ALWAYS = ("README.md", "architecture.json", "model.safetensors", "parity.json")
_EXAMPLES = 64  # of the validation part, for the checks


@ordinary()
def export(
    model: nn.Module,
    task: Task,
    data: Data,
    space: Space,
    architecture: Architecture,
    folder: str | Path,
    *,
    metrics: Mapping[str, float] | None = None,
    name: str | None = None,
    onnx: bool | Literal["auto"] = "auto",
    formats: Sequence[str] | None = None,
) -> Parity:
    """Write a model as files that load without archsmith, and check each against the live model.

    The files are ``model.safetensors`` (weights), ``architecture.json`` (what they belong to),
    ``model.pt2`` and ``model.onnx`` (programs with a dynamic batch, pre- and post-processing
    inside), ``parity.json`` and a ``README.md``. A program that torch cannot make from the model is
    absent, and ``parity.json`` says why. Each model file is read back and compared on examples of
    the validation part, in several batch sizes. The folder appears whole or not at all; an earlier
    export there is replaced.

    Args:
        model: the trained plain module; its state dict is loaded into a second build of it.
        task, data: what it was trained for and on.
        space, architecture: what it was built from.
        folder: where to write the files.
        metrics: of this model, for the card and ``architecture.json``; those that are NaN or
            infinite are left out.
        name: title of the card; the data's name and the space's if not given.
        onnx: ``True`` requires and ``False`` skips ``model.onnx``; ``"auto"`` writes it if the
            ``export`` extra is installed and torch can convert the model.
        formats: names of the programs that must be written (``archsmith list formats``); by
            default, all that can be.

    Returns:
        The checks of the written files, and the reasons for those that are absent.

    Raises:
        InputError: ``folder`` holds something other than an export, or other files next to one.
        MissingExtraError: ``onnx=True`` without the extra.
        WorkError: the weights do not fit what the space builds or could not be written, a required
            ONNX file could not be written, or a file did not agree. The other files remain,
            ``parity.json`` says what was wrong, and the file in question is removed.
    """
    from .weights import own_copy

    target = Path(os.path.abspath(folder))
    _check_target(target)
    requested = _requested_formats(onnx, formats)
    for format_, must in requested:
        if must:
            format_.expect()
    trained_as = architecture
    space, architecture = model_space(space), model_part(space, architecture)
    plain = own_copy(model, space, architecture)
    signature = deployment_of(task).signature(data)
    with _workplace(target) as work:
        writer = _Writer(work, plain, task, data, space, architecture, signature)
        writer.safetensors()
        for format_, must in requested:
            if reason := format_.missing():
                writer.absent[format_.file] = reason
            else:
                writer.program(format_.file, format_.write, format_.read, must)
        parity = Parity(target, tuple(writer.checks), writer.absent)
        record = _record(plain, task, data, space, architecture, signature, metrics, name)
        searched = {n: a for n, a in trained_as.items() if n not in architecture}
        record |= {"recipe": searched} if searched else {}
        _write_json(work / "architecture.json", record)
        _write_json(work / "parity.json", parity.to_json())
        write_text(work / "README.md", card(record, task.metrics, parity))
        _publish(work, target)
    if writer.failures:
        raise WorkError(
            str(target),
            "every exported file to agree with the model",
            "; ".join(writer.failures),
            "the other files are there; parity.json has the numbers",
        )
    return parity


def _requested_formats(
    onnx: bool | Literal["auto"], names: Sequence[str] | None
) -> list[tuple[ExportFormat, bool]]:
    """The formats to write, each with whether it is required."""
    requested = [(format_, names is not None) for format_ in formats_of(names)]
    if onnx is False:
        return [(format_, must) for format_, must in requested if format_.name != "onnx"]
    if onnx is True:
        requested = [(format_, must or format_.name == "onnx") for format_, must in requested]
    return requested


def _export_files() -> frozenset[str]:
    """The files that an export may write; a folder that holds others is not replaced."""
    own = [name for format_ in formats_of() for name in (format_.file, *format_.beside)]
    return frozenset((*_ALWAYS, *own))


def _own_pattern() -> re.Pattern[str]:
    """Matches those files and their half-written versions."""
    return re.compile(rf"({'|'.join(map(re.escape, sorted(_export_files())))})(\.\d+\.tmp)?")


class _Writer:
    """Writes model files into a folder, reads them back and collects the checks."""

    def __init__(
        self,
        folder: Path,
        model: nn.Module,
        task: Task,
        data: Data,
        space: Space,
        architecture: Architecture,
        signature: Signature,
    ) -> None:
        from .programs import live

        self.folder, self.model, self.signature = folder, model, signature
        self.deployment, self.facts = deployment_of(task), data.facts
        self.space, self.architecture = space, architecture
        self.deployable = self.deployment.deployable(model, data.facts)
        self.live = live(self.deployable)
        examples = data.validation.head(_EXAMPLES).inputs
        self.batches = [examples, take(examples, slice(3)), take(examples, slice(1))]
        self.checks: list[Any] = []
        self.absent: dict[str, str] = {}
        self.failures: list[str] = []

    def safetensors(self) -> None:
        """The weights, read back into a fresh build of the module."""
        from .programs import live
        from .weights import read_safetensors, write_safetensors

        def read(path: Path) -> Callable[[Tree], Tree]:
            fresh = read_safetensors(self.space.build(self.architecture), path)
            return live(self.deployment.deployable(fresh, self.facts))

        def write(_: nn.Module, __: Signature, path: Path) -> None:
            write_safetensors(self.model, path)

        self.program("model.safetensors", write, read, must=True)

    def program(
        self,
        file: str,
        write: Callable[[nn.Module, Signature, Path], None],
        read: Callable[[Path], Callable[[Tree], Tree]],
        must: bool,
    ) -> None:
        """Write one file, read it back and compare it.

        A file that cannot be made is a failure only if it ``must`` be there.
        """
        path = self.folder / file
        try:
            write(self.deployable, self.signature, path)
            check = compare(file, self.live, read(path), self.batches)
        except OSError:
            raise
        except Exception as error:
            path.unlink(missing_ok=True)
            reason = f"{type(error).__name__}: {first_line(error)}"
            self.absent[file] = reason
            if must:
                self.failures.append(f"{file}: {reason}")
            return
        self.checks.append(check)
        if check.ok:
            return
        path.unlink()
        reason = f"differs from the live model by {check.max_abs_difference:.3g}"
        self.absent[file] = reason
        self.failures.append(f"{file} {reason}")


def _record(
    model: nn.Module,
    task: Task,
    data: Data,
    space: Space,
    architecture: Architecture,
    signature: Signature,
    metrics: Mapping[str, float] | None,
    name: str | None,
) -> dict[str, Any]:
    import torch

    return {
        "format": FORMAT,
        "name": name or f"{data.name}: {space.name}",
        "task": task.name,
        "id": architecture.id,
        "architecture": architecture.to_json(),
        "space": {
            "name": space.name,
            "reference": space.reference,
            "arguments": space.plain_arguments(),
            "fingerprint": space.fingerprint,
        },
        "params": sum(p.numel() for p in model.parameters()),
        "metrics": {n: v for n, v in (metrics or {}).items() if math.isfinite(v)},
        "signature": _signature_json(signature),
        "facts": data.facts,
        "computes": outputs_of(model, task, data.facts),
        "data": {"name": data.name, "summary": list(data.summary)},
        "versions": {
            "archsmith": version("archsmith"),
            "torch": torch.__version__,
            "python": platform.python_version(),
        },
    }


def _signature_json(signature: Signature) -> dict[str, Any]:
    import torch

    example = signature.example
    values: dict[str, Any] = {
        "input_name": signature.input_name,
        "output_name": signature.output_name,
        "description": signature.description,
        "inputs": spec_to_json(spec_of(example)),
    }
    if isinstance(example, torch.Tensor):  # as in records of older versions
        values["shape"] = ["batch", *example.shape[1:]]
        values["dtype"] = values["inputs"]["dtype"]
    return values


def _write_json(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, indent=2, default=repr) + "\n", encoding="utf-8")


@contextlib.contextmanager
def _workplace(target: Path) -> Iterator[Path]:
    """A new folder next to the target to write files in; removes those of killed exports.

    Raises:
        WorkError: something in it cannot be written.
    """
    work = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        _clear_leftovers(target)
        work.mkdir()
        try:
            with held(work):  # other processes see that this one is in use
                yield work
        finally:
            remove_folder(work, _own_pattern())
    except OSError as error:
        raise WorkError(str(target), "to be written", str(error)) from error


def _clear_leftovers(target: Path) -> None:
    left = re.compile(rf"\.{re.escape(target.name)}\.\d+\.(tmp|old)")
    for path in target.parent.iterdir():
        if not left.fullmatch(path.name) or not path.is_dir() or path.is_symlink():
            continue
        with held(path) as free:
            if free and path.suffix == ".old" and not target.exists():
                path.rename(target)  # killed just before the new export took its place
            elif free:
                remove_folder(path, _own_pattern())


def _check_target(target: Path) -> None:
    if target.is_symlink():
        raise InputError(
            str(target),
            "a folder to export to",
            f"a link to {os.readlink(target)}",
            "give the folder itself",
        )
    try:
        if not target.exists():
            return
    except OSError as error:
        raise InputError(str(target), "a folder to export to", str(error.strerror)) from None
    if not target.is_dir():
        raise InputError(str(target), "a folder to export to", "a file")
    entries, own = sorted(target.iterdir()), _export_files()
    others = [path.name for path in entries if path.name not in own or not path.is_file()]
    try:
        if entries and not others:
            read_record(target)
    except InputError:
        others = [path.name for path in entries]
    if others:
        listed = ", ".join(others[:3]) + (", ..." if len(others) > 3 else "")
        raise InputError(
            str(target),
            "an empty folder, a new one or an earlier export and nothing else",
            f"a folder with other files in it: {listed}",
            "move them, or choose another folder",
        )


def _publish(work: Path, target: Path) -> None:
    """Move ``work`` to ``target``; an earlier export there is removed afterwards."""
    if not target.exists():
        work.rename(target)
        return
    old = work.with_suffix(".old")
    target.rename(old)
    try:
        work.rename(target)
    except OSError:
        old.rename(target)
        raise
    remove_folder(old, _own_pattern())
