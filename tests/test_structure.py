"""The house rules that a machine can hold: import direction, light imports, sizes."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import archsmith

ROOT = Path(archsmith.__file__).parent

#: From the ground up; a module imports only from what stands before it.
ORDER = [
    "visible", "errors", "signing", "options", "allocator", "files", "weights", "trees", "space",
    "objective", "paired", "agreement", "trial", "registry", "zoo", "tables", "data", "metric",
    "task", "train", "hardware", "proxy", "predictor", "strategy", "supernet", "transfer",
    "evaluate", "export", "console", "report", "trust", "study", "goals", "benchmarking", "setting",
    "reopening", "timing", "judging", "final", "finals", "oneshot", "advice", "found", "standing",
    "run", "trusting", "searching", "profiling", "output", "screen", "cli_benchmark",
    "cli_features", "cli_list", "cli_profile", "cli_zeroshot", "cli",
]  # fmt: skip
#: The contract suites may use everything; the package's front door names everything.
FREE = {"testing", "__init__"}
#: The one module that reads files of torch.save: tensors and plain values alone.
CHECKPOINTS = "transfer/pretrained/checkpoint.py"
#: The zoo's builders ask the registry for nothing; tasks read data.
NO_TORCH = ["space", "strategy", "study", "objective", "trial", "goals", "cli"]


def modules() -> list[Path]:
    return sorted(ROOT.rglob("*.py"))


def part_of(path: Path) -> str:
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def imported_parts(path: Path) -> set[str]:
    """Parts of archsmith that a module imports, wherever in the file, but for type checkers."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    checking = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        for inner in ast.walk(node)
    }
    package = ["archsmith", *path.relative_to(ROOT).parts[:-1]]
    found = set()
    for node in ast.walk(tree):
        if not isinstance(node, ast.ImportFrom) or id(node) in checking:
            continue
        base = package[: len(package) - node.level + 1] if node.level else []
        target = [*base, *(node.module.split(".") if node.module else [])]
        if target[:1] != ["archsmith"]:
            continue
        names = [target[1]] if len(target) > 1 else [alias.name for alias in node.names]
        found.update(names)
    return found


@pytest.mark.parametrize("path", modules(), ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_go_one_way(path):
    part = part_of(path)
    if part in FREE:
        return
    assert part in ORDER, f"{part} has no place in ORDER"
    before = set(ORDER[: ORDER.index(part) + 1])
    wrong = {name for name in imported_parts(path) if name in ORDER} - before
    assert not wrong, f"{part} stands below {sorted(wrong)}"


def test_strategies_and_evaluators_do_not_know_each_other():
    for path in (ROOT / "evaluate").glob("*.py"):
        assert "strategy" not in imported_parts(path)
    for path in (ROOT / "strategy").glob("*.py"):
        assert "evaluate" not in imported_parts(path)


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


def test_torchvision_is_never_imported():
    for path in modules():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import | ast.ImportFrom):
                assert "torchvision" not in ast.unparse(node), path


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
