"""Names and failures from elsewhere are shown on a terminal, and not obeyed."""

from __future__ import annotations

import ast
import io
import json
from pathlib import Path

import pytest
from rich.progress import Progress, TextColumn
from rich.table import Table

import archsmith as nas
from archsmith._support.console import PlainConsole
from archsmith._support.errors import DataError
from archsmith._support.files import write_text
from archsmith._support.visible import one_line, visible
from archsmith.cli import output
from archsmith.cli.screen import Screen
from archsmith.history.objective import Objective
from archsmith.history.trial import Fidelity, State, Trial
from archsmith.report.progress import SearchProgress
from archsmith.space import Architecture

HOSTILE = "\x1b]0;owned\x07\x1b[2J\x1b[31mred\x9b1m\r\u202etxt.exe\udce4[/bold][red]"
SHOWN = r"\x1b]0;owned\x07\x1b[2J\x1b[31mred\x9b1m\x0d\u202etxt.exe\xe4[/bold][red]"


def safe(text: str) -> bool:
    return visible(text) == text


def test_controls_directions_and_bytes_are_written_out():
    assert visible(HOSTILE) == SHOWN
    assert visible("two\tcolumns\nétranger 日本 עברית 🙂") == "two\tcolumns\nétranger 日本 עברית 🙂"
    assert one_line("a\n  b\x00") == r"a b\x00"


@pytest.mark.parametrize("terminal", [False, True])
def test_a_console_shows_what_is_in_texts_and_tables(terminal):
    screen = io.StringIO()
    console = PlainConsole(file=screen, force_terminal=terminal, width=200, color_system=None)
    table = Table(title=HOSTILE)
    table.add_column(HOSTILE)
    table.add_row(HOSTILE)
    console.print(HOSTILE)
    console.print(table)
    shown = screen.getvalue()
    assert shown.count(SHOWN) == 4
    assert safe(shown.replace("\x1b[1m", "").replace("\x1b[3m", "").replace("\x1b[0m", ""))


def test_a_bar_still_draws_and_its_texts_do_not():
    screen = io.StringIO()
    console = PlainConsole(file=screen, force_terminal=True, width=200)
    with Progress(TextColumn("{task.description}", markup=False), console=console) as bar:
        bar.add_task(HOSTILE, total=1)
    assert r"\x1b]0;owned" in screen.getvalue()
    assert "\x1b[2K" in screen.getvalue(), "the bar's own controls are left alone"
    assert "\x1b]0;owned" not in screen.getvalue()


@pytest.mark.parametrize("terminal", [False, True])
def test_progress_of_a_search_shows_a_failure(terminal):
    screen = io.StringIO()
    console = PlainConsole(file=screen, force_terminal=terminal, width=300, color_system=None)
    trial = Trial(0, Architecture({}), Fidelity(1), 0)
    trial.state, trial.reason = State.FAILED, f"ValueError: {HOSTILE}"
    with SearchProgress([Objective("accuracy", "maximize")], 3, console=console) as progress:
        progress.trial_ended(trial)
    assert r"\x1b]0;owned\x07" in screen.getvalue()
    assert "\x1b]0;owned" not in screen.getvalue()
    with Screen(console) as screen_of_cli:
        screen_of_cli.step(HOSTILE)
        screen_of_cli.judged(1, 2, HOSTILE)
    assert "\x1b]0;owned" not in screen.getvalue()


def test_errors_and_lines_are_safe_and_documents_keep_the_name(capsys):
    error = DataError(HOSTILE, "a class", HOSTILE, "rename it")
    assert safe(str(error))
    assert error.where == HOSTILE
    output.say(HOSTILE)
    output.say(HOSTILE, error=True)
    output.print_json({"name": HOSTILE})
    printed = capsys.readouterr()
    assert printed.out.startswith(SHOWN)
    assert printed.err == f"{SHOWN}\n"
    document = printed.out.removeprefix(f"{SHOWN}\n")
    assert safe(document)
    assert json.loads(document) == {"name": HOSTILE}


def test_pages_are_written_whatever_the_names_are(tmp_path):
    write_text(tmp_path / "page.html", f"<p>{HOSTILE}</p>")
    assert (tmp_path / "page.html").read_text(encoding="utf-8") == f"<p>{SHOWN}</p>"


def test_commands_print_by_that_door_alone():
    root = Path(nas.__file__).parent / "cli"
    for path in set(root.glob("*.py")) - {root / "output.py"}:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in ("print", "Console"):
                told = ast.unparse(node)
                assert "name" in told or "interrupted" in told, f"{path}: {told}"
