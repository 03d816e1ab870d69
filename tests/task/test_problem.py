"""Settings: what names a space, its arguments, the device, and the batch that tries a model."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import archsmith as nas
from archsmith.study import check_shapes
from archsmith.task.problem import Problem, builder_of, open_problem, open_space
from archsmith.workflow.reopening import reopen, signature_of

GOOD = """\
from torch import nn
import archsmith as nas

def net(features: int = 4, outputs: int = 3) -> nn.Module:
    return nn.Linear(features, outputs, bias=nas.choose("bias", [True, False]))
"""


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], Path]:
    """Writes a file that may be imported; its module is forgotten afterwards."""
    monkeypatch.setattr(sys, "path", list(sys.path))

    def write(name: str, text: str) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        if path.stem not in sys.modules:
            # Recorded as absent, so that undoing takes away what the test imports.
            monkeypatch.setitem(sys.modules, path.stem, sys)
            del sys.modules[path.stem]
        return path

    return write


def test_a_file_is_known_by_its_absolute_path(write, monkeypatch, tmp_path):
    path = write("archsmith_good.py", GOOD)
    monkeypatch.chdir(tmp_path)
    problem = open_problem("archsmith_good.py:net", "iris")
    assert problem.reference == f"{path}:net"
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    meta = problem.to_json() | {"arguments": problem.space.plain_arguments()}
    again = reopen(meta | {"signature": signature_of(meta)})
    assert again.space.fingerprint == problem.space.fingerprint


def test_two_files_of_one_name_are_not_mixed_up(write):
    first, second = write("a/archsmith_twin.py", GOOD), write("b/archsmith_twin.py", GOOD)
    builder_of(f"{first}:net")
    with pytest.raises(nas.SpaceError) as caught:
        builder_of(f"{second}:net")
    assert str(first) in str(caught.value)
    assert str(second) in str(caught.value)


@pytest.mark.parametrize("name", ["random.py", "sys.py", "colorsys.py", "two.dots.py"])
def test_a_file_named_like_another_module_is_refused(write, name, monkeypatch):
    path = write(name, GOOD)
    # As where the folder is on the path already, behind the standard library.
    monkeypatch.setattr(sys, "path", [*sys.path, str(path.parent)])
    with pytest.raises(nas.SpaceError, match="a name that no other module has") as caught:
        builder_of(f"{path}:net")
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("x = 1\ndef net(:\n", "SyntaxError: .*:2"),
        ("\nimport archsmith_not_there\n", "ModuleNotFoundError: No module .*:2"),
        ("def f():\n    return {}['k']\n\nf()\n", "KeyError: 'k' .*:2"),
        ("import json\n\njson.loads('{')\n", "JSONDecodeError: .*archsmith_bad.py:3"),
        ("import sys\nsys.exit(3)\n", "SystemExit: 3 .*:2"),
    ],
)
def test_a_file_that_does_not_import_is_told_without_a_traceback(write, text, says):
    path = write("archsmith_bad.py", text)
    with pytest.raises(nas.SpaceError, match=f"expected a file that imports, got {says}") as caught:
        builder_of(f"{path}:net")
    assert f"({path}:" in str(caught.value)
    assert caught.value.exit_status == 2


def test_a_module_that_does_not_import_is_told_too(write, monkeypatch, tmp_path):
    write("archsmith_torch.py", "import archsmith_tor\n")
    monkeypatch.chdir(tmp_path)
    sys.path.insert(0, str(tmp_path))
    with pytest.raises(nas.SpaceError, match=r"a file that imports.*archsmith_torch.py:1"):
        builder_of("archsmith_torch:net")
    with pytest.raises(nas.InputError, match="a module that Python can import"):
        builder_of("archsmith_nowhere:net")


def net(features: int, outputs: int, width: int = 4) -> nn.Module:
    """A builder."""
    width = nas.choose("width", [width, 2 * width])
    return nn.Sequential(nn.Linear(features, width), nn.Linear(width, outputs))


def test_data_is_a_name_or_a_path(tmp_path):
    table = tmp_path / "table.csv"
    rows = "".join(f"{i},{i % 7},{'ab'[i % 2]}\n" for i in range(40))
    table.write_text(f"u,v,label\n{rows}", encoding="utf-8")
    assert open_problem(net, table).source == open_problem(net, str(table)).source == str(table)
    for wrong in (None, 3, torch.zeros(2, 3), {"x": torch.zeros(2, 3)}):
        with pytest.raises(nas.InputError, match="a name, a path, a pair"):
            open_problem(net, wrong)  # type: ignore[arg-type]


def test_arguments_are_the_builders_and_go_with_a_builder_alone():
    space = nas.Space(net, features=4, outputs=3)
    with pytest.raises(nas.SpaceError, match="arguments inside a Space"):
        open_problem(space, "iris", arguments={"width": 8})
    with pytest.raises(nas.SpaceError, match="arguments inside a Space"):
        open_space(space, {}, {"width": 8})
    with pytest.raises(nas.SpaceError, match="one of: features, outputs, width, got 'widht'"):
        open_problem(net, "iris", arguments={"widht": 8})
    with pytest.raises(nas.SpaceError, match="a mapping"):
        open_problem(net, "iris", arguments=["width"])  # type: ignore[arg-type]
    assert open_problem(net, "iris", arguments={"width": 8}).space.arguments["width"] == 8


def test_a_study_opens_again_with_a_live_space_and_its_device(monkeypatch):
    problem = open_problem(net, "iris", arguments={"width": 8}, device="cpu")
    meta = problem.to_json() | {"arguments": problem.space.plain_arguments()}
    # A machine with a GPU, as far as "auto" is concerned.
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert reopen(meta, problem.space).space is problem.space
    assert reopen(meta, problem.space).device == "cpu"
    monkeypatch.undo()
    gone = reopen(meta | {"device": "cuda:99"}, problem.space).device
    assert gone == ("cuda" if torch.cuda.is_available() else "cpu")


class Reads(nn.Module):
    """Reads values in the constructor or in the forward pass."""

    def __init__(self, features: int, outputs: int, early: bool) -> None:
        super().__init__()
        self.early, self.scale = early, 1.0
        if early:
            self.scale = torch.linspace(0, 1, 3)[1].item()
        self.last = nn.Linear(features, outputs)

    def forward(self, x: Tensor) -> Tensor:
        scale = self.scale if self.early else 1.0 + x.mean().item()
        return self.last(x * scale)


class Weightless(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return (x * x.mean().item())[:, :3]


def reading(features: int, outputs: int, early: bool, wrong: int = 0) -> nn.Module:
    off = wrong if nas.choose("off", [False, True]) else 0
    return Reads(features + off, outputs, early)


def opened(builder: Callable[..., nn.Module], **arguments: object) -> Problem:
    return open_problem(builder, "iris", arguments=arguments)


@pytest.mark.parametrize("early", [True, False])
def test_models_that_read_values_are_tried_on_the_cpu(early):
    problem = opened(reading, early=early)
    state = torch.random.get_rng_state()
    assert check_shapes(problem.space, problem.forward_on_meta) == 2
    assert torch.equal(state, torch.random.get_rng_state())
    wrong = opened(reading, early=early, wrong=1)
    with pytest.raises(nas.SpaceError, match=r"off=True.*shapes cannot be multiplied"):
        check_shapes(wrong.space, wrong.forward_on_meta)


def test_a_model_without_tensors_may_read_values():
    problem = opened(lambda: Weightless())
    assert check_shapes(problem.space, problem.forward_on_meta) == 1
