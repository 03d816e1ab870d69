"""Exports of models that cannot be copied; models rebuilt by a builder that was edited since."""

from __future__ import annotations

import json
import threading
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from archsmith._support.errors import InputError
from archsmith.export import export, load_model, predict
from archsmith.export.record import first_line
from archsmith.space import Space, choose
from archsmith.task import task as find_task
from archsmith.task.base import Data, ReadOptions

TASK = find_task("tabular-classification")


@pytest.fixture(scope="module")
def iris() -> Data:
    return TASK.read("iris", ReadOptions())


class Net(nn.Module):
    def __init__(self, act: Callable[[Tensor], Tensor] = torch.relu) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(4, choose("width", [8, 4])), nn.LazyLinear(3)
        self.act, self.lock = act, threading.Lock()

    def get_extra_state(self) -> object:
        return {"made": "here"}

    def set_extra_state(self, state: object) -> None:
        assert state == {"made": "here"}

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.act(self.first(x)))


def locked() -> nn.Module:
    return Net()


def normed() -> nn.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = nn.Sequential(
            nn.utils.weight_norm(nn.Linear(4, choose("width", [8, 4]))), nn.ReLU()
        )
        return model.append(nn.utils.spectral_norm(nn.Linear(int(model[0].out_features), 3)))


def tied() -> nn.Module:
    model = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, choose("classes", [3, 4])))
    model[1].weight = model[0].weight
    return model


def opened(builder: Callable[..., nn.Module], data: Data) -> Space:
    space = Space(builder)
    space.builder.expect(TASK.example(data.facts, 2))
    return space


def exported(builder: Callable[..., nn.Module], data: Data, folder: Path) -> nn.Module:
    """The live model, after a pass that leaves tensors with a history in it."""
    space = opened(builder, data)
    model = space.build(space.default(), seed=3)
    model(TASK.prepare(data.validation.inputs, data.facts))
    parity = export(model, TASK, data, space, space.default(), folder, onnx=False)
    assert not parity.absent
    assert {check.file for check in parity.checks} == {"model.safetensors", "model.pt2"}
    return model.eval()


@pytest.mark.slow
@pytest.mark.parametrize("builder", [locked, normed, tied])
def test_a_model_that_cannot_be_copied_is_exported_and_built_again(iris, builder, tmp_path):
    model = exported(builder, iris, tmp_path / "out")
    again = load_model(tmp_path / "out", space=Space(builder))
    inputs = TASK.prepare(iris.validation.inputs[:5], iris.facts)
    with torch.no_grad():
        assert torch.allclose(again(inputs), model(inputs), atol=1e-6)


def test_an_edited_builder_is_not_filled_with_the_weights_of_the_other(iris, tmp_path):
    exported(locked, iris, tmp_path / "out")

    def edited() -> nn.Module:
        return Net(torch.sin)

    edited.__name__ = "locked"
    rows = tmp_path / "rows.csv"
    rows.write_text(
        "\n".join([",".join(column["name"] for column in iris.facts["columns"]), "5,3,1,0.2"])
    )
    for use in (
        lambda space: load_model(tmp_path / "out", space=space),
        lambda space: predict(tmp_path / "out", rows, space=space),
    ):
        use(Space(locked))
        with pytest.raises(InputError, match="outputs at the same weights differ by"):
            use(Space(edited))
    record = tmp_path / "out" / "architecture.json"
    known = json.loads(record.read_text())
    record.write_text(json.dumps(known | {"computes": {"outputs": 3, "within": 1}}))
    with pytest.raises(InputError, match="damaged"):
        load_model(tmp_path / "out", space=Space(locked))
    del known["computes"]  # an export of an older archsmith has none to compare
    record.write_text(json.dumps(known))
    load_model(tmp_path / "out", space=Space(edited))


def test_a_reason_is_one_line_of_plain_text():
    cause = ValueError("\n\x1b[31mno such\top:\x1b[0m\n\n  aten::odd\nand pages more")
    error = RuntimeError("\x1b[96m[exporter]\x1b[0m \u2705 steps")
    error.__cause__ = cause
    assert first_line(error) == "no such op: aten::odd"
    assert first_line(ValueError("")) == "no message"
    assert len(first_line(ValueError("x" * 5000))) < 320
