"""What docs/features.md shows is what works."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from archsmith.transfer.features.maps import METHODS
from archsmith.transfer.features.normalising import NORMALISATIONS
from archsmith.transfer.features.pooling import POOLS
from archsmith.transfer.features.probes import PROBES

PAGE = (Path(__file__).parents[2] / "docs" / "features.md").read_text(encoding="utf-8")


def marked(language: str) -> str:
    found = re.search(
        rf"<!-- tests/docs/test_features.py runs this -->\n```{language}\n(.*?)```", PAGE, re.DOTALL
    )
    assert found is not None
    return found[1]


def run(*command: str, cwd: Path) -> str:
    bin_folder = str(Path(sys.executable).parent)
    environment = {**os.environ, "PATH": f"{bin_folder}:{os.environ['PATH']}"}
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("docs")
    export = (
        "\nfrom archsmith.export import export\n"
        "export(model, images, data, space, space.default(), 'digits-model', onnx=False)\n"
    )
    # The training is at small size; what is shown of it is not.
    code = marked("python").replace("epochs=4", "epochs=1") + export
    assert "epochs=1" in code
    (made / "example.py").write_text(code)
    (made / "out.txt").write_text(run(sys.executable, "example.py", cwd=made))
    return made


@pytest.mark.slow
def test_the_example_runs(folder):
    out = (folder / "out.txt").read_text().splitlines()
    assert out[0] == "head.3:input"
    assert [line.split()[0] for line in out[1:]] == ["linear", "centroid", "knn"]
    assert float(out[1].split()[1]) > 0.85
    for name in ("map.svg", "layers.svg", "digits.npz"):
        assert (folder / name).stat().st_size > 1000
    assert len(list((folder / "features").glob("*.safetensors"))) == 2


@pytest.mark.slow
def test_the_commands_run(folder):
    first, second = marked("bash").strip().splitlines()
    assert "probe linear" in run("bash", "-c", first, cwd=folder)
    assert "stage2.0.body.0" in run("bash", "-c", second, cwd=folder)


@pytest.mark.parametrize("name", [*POOLS, *NORMALISATIONS, *PROBES, *METHODS])
def test_every_name_is_told(name):
    assert f"`{name}`" in PAGE
