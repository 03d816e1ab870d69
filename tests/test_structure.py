"""The house rules that a machine can hold: import direction, light imports, sizes."""

from __future__ import annotations

import ast
import subprocess
import sys
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import archsmith

ROOT = Path(archsmith.__file__).parent

#: From the ground up; a package imports only from what stands before it.
ORDER = [
    "_support",
    "space",
    "history",
    "zoo",
    "tables",
    "data",
    "metric",
    "hardware",
    "task",
    "train",
    "proxy",
    "predictor",
    "strategy",
    "supernet",
    "transfer",
    "evaluate",
    "study",
    "export",
    "report",
    "workflow",
    "profiling",
    "bench",
    "cli",
]
#: The contract suites may use everything; the package's front door names everything.
FREE = {"testing", "__init__"}
#: The one module that reads files of torch.save: tensors and plain values alone.
CHECKPOINTS = "transfer/pretrained/checkpoint.py"
#: The zoo's builders ask the registry for nothing; tasks read data.
NO_TORCH = ["space", "strategy", "study", "history", "cli"]


def modules() -> list[Path]:
    return sorted(ROOT.rglob("*.py"))


def name_of(path: Path) -> str:
    parts = path.relative_to(ROOT.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


NAMES = {name_of(path) for path in modules()}


def imported(path: Path) -> set[str]:
    """Modules of archsmith that one imports, wherever in the file, type checkers' too."""
    parts = name_of(path).split(".")
    package = parts if path.name == "__init__.py" else parts[:-1]
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            target = ".".join([*base, *([node.module] if node.module else [])])
            for alias in node.names:
                inner = f"{target}.{alias.name}"
                found.add(inner if inner in NAMES else target)
    return found & NAMES


def parts_imported(path: Path) -> set[str]:
    return {name.split(".")[1] for name in imported(path) if "." in name}


@pytest.mark.slow
@pytest.mark.parametrize("path", modules(), ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_go_one_way(path):
    part = path.relative_to(ROOT).parts[0].removesuffix(".py")
    if part in FREE:
        return
    assert part in ORDER, f"{part} has no place in ORDER"
    wrong = parts_imported(path) - set(ORDER[: ORDER.index(part) + 1])
    assert not wrong, f"{part} stands below {sorted(wrong)}"
    assert "archsmith" not in imported(path), "the front door is for users"


@pytest.mark.slow
def test_no_imports_in_circles():
    """Modules that import each other, however far around, are one module in pieces."""
    graph = {name_of(path): imported(path) - {"archsmith"} for path in modules()}
    del graph["archsmith"]  # names everything, when it is asked for
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" imports ".join(reversed(error.args[1])))


def test_the_top_floor_has_packages_alone():
    top = {path.name for path in ROOT.iterdir() if path.name != "__pycache__"}
    assert top == {"__init__.py", "py.typed", *ORDER, "testing"}


def test_strategies_and_evaluators_do_not_know_each_other():
    for path in (ROOT / "evaluate").glob("*.py"):
        assert "strategy" not in parts_imported(path)
    for path in (ROOT / "strategy").glob("*.py"):
        assert "evaluate" not in parts_imported(path)


def test_importing_archsmith_is_light():
    heavy = ["torch", "numpy", "sklearn", "PIL", "pandas", "rich", "typer", "jinja2"]
    code = f"import archsmith, sys; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_strategies_know_no_torch():
    code = (
        "import sys, archsmith.strategy.evolution, archsmith.strategy.random, archsmith.study\n"
        "print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_every_public_name_is_there():
    for name in archsmith.__all__:
        assert getattr(archsmith, name) is not None
    assert callable(archsmith.search)
    with pytest.raises(AttributeError, match="no attribute 'serch'"):
        archsmith.serch  # noqa: B018


@pytest.mark.slow
def test_torchvision_is_never_imported():
    for path in modules():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import | ast.ImportFrom):
                assert "torchvision" not in ast.unparse(node), path


@pytest.mark.slow
def test_strangers_files_are_data():
    for path in modules():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                called = ast.unparse(node.func)
                if called == "torch.load" and path == ROOT / CHECKPOINTS:
                    weights_only = {k.arg: ast.unparse(k.value) for k in node.keywords}
                    assert weights_only.get("weights_only") == "True"
                    continue
                assert called not in ("torch.load", "pickle.load", "eval", "exec"), path


@pytest.mark.slow
def test_modules_and_functions_stay_small():
    for path in modules():
        text = path.read_text(encoding="utf-8")
        assert text.count("\n") <= 400, f"{path} has outgrown its room"
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                assert node.end_lineno is not None
                body = node.body[1:] if ast.get_docstring(node) else node.body
                length = body[-1].end_lineno - body[0].lineno + 1 if body else 0
                assert length <= 75, f"{path}:{node.lineno} {node.name} is {length} lines"
