"""What the README shows is what works: its Python, its commands, its links."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def marked(language: str) -> str:
    """The first block that a comment says is run here."""
    return all_marked(language)[0]


def all_marked(language: str) -> list[str]:
    pattern = rf"<!-- tests/docs/test_readme.py runs th\w+ -->\n```{language}\n(.*?)```"
    found: list[str] = re.findall(pattern, README, re.DOTALL)
    assert found
    return found


def run(*command: str, cwd: Path) -> str:
    bin_folder = str(Path(sys.executable).parent)
    environment = {
        **os.environ,
        "PATH": f"{bin_folder}:{os.environ['PATH']}",
        "OMP_NUM_THREADS": "1",
    }
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.slow
def test_the_example_is_short_and_runs(tmp_path):
    code = marked("python")
    body = [line for line in code.splitlines() if line.strip() and not line.startswith("import")]
    assert len(body) <= 18
    (tmp_path / "example.py").write_text(code)
    out = run(sys.executable, "example.py", cwd=tmp_path)
    assert "accuracy" in out
    assert (tmp_path / "digits-model" / "model.pt2").exists()


@pytest.mark.slow
def test_the_supernet_example_runs(tmp_path):
    code = next(code for code in all_marked("python") if "Supernet" in code)
    (tmp_path / "example.py").write_text(code)
    run(sys.executable, "example.py", cwd=tmp_path)
    assert (tmp_path / "net.safetensors").exists()


@pytest.mark.slow
def test_the_commands_run(tmp_path):
    commands = marked("bash").strip().splitlines()
    assert len(commands) >= 5
    for command in commands:
        run("bash", "-c", command, cwd=tmp_path)
    assert (tmp_path / "runs" / "tour" / "report.html").exists()
    assert (tmp_path / "tour-model" / "README.md").exists()


@pytest.mark.slow
def test_the_profile_runs(tmp_path):
    command = next(code for code in all_marked("bash") if "profile" in code).strip()
    out = run("bash", "-c", command, cwd=tmp_path)
    assert "architectures" in out
    assert (tmp_path / "profile.html").exists()


def test_the_two_commands_are_those_of_the_script_and_of_ci():
    assert "./dev demo" in README
    assert "./dev test" in README
    assert (ROOT / ".ci" / "run").read_text().rstrip().endswith("./dev test")
    assert "demo)" in (ROOT / "dev").read_text()


@pytest.mark.parametrize("path", re.findall(r"\]\(([^)#:]+)\)", README))
def test_links_lead_somewhere(path):
    assert (ROOT / path).exists()


@pytest.mark.slow
@pytest.mark.parametrize("path", sorted((ROOT / "examples").glob("*.py")), ids=lambda p: p.name)
def test_examples_run(path, tmp_path):
    run(sys.executable, str(path), cwd=tmp_path)
