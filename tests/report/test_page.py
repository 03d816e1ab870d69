"""The page: complete, escaped, without network, for studies in every state."""

from __future__ import annotations

import base64
import hashlib
import html
import random
import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest
import torch
from torch import Tensor, nn

from archsmith.history.objective import Limit, Objective
from archsmith.history.trial import State, Trial
from archsmith.report.content import DecisionRow, FinalistRow, ReportContent, decision_rows
from archsmith.report.diagram import trace_graph
from archsmith.report.page import compared, lead, render, stats
from archsmith.space.architecture import Architecture

from .studies import ACCURACY, LATENCY, study, trial

EVIL = '<script>alert("x")</script>'
VOID = {"meta", "input", "img", "br", "link"}


class Checker(HTMLParser):
    """Collects elements and notes tags that do not match."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.wrong: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.wrong.append(tag)


def check(page: str) -> Checker:
    checker = Checker()
    checker.feed(page)
    assert not checker.wrong
    assert not checker.open
    return checker


def test_a_finished_study_has_every_part() -> None:
    page = render(study(40))
    checker = check(page)
    headings = re.findall(r"<h2>(.*?)</h2>", page)
    assert headings == [
        "Search",
        "Best architecture",
        "Trained to the end",
        "Predictions",
        "Trials",
        "How to repeat it",
    ]
    ids = [attrs.get("id") for tag, attrs in checker.elements if tag == "tbody"]
    assert [i for i in ids if i] == [f"t{n}" for n in range(40)]
    said = re.sub(r"<[^>]+>", "", page)
    assert html.escape(study(40).command, quote=True).replace("&#x27;", "&#39;") in said
    assert "loss nan in epoch 3" in page


def test_nothing_is_loaded_from_anywhere() -> None:
    page = render(study(20))
    assert not re.search(r"https?://|//[a-z]+\.[a-z]|@import|url\((?!#)", page)
    for tag, attrs in check(page).elements:
        assert tag not in {"link", "iframe", "object", "embed", "base"}
        source = attrs.get("src") or ""
        assert not source or source.startswith("data:image/png;base64,")


def test_the_policy_allows_this_script_and_no_other() -> None:
    page = render(study(5))
    [script] = re.findall(r"<script>(.*?)</script>", page, re.S)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'" in page


class Evil(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x * 2


def test_everything_is_escaped() -> None:
    Evil.__name__ = EVIL
    model = nn.Sequential(nn.Linear(2, 2), Evil(), nn.Linear(2, 2))
    odd = Trial(0, Architecture({EVIL: EVIL}), note=EVIL, state=State.FINISHED)
    odd.metrics = {"accuracy": 0.5, EVIL: 1.0, "latency_ms": 2.0}
    failed = Trial(1, Architecture({"a": 1}), state=State.FAILED, reason=EVIL)
    graph = trace_graph(model, torch.zeros(1, 2))
    evil = ReportContent(
        EVIL,
        [ACCURACY, Objective(EVIL, "minimize")],
        [odd, failed],
        limits=[Limit(EVIL, "<=", 3)],
        summary=[EVIL],
        command=EVIL,
        best=0,
        front=[0],
        finalists=[
            FinalistRow(EVIL, {EVIL: 1.0}, {EVIL: 1.0}, {EVIL: 1}, 1.0, [{"epoch": 1, EVIL: 2}])
        ],
        graph=graph,
        decisions=[DecisionRow(EVIL, EVIL, EVIL)],
        environment={EVIL: EVIL},
        progress=EVIL,
        warnings=[EVIL],
        created=EVIL,
    )
    for content in (evil, replace(evil, graph=replace(graph, nodes=(), edges=(), note=EVIL))):
        page = render(content)
        assert page.count("<script") == 1
        assert EVIL not in page
        assert "&lt;script&gt;" in page
        check(page)


@pytest.mark.parametrize("objectives", [(ACCURACY,), (ACCURACY, LATENCY)])
def test_unfinished_studies(objectives: tuple[Objective, ...]) -> None:
    empty = ReportContent("a study", objectives, state="running", planned=50)
    page = render(empty)
    check(page)
    assert "no trial has finished yet" in page
    assert "No trial has been proposed yet" in page

    running = Trial(0, Architecture({"width": 8}), state=State.RUNNING)
    proposed = Trial(1, Architecture({"width": 9}))
    page = render(replace(empty, trials=[running, proposed]))
    check(page)
    assert 'id="t1"' in page

    failed = Trial(2, Architecture({}), state=State.FAILED, reason="out of memory")
    page = render(replace(empty, trials=[running, failed], limits=[Limit("params", "<=", 3)]))
    check(page)
    assert "out of memory" in page

    half = replace(
        study(12, objectives), finalists=(), predictions=None, graph=None, state="stopped"
    )
    page = render(half)
    check(page)
    assert "Trained to the end" not in page
    assert "best accuracy" in page


class Dense(nn.Module):
    """Each layer takes all layers before it."""

    def __init__(self, count: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(2 * i + 2, 2) for i in range(count))

    def forward(self, x: Tensor) -> Tensor:
        seen = [x]
        for layer in self.layers:
            seen.append(layer(torch.cat(seen, 1)))
        return seen[-1]


def long_chain(count: int) -> nn.Module:
    return nn.Sequential(*[nn.Linear(2 + i, 3 + i) for i in range(count)])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("model", "line"), [(Dense(60), "Linear 120→2"), (long_chain(160), "Linear 161→162")]
)
def test_a_model_that_nobody_could_read_as_a_diagram_is_listed(model: nn.Module, line: str) -> None:
    page = render(replace(study(5), graph=trace_graph(model, torch.zeros(1, 2))))
    check(page)
    assert 'class="net"' not in page
    assert "too large to draw" in page
    assert line in page
    assert 'class="net"' in render(
        replace(study(5), graph=trace_graph(Dense(8), torch.zeros(1, 2)))
    )


@pytest.mark.slow
def test_two_thousand_trials_stay_small() -> None:
    rng = random.Random(0)
    page = render(replace(study(40), trials=[trial(n, rng) for n in range(2000)]))
    assert page.count("<tbody id=") == 2000
    assert len(page.encode()) < 3_000_000


def test_the_headline_is_the_test_result_against_the_default() -> None:
    content = study(20)
    stat = lead(content)
    assert stat is not None
    assert (stat.name, stat.value) == ("test accuracy", "0.9917")
    assert stat.remark == "+0.014 against the default architecture (0.9778)"
    bare = lead(replace(content, finalists=()))
    assert bare is not None
    assert bare.name == "best accuracy"
    assert f"trial {content.best}" in bare.remark
    trials = next(s for s in stats(content) if s.name == "trials")
    assert trials.value == "20"
    assert trials.remark == "1 failed, 1 pruned"


def test_differences_say_which_way_is_better() -> None:
    rows = {row.name: row for row in compared(study(20))}
    assert (rows["accuracy, test"].difference, rows["accuracy, test"].verdict) == (
        "+0.014",
        "better",
    )
    assert rows["loss, test"].verdict == "better"
    assert rows["parameters"].verdict == "worse"
    assert rows["training time"].difference == "+64 %"
    assert rows["training time"].verdict == ""


def test_decisions_mark_what_differs_from_the_default() -> None:
    chosen = Architecture({"width": 32, "residual": True, "sizes": (3, 5), "block.drop": 0.25})
    default = Architecture({"width": 16, "residual": True, "sizes": (3, 5)})
    rows = decision_rows(chosen, default)
    assert [(r.name, r.answer, r.default, r.changed) for r in rows] == [
        ("width", "32", "16", True),
        ("residual", "yes", "yes", False),
        ("sizes", "(3, 5)", "(3, 5)", False),
        ("block.drop", "0.25", None, False),
    ]


def test_what_latency_was_measured_with_is_told_once_where_it_is_constant() -> None:
    content = study(20)
    assert content.surroundings == content.environment
    measured = [t for t in content.trials if "latency_ms" in t.metrics]
    for one in measured:
        one.metrics |= {"latency_batch": 1.0, "latency_threads": 1.0}
    assert "loss" in content.columns()
    assert not {"latency_batch", "latency_threads"} & set(content.columns())
    assert content.surroundings["latency of a trial"] == "batch 1, 1 thread"
    said = re.sub(r"<[^>]+>", " ", render(content))
    assert re.search(r"latency of a trial\s+batch 1, 1 thread\s", said)

    measured[0].metrics |= {"latency_batch": 8.0, "latency_threads": 2.0}
    assert {"latency_batch", "latency_threads"} < set(content.columns())
    assert content.surroundings["latency of a trial"] == "batch 1, 8, 1, 2 threads"
