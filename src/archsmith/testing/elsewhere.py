"""Runs the walks of a strategy in a fresh Python process, in which strings hash differently."""

from __future__ import annotations

import importlib
import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from functools import reduce
from types import ModuleType
from typing import Any


def told_elsewhere(suite: type, builders: Sequence[str], seconds: float = 240) -> Any:
    """The results of ``suite().told(builder)`` for each of the builders, in a process of its own.

    That process imports the test module of ``suite`` by name from the same paths as this one, or
    from its file if pytest has given it another name.

    Raises:
        AssertionError: the class is not at the top of its module, or the process failed.
    """
    assert "<locals>" not in suite.__qualname__, f"{suite.__name__} is inside a function"
    order = {
        "module": suite.__module__,
        "file": getattr(sys.modules[suite.__module__], "__file__", None),
        "name": suite.__qualname__,
        "builders": list(builders),
    }
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(path or os.getcwd() for path in sys.path),
        "PYTHONHASHSEED": "2" if os.environ.get("PYTHONHASHSEED") == "1" else "1",
    }
    # -P: do not put the working directory first; PYTHONPATH has this process's order.
    done = subprocess.run(
        [sys.executable, "-P", "-m", __name__],
        input=json.dumps(order),
        env=environment,
        capture_output=True,
        text=True,
        timeout=seconds,
    )
    assert done.returncode == 0, f"another process failed:\n{done.stderr}"
    return json.loads(done.stdout.splitlines()[-1])


def _module(name: str, file: str | None) -> ModuleType:
    try:
        imported = importlib.import_module(name)
    except ModuleNotFoundError:
        imported = None
    if file is None or (imported and os.path.samefile(imported.__file__ or os.devnull, file)):
        assert imported, f"cannot import {name}"
        return imported
    spec = importlib.util.spec_from_file_location(name, file)
    assert spec, f"cannot import {file}"
    assert spec.loader, f"cannot import {file}"
    sys.modules[name] = module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _main() -> None:
    order = json.load(sys.stdin)
    suite = reduce(getattr, order["name"].split("."), _module(order["module"], order["file"]))
    walks = [suite().told(builder) for builder in order["builders"]]  # type: ignore[operator]
    print(json.dumps(walks))


if __name__ == "__main__":
    _main()
