"""The README of an exported model: what it is, how good, and how to load it."""

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
        metrics: of the task, for the units.
        parity: what was written, and how it compared.
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
        f"- **Takes and gives:** {signature['description']}",
        f"- **Learned from:** {data['name']}",
        *(f"  - {line}" for line in data["summary"]),
        f"- **Parameters:** {record['params']:,}",
        f"- **Made with:** torch {versions['torch']}, Python {versions['python']}",
        "",
        *_metrics(record["metrics"], metrics),
        "## Load it",
        "",
        *_loading(record, {check.file for check in parity.checks if check.ok}),
        *_agreement(parity),
        "## Architecture",
        "",
        "| decision | answer |",
        "|---|---|",
        *(f"| `{name}` | {_plain(answer)} |" for name, answer in record["architecture"].items()),
        "",
        "## Licence",
        "",
        "None is stated here. The weights were learned from the data named above: its licence and "
        "the choice of whoever trained the model decide how they may be used.",
        "",
    ]
    return "\n".join(lines)


def _metrics(values: Mapping[str, float], known: tuple[Metric, ...]) -> list[str]:
    if not values:
        return []
    units = {metric.name: metric.unit for metric in (*COSTS.values(), *known)}
    lines = ["## Metrics", "", "| metric | value |", "|---|---|"]
    for name, value in values.items():
        unit = units.get(name, "")
        lines.append(f"| {name} | {value:.6g}{' ' + unit if unit else ''} |")
    return [*lines, ""]


def _loading(record: Mapping[str, Any], files: set[str]) -> list[str]:
    signature = record["signature"]
    taken = spec_from_json(signature["inputs"])
    flat = list(specs(taken))
    numpy = ", ".join(f'numpy.zeros({each.shape}, dtype="{each.dtype}")' for each in flat)
    names = "(taken.name for taken in session.get_inputs())"
    words = {
        "torch": _zeros(taken),
        "call": "**" if isinstance(taken, Mapping) else "*" * isinstance(taken, tuple),
        "one": "[0]" if isinstance(signature["output_name"], str) else "",
        "numpy": numpy if isinstance(taken, TensorSpec) else f"[{numpy}]",
        "fed": f'{{"{signature["input_name"]}": inputs}}'
        if isinstance(taken, TensorSpec)
        else f"dict(zip({names}, inputs))",
    }
    lines = [each.loading(words) for each in formats_of() if each.file in files]
    lines += [
        "`model.safetensors` holds the weights by name, without any code, and "
        "`architecture.json` what they belong to:",
        "",
        _WEIGHTS,
    ]
    return lines


def _zeros(taken: Spec) -> str:
    """Code that makes inputs."""
    if isinstance(taken, TensorSpec):
        return f"torch.zeros({taken.shape}, dtype=torch.{taken.dtype})"
    if isinstance(taken, Mapping):
        return f"dict({', '.join(f'{name}={_zeros(each)}' for name, each in taken.items())})"
    return f"({', '.join(map(_zeros, taken))},)"


def _agreement(parity: Parity) -> list[str]:
    lines = [
        "## Checked against the live model",
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
