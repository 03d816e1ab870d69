"""The walks of a strategy in another Python process, whose strings hash differently.

One process serves all suites of a test run: starting an interpreter takes longer than most walks.
"""

from __future__ import annotations

import atexit
import contextlib
import importlib
import importlib.util
import json
import os
import subprocess
import sys
import threading
import traceback
from collections.abc import Sequence
from functools import cache, reduce
from types import ModuleType
from typing import Any


def walks_elsewhere(suite: type, builders: Sequence[str], seconds: float = 240) -> Any:
    """What ``suite().told(builder)`` gives for each of the builders, in another process.

    It imports the test module of ``suite`` by its name from the same places as this process, or
    from its file where pytest has given it another name.

    Raises:
        AssertionError: the class is not at the top of its module, or the process failed.
    """
    assert "<locals>" not in suite.__qualname__, f"{suite.__name__} is inside a function"
    order = {
        "module": suite.__module__,
        "file": getattr(sys.modules[suite.__module__], "__file__", None),
        "name": suite.__qualname__,
        "builders": list(builders),
        "path": [path or os.getcwd() for path in sys.path],
    }
    process = _interpreter()
    assert process.stdin is not None
    assert process.stdout is not None
    # Killing it ends the read below, which has no time limit of its own.
    timer = threading.Timer(seconds, process.kill)
    timer.start()
    try:
        process.stdin.write(json.dumps(order) + "\n")
        process.stdin.flush()
        answer = process.stdout.readline()
    except OSError:
        answer = ""
    finally:
        timer.cancel()
    if not answer:
        _interpreter.cache_clear()
    assert answer, f"another process ended, or took more than {seconds:g} s"
    result = json.loads(answer)
    assert "error" not in result, f"another process failed:\n{result['error']}"
    return result["told"]


@cache
def _interpreter() -> subprocess.Popen[str]:
    """The other process; it ends when this one closes its input."""
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(path or os.getcwd() for path in sys.path),
        "PYTHONHASHSEED": "2" if os.environ.get("PYTHONHASHSEED") == "1" else "1",
    }
    # -P: the working directory counts where it counts in this process, not first.
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", __name__],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    )
    atexit.register(process.kill)
    return process


def _module(name: str, file: str | None) -> ModuleType:
    try:
        found = importlib.import_module(name)
    except ModuleNotFoundError:
        found = None
    if file is None or (found and os.path.samefile(found.__file__ or os.devnull, file)):
        assert found, f"cannot import {name}"
        return found
    spec = importlib.util.spec_from_file_location(name, file)
    assert spec, f"cannot import {file}"
    assert spec.loader, f"cannot import {file}"
    sys.modules[name] = module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _main() -> None:
    answers = sys.stdout
    for line in sys.stdin:
        order, result = json.loads(line), dict[str, Any]()
        sys.path[:] = order["path"]
        try:
            with contextlib.redirect_stdout(sys.stderr):
                module = _module(order["module"], order["file"])
                suite = reduce(getattr, order["name"].split("."), module)
                result = {"told": [suite().told(name) for name in order["builders"]]}  # type: ignore[operator]
        except BaseException:
            result = {"error": traceback.format_exc()}
        print(json.dumps(result), file=answers, flush=True)


if __name__ == "__main__":
    _main()
