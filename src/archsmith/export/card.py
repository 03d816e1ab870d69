"""The README of an exported model: what it is, how good it is, and how to load it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .._support.trees import Spec, TensorSpec, spec_from_json, specs
from ..history.objective import COSTS, Metric
from .parity import Parity
from .registry import formats_of

_WEIGHTS = """\
```python
from safetensors.torch import load_file
weights = load_file("model.safetensors")
print({name: tuple(tensor.shape) for name, tensor in weights.items()})
```
"""


def card(record: Mapping[str, Any], metrics: tuple[Metric, ...], parity: Parity) -> str:
    """The card as Markdown.

    Args:
        record: what ``architecture.json`` holds.
        metrics: of the task, for their units.
        parity: what was written, and how it compares with the model.
    """
    data, signature, versions = record["data"], record["signature"], record["versions"]
    kind = record["task"].partition(":")[0].replace("-", " ")
    lines = [
        f"# {record['name']}",
        "",
        f"A model for {kind}, found by architecture search with archsmith "
        f"{versions['archsmith']} in the space `{record['space']['name']}` "
        f"(architecture `{record['id']}`). Plain PyTorch: nothing below needs archsmith.",
        "",
        f"- **Inputs and outputs:** {signature['description']}",
        f"- **Trained on:** {data['name']}",
        *(f"  - {line}" for line in data["summary"]),
        f"- **Parameters:** {record['params']:,}",
        f"- **Exported with:** torch {versions['torch']}, Python {versions['python']}",
        "",
        *_metrics(record["metrics"], metrics),
        "## How to load it",
        "",
        *_loading(record, {check.file for check in parity.checks if check.ok}),
        *_agreement(parity),
        "## Architecture",
        "",
        "| decision | answer |",
        "|---|---|",
        *(f"| `{name}` | {_plain(answer)} |" for name, answer in record["architecture"].items()),
        "",
        *_recipe(record.get("recipe", {})),
        "## Licence",
        "",
        "None is stated here. The weights were learned from the data named above: its licence and "
        "whoever trained the model decide how they may be used.",
        "",
    ]
    return "\n".join(lines)


def _recipe(searched: Mapping[str, Any]) -> list[str]:
    """The decisions about its training, where they were searched, too."""
    if not searched:
        return []
    rows = (f"| `{name}` | {_plain(answer)} |" for name, answer in searched.items())
    return ["## Training recipe", "", "| decision | answer |", "|---|---|", *rows, ""]


def _metrics(values: Mapping[str, float], task_metrics: tuple[Metric, ...]) -> list[str]:
    if not values:
        return []
    units = {metric.name: metric.unit for metric in (*COSTS.values(), *task_metrics)}
    lines = ["## Metrics", "", "| metric | value |", "|---|---|"]
    for name, value in values.items():
        unit = units.get(name, "")
        lines.append(f"| {name} | {value:.6g}{' ' + unit if unit else ''} |")
    return [*lines, ""]


def _loading(record: Mapping[str, Any], files: set[str]) -> list[str]:
    signature = record["signature"]
    inputs = spec_from_json(signature["inputs"])
    flat = list(specs(inputs))
    numpy = ", ".join(f'numpy.zeros({spec.shape}, dtype="{spec.dtype}")' for spec in flat)
    names = "(taken.name for taken in session.get_inputs())"
    words = {
        "torch": _zeros(inputs),
        "call": "**" if isinstance(inputs, Mapping) else "*" * isinstance(inputs, tuple),
        "one": "[0]" if isinstance(signature["output_name"], str) else "",
        "numpy": numpy if isinstance(inputs, TensorSpec) else f"[{numpy}]",
        "fed": f'{{"{signature["input_name"]}": inputs}}'
        if isinstance(inputs, TensorSpec)
        else f"dict(zip({names}, inputs))",
    }
    lines = [format_.loading(words) for format_ in formats_of() if format_.file in files]
    lines += [
        "`model.safetensors` holds the weights by name, without any code; `architecture.json` "
        "describes the architecture that they belong to:",
        "",
        _WEIGHTS,
    ]
    return lines


def _zeros(inputs: Spec) -> str:
    """Python code that makes inputs of zeros."""
    if isinstance(inputs, TensorSpec):
        return f"torch.zeros({inputs.shape}, dtype=torch.{inputs.dtype})"
    if isinstance(inputs, Mapping):
        return f"dict({', '.join(f'{name}={_zeros(spec)}' for name, spec in inputs.items())})"
    return f"({', '.join(map(_zeros, inputs))},)"


def _agreement(parity: Parity) -> list[str]:
    lines = [
        "## Agreement with the live model",
        "",
        "| file | examples | largest difference | same top-1 |",
        "|---|---|---|---|",
    ]
    for check in parity.checks:
        same = "" if check.same_top1 is None else f"{check.same_top1:.2%}"
        lines.append(
            f"| {check.file} | {check.examples} | {check.max_abs_difference:.2g} | {same} |"
        )
    lines += ["", *(f"- No `{file}`: {reason}" for file, reason in parity.absent.items())]
    return [*lines, ""] if parity.absent else lines


def _plain(answer: Any) -> str:
    return str(answer).replace("|", "\\|")
