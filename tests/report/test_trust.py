"""The section on shared weights: the verdict, the figures, everything escaped."""

from __future__ import annotations

import io
import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from archsmith.history.objective import Objective
from archsmith.history.trust import Trust
from archsmith.history.trust_facts import Judged, Outcome
from archsmith.report.content import ReportContent, SupernetFacts, measuring
from archsmith.report.page import render
from archsmith.report.text import summary
from archsmith.report.trust_figures import agreement_figure, supernet_figures, visit_bars
from archsmith.report.trust_section import trust_section

from .studies import ACCURACY, study, supernet, trust
from .test_browser import opened
from .test_page import EVIL, check

QUESTION = "Can the shared weights be trusted?"


def shared(measured: Trust | None = None, facts: SupernetFacts | None = None) -> ReportContent:
    return replace(study(20), trust=measured, supernet=facts, folder="runs/a b")


def text_of(page: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page))


def test_runs_without_shared_weights_have_no_such_section() -> None:
    assert QUESTION not in render(study(20))
    assert trust_section(study(20)) is None


@pytest.mark.slow
def test_the_section_says_the_verdict_first_and_shows_all_of_it() -> None:
    measured = trust(300, 0.3, floor=0.75)
    page = render(shared(measured, supernet()))
    check(page)
    said = text_of(page)
    verdict = measured.verdict
    assert verdict.level == "fair"
    order = [QUESTION, verdict.headline, "Kendall τ, all 300", "How often each option", "1.28M"]
    places = [said.index(part) for part in order]
    assert places == sorted(places)
    assert '<div class="verdict fair">' in page
    after = measured.after
    assert after is not None
    assert after.tau.low is not None
    assert after.tau.high is not None
    assert f"{after.tau.value:.2f} {after.tau.low:.2f} to {after.tau.high:.2f}" in said
    assert "<th>before</th>" in page
    assert "trained for 8 epochs each" in said
    assert "random search, same budget 12 architectures trained alone, 20m07s 0.9391" in said
    assert page.count('class="bars"') == 6
    alone = replace(measured, before=None, sample=[replace(j, raw=None) for j in measured.sample])
    assert "<th>before</th>" not in render(shared(alone))
    assert "archsmith trust" not in said  # a verdict stands


@pytest.mark.slow
def test_unmeasured_the_section_gives_the_command() -> None:
    for content in (shared(None, supernet()), shared(Trust.of(ACCURACY, visits=trust().visits))):
        page = render(content)
        check(page)
        said = text_of(page)
        assert "Nobody has measured" in said
        assert "To measure it: archsmith trust &#39;runs/a b&#39; --sample 20" in said
        assert "not known" in said
        assert "Kendall" not in said
    few = render(shared(trust(8)))
    assert "To measure a larger sample: archsmith trust" in text_of(few)
    assert "--sample 20" in few
    assert measuring(shared(Trust.of(ACCURACY, [Judged("a", 1.0, 1.0)] * 40))).endswith("80")
    assert measuring(shared(trust(200, 0.1))) == ""


def marked(svg: str, kind: str) -> list[str]:
    """Names of the architectures that are drawn as such a kind."""
    groups = re.findall(rf'<g class="dots {kind}[^"]*">(.*?)</g>', svg, re.S)
    return [name for group in groups for name in re.findall(r"<title>(\w+)\n", group)]


def test_the_scatter_marks_the_top_fifth_and_what_was_found() -> None:
    sample = [Judged(f"a{i}", i / 10, i / 10 + 0.5) for i in range(1, 11)]
    measured = Trust.of(ACCURACY, sample, chosen=Judged("mine", 0.55, 1.2))
    figure = agreement_figure(shared(measured))
    assert figure is not None
    assert dict(figure.legend) == {"front": "top fifth, trained alone", "faint": "others"}
    for svg in (figure.wide, figure.narrow):
        dots = re.findall(r'<path d="M([\d.]+) ([\d.]+)h0"><title>(\w+)\n', svg)
        assert len(dots) == 11
        at = {name: (float(x), float(y)) for x, y, name in dots}
        # Equal steps of either value are equal steps on the page; better is up and to the right.
        assert at["a10"][0] - at["a9"][0] == pytest.approx(at["a2"][0] - at["a1"][0], abs=0.2)
        assert at["a1"][1] - at["a2"][1] == pytest.approx(at["a9"][1] - at["a10"][1], abs=0.2)
        assert at["a5"][0] < at["mine"][0] < at["a6"][0]
        assert marked(svg, "front") == ["a9", "a10", "mine"]
        assert marked(svg, "faint") == [f"a{i}" for i in range(1, 9)]
        ring = re.search(r'<circle cx="([\d.]+)" cy="([\d.]+)" r="6.5" class="best"/>', svg)
        assert ring is not None
        assert (float(ring[1]), float(ring[2])) == at["mine"]
        assert ">found</text>" in svg
    assert "alone 1.5" in figure.wide


def test_the_scatter_without_finite_values_and_with_stragglers() -> None:
    nan = float("nan")
    assert agreement_figure(shared(Trust.of(ACCURACY, [Judged("a", nan, 1.0)]))) is None
    assert agreement_figure(shared(None)) is None
    crowd = [Judged(f"a{i}", 0.5 + i / 100, 0.9 + i / 1000) for i in range(20)]
    far = [*crowd, Judged("low", 0.51, 0.1), Judged("left", 0.01, 0.91), Judged("none", nan, 0.9)]
    figure = agreement_figure(shared(Trust.of(ACCURACY, far)))
    assert figure is not None
    assert dict(figure.legend)["down"] == "below the axis"
    assert dict(figure.legend)["diamond"] == "beside the axis"
    assert figure.wide.count("<title>") == 23  # with the chart's own


def test_the_top_fifth_of_a_loss_is_the_lowest() -> None:
    sample = [Judged(f"a{i}", float(i), float(i)) for i in range(10)]
    figure = agreement_figure(shared(Trust.of(Objective("loss", "minimize"), sample)))
    assert figure is not None
    assert figure.title == "Loss with shared weights and alone"
    assert marked(figure.wide, "front") == ["a0", "a1"]


@pytest.mark.slow
def test_the_training_of_shared_weights_is_drawn() -> None:
    content = shared(None, supernet("darts"))
    loss, shares = supernet_figures(content)
    assert (loss.title, loss.legend) == ("Training loss", ())
    assert shares.title == "Entropy and parameter free"
    assert shares.legend == (("line one", "entropy"), ("line two", "parameter free"))
    assert "darts, epoch 40\nentropy 0.3" in shares.wide
    said = text_of(render(content))
    assert "skip connections win: 4 of 6 edges are parameter-free" in said
    assert "training 13m32s" in said
    assert supernet_figures(shared(None, SupernetFacts("spos"))) == []
    assert supernet_figures(shared(None)) == []
    rows = [
        {"epoch": e, "train_loss": 2.0 / e, "accuracy": e / 9, "baseline": 5.0} for e in (1.0, 2.0)
    ]
    titles = [f.title for f in supernet_figures(shared(None, SupernetFacts("enas", curve=rows)))]
    assert titles == ["Training loss", "Accuracy", "Baseline"]


def test_bars_are_as_high_as_options_were_trained() -> None:
    svg = visit_bars({"a": 10, "b": 5, "c": 0})
    heights = [float(h) for h in re.findall(r"v-([\d.]+)h", svg)]
    assert heights == [28.0, 14.0, 1.5]
    assert svg.count('class="never"') == 1
    assert 'd="M0 16H132" class="even"' in svg
    assert "a\ntrained 10 times" in svg
    assert "nan" not in visit_bars({"a": 0, "b": 0})


def test_many_decisions_are_folded() -> None:
    section = trust_section(shared(trust(30, decisions=40)))
    assert section is not None
    assert [len(rows) for rows in section.visits] == [12, 28]
    page = render(shared(trust(30, decisions=40)))
    assert "28 more decisions" in page
    assert page.count('class="bars"') == 40


def test_everything_is_escaped() -> None:
    goal = Objective(EVIL, "maximize")
    evil = Trust.of(
        goal,
        [Judged(EVIL, i / 20, i / 20, i / 30) for i in range(20)],
        EVIL,
        visits={EVIL: {EVIL: 0, "b": 3}},
        chosen=Judged(EVIL, 0.5, 0.5),
        found=Outcome(0.5, 1, 3.0, EVIL),
        random=Outcome(0.4, 1, 3.0, EVIL),
    )
    facts = SupernetFacts(
        EVIL, 3, 2.0, 9, [{"epoch": e, EVIL: 0.5, "x" + EVIL: 0.1} for e in (1, 2)], EVIL
    )
    content = ReportContent("a study", [goal], trust=evil, supernet=facts, folder=EVIL)
    for shown in (content, replace(content, trust=None)):
        page = render(shown)
        assert page.count("<script") == 1
        assert EVIL not in page
        assert "&lt;script&gt;" in page
        check(page)


def test_the_summary_has_the_verdict() -> None:
    def printed(content: ReportContent) -> str:
        held = io.StringIO()
        Console(file=held, width=200).print(summary(content, 200))
        return held.getvalue()

    assert "Shared weights" not in printed(study(20))
    text = printed(shared(trust(200, 0.15)))
    assert "Shared weights: good" in text
    assert "Kendall's τ is 0." in text
    assert "archsmith trust" not in text
    text = printed(shared(None, supernet()))
    assert "Shared weights: not known" in text
    assert "To measure it: archsmith trust 'runs/a b' --sample 20" in text


PROBE = """
<script>
const hover = (mark) => {
  mark.dispatchEvent(new PointerEvent("pointerover", { bubbles: true }));
  return document.getElementById("tip").textContent;
};
const out = {
  overflow: document.documentElement.scrollWidth - document.documentElement.clientWidth,
  dot: hover(document.querySelector(".for-narrow .still path")),
  bar: hover(document.querySelector(".bars path")),
};
parent.document.title = Object.values(out).join("|");
</script></body>
"""


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("chromium") is None, reason="chromium is not installed")
def test_it_fits_a_phone_and_its_marks_speak(tmp_path: Path) -> None:
    page = render(shared(trust(300, 0.3, decisions=30), supernet("darts")))
    free = re.sub(r"script-src '[^']*'", "script-src 'unsafe-inline'", page)
    overflow, dot, bar = opened(free.replace("</body>", PROBE), tmp_path, 390).split("|")
    assert overflow == "0"
    assert re.match(r"arch\d{3}shared 0\.\d+before recalibration", dot)
    assert re.match(r"nonetrained 1,\d{3} times", bar)
