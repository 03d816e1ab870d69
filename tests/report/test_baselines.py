"""The page's section on references: table, picture and sentences follow from the intervals."""

from __future__ import annotations

import io
import re
from dataclasses import replace
from xml.etree import ElementTree

import numpy as np
import pytest
from rich.console import Console

from archsmith.history.objective import Metric
from archsmith.history.paired import Comparison, compare
from archsmith.report.baselines import BaselineSection, baseline_section
from archsmith.report.content import BaselineRow, ReportContent
from archsmith.report.page import render
from archsmith.report.text import summary

from .studies import study
from .test_page import EVIL, check

KNOWN = {"accuracy": Metric("accuracy", "", "maximize"), "rmse": Metric("rmse", "EUR", "minimize")}


def told(won: int, lost: int, against: str, count: int = 1000) -> Comparison:
    one, other = np.zeros(count), np.zeros(count)
    one[:won], other[won : won + lost] = 1, 1
    one[won + lost :] = other[won + lost :] = 1
    return compare("accuracy", "maximize", one, other, against=against)


def row(label: str, won: int, lost: int, params: float = 269_722.0) -> BaselineRow:
    found = told(won, lost, label)
    costs = {"params": params, "latency_ms": 4.25}
    return BaselineRow(label, {"accuracy": found.other}, costs, 900.0, found, found.words)


ROWS = (
    row("resnet-20", 20, 60),
    row("resnet-20 at the winner's parameters", 70, 22, 98_300),
    row("resnet-20 at the winner's latency", 31, 28, 54_000),
)


def with_baselines(rows: tuple[BaselineRow, ...] = ROWS) -> ReportContent:
    return replace(study(12), baselines=rows, comparison=told(40, 3, "the default"))


def section(*rows: BaselineRow, default: Comparison | None = None) -> BaselineSection:
    made = baseline_section(rows, BaselineRow("best of the search"), default, KNOWN)
    assert made is not None
    return made


def test_a_row_for_the_winner_and_each_reference() -> None:
    made = section(*ROWS)
    assert [label for label, _, _ in made.rows] == ["best of the search", *(r.label for r in ROWS)]
    assert [verdict for _, _, verdict in made.rows] == ["", "worse", "better", ""]
    assert made.columns[0] == "accuracy, test"
    cells = {label: cells for label, cells, _ in made.rows}["resnet-20"]
    # 60 of 80 pairs: the interval of Clopper and Pearson, 0.641 to 0.840, gives 2.25 to 5.44.
    assert cells[1:] == ["270k", "4.25 ms", "15m00s", "−4 (−5.44 to −2.25)"]
    assert made.sentences == [r.words for r in ROWS]
    assert baseline_section((), None, None, KNOWN) is None


def test_smaller_is_better_is_turned_round() -> None:
    rng = np.random.default_rng(0)
    errors = rng.normal(3, 1, 300) ** 2
    found = compare("rmse", "minimize", errors, 1.5 * errors, against="ridge-regression")
    ridge = BaselineRow("ridge-regression", {"rmse": found.other}, comparison=found)
    made = section(ridge)
    _, cells, verdict = made.rows[1]
    assert verdict == "better"
    assert re.fullmatch(r"\+0\.\d+ \(0\.\d+ to 0\.\d+\)", cells[-1])
    assert cells[1:3] == ["—", "—"]


def test_the_picture_has_a_line_for_each_interval_and_one_at_zero() -> None:
    figure = section(*ROWS, default=told(40, 3, "the default")).figure
    assert figure is not None
    for chart in (figure.wide, figure.narrow):
        root = ElementTree.fromstring(str(chart))
        width, height = map(float, root.attrib["viewBox"].split()[2:])
        paths = [(p.attrib["class"], p.attrib["d"]) for p in root.iter("path")]
        (zero,) = (float(d[1:].split()[0]) for kind, d in paths if kind == "axis")
        lines = [(kind, d) for kind, d in paths if "interval" in kind and "mid" not in kind]
        assert [kind for kind, _ in lines] == [
            "interval worse",
            "interval better",
            "interval",
            "interval better",
        ]
        for kind, d in lines:
            start, _, end = re.match(r"M(\S+) (\S+)H(\S+)", d).groups()  # type: ignore[union-attr]
            sides = (float(start) - zero, float(end) - zero)
            assert ("better" in kind) == (min(sides) > 0)
            assert ("worse" in kind) == (max(sides) < 0)
            assert float(end) <= width
        labels = [(t.text, float(t.attrib["x"]), float(t.attrib["y"])) for t in root.iter("text")]
        assert {"resnet-20", "the default architecture"} <= {text for text, _, _ in labels}
        assert all(0 <= x <= width and 0 < y <= height for _, x, y in labels)


def test_without_a_comparison_there_is_a_sentence_and_no_picture() -> None:
    bare = BaselineRow("resnet-20", {"map": 0.4}, words="not compared with resnet-20: no metric")
    made = section(bare)
    assert made.figure is None
    assert made.sentences == ["not compared with resnet-20: no metric"]
    assert made.rows[1][1][0] == "0.4"


def test_page_and_summary_tell_it() -> None:
    content = with_baselines()
    page = render(content)
    check(page)
    assert page.index("Trained to the end") < page.index("Against models made by hand")
    assert "worse than resnet-20 by 4.0 points" in page
    held = io.StringIO()
    Console(file=held, width=200).print(summary(content, 200))
    for one in ROWS:
        assert f"best of the search: {one.words}" in held.getvalue()


@pytest.mark.parametrize("where", ["label", "words"])
def test_names_are_escaped(where: str) -> None:
    page = render(with_baselines((replace(ROWS[0], **{where: EVIL}),)))
    check(page)
    assert EVIL not in page
