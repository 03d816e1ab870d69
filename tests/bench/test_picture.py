"""The picture of results: what is drawn where, and that nothing lies on anything else."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree
from dataclasses import replace

import numpy as np
import pytest

from archsmith._support.errors import InputError
from archsmith.bench import Reference, compare, picture
from archsmith.history.objective import Limit, Objective
from archsmith.report.svg import text_width
from bench.small import small_table

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    return small_table(tmp_path_factory.mktemp("pictures"), 40)


@pytest.fixture(scope="module")
def results(table):
    return compare(table, ["random", "evolution"], queries=30, repeats=6, processes=1)


def read(text):
    """Parses as XML and loads nothing from elsewhere."""
    links = re.findall(r"""(?:href|src|url)\s*[=(]""", text)
    assert not links
    return ElementTree.fromstring(text)


def legend(root):
    """Box (left, top, right, bottom) of each entry."""
    found = {}
    for group in root.iter(f"{SVG}g"):
        if group.get("class") == "key":
            text = group.find(f"{SVG}text")
            assert text is not None
            spans = [s.text or "" for s in text.iter(f"{SVG}tspan")]
            x, y = float(text.get("x", 0)), float(text.get("y", 0))
            width = sum(text_width(s, 12) for s in spans) + 6
            found[spans[0]] = (x - 36, y - 10, x + width, y + 4)
    return found


def named(results, count):
    names = [
        "auto",
        "random",
        "grid",
        "local-search",
        "evolution",
        "genetic",
        "nsga2",
        "reinforce",
        "bayesian",
        "bananas",
        "tpe",
        "successive-halving",
        "optuna:GPSampler",
        "hyperband",
    ]
    return [replace(results[i % len(results)], strategy=names[i]) for i in range(count)]


@pytest.mark.slow
@pytest.mark.parametrize("count", [1, 4, 14])
def test_every_strategy_has_a_line_of_its_own_and_a_name_that_is_free(results, count):
    root = read(picture(named(results, count)))
    boxes = list(legend(root).values())
    assert len(boxes) == count
    for i, a in enumerate(boxes):
        assert a[2] <= 960
        for b in boxes[i + 1 :]:
            assert a[2] <= b[0] or b[2] <= a[0] or a[3] <= b[1] or b[3] <= a[1]
    curves = [p for p in root.iter(f"{SVG}path") if p.get("class") == "curve"]
    styles = {(c.get("stroke"), c.get("stroke-dasharray")) for c in curves}
    assert len(styles) == count
    assert len(curves) == 3 * count, "two panels and the legend"


@pytest.mark.slow
def test_the_best_comes_first_in_the_legend(results):
    worse = replace(results[0], strategy="worse", regret=results[0].regret + 1)
    assert list(legend(read(picture([worse, results[0]])))) == ["random", "worse"]


@pytest.mark.slow
def test_a_line_ends_where_its_numbers_say(results):
    share = 100 * float(results[0].optimum[:, -1].mean())
    root = read(picture(results[:1]))
    curve = [p for p in root.iter(f"{SVG}path") if p.get("class") == "curve"][1]
    points = [tuple(map(float, p.split())) for p in (curve.get("d") or "")[1:].split("L")]
    assert len(points) == 30
    # The panel reaches from 290 (0%) up to 30 (100%).
    assert points[-1][1] == pytest.approx(290 - 2.6 * share, abs=0.06)
    assert points[0][0] < points[-1][0]


def test_references_and_the_reported_metric(results):
    text = picture(
        results, [(20, 70.0, "published <1>"), Reference(30, 60.0, "other")], left="report"
    )
    root = read(text)
    said = [t.text for t in root.iter(f"{SVG}text") if (t.get("class") or "").startswith("said")]
    assert said == ["published <1>", "other"]
    assert "test acc 200" in text


def test_several_objectives_show_the_hypervolume(table):
    made = compare(
        table,
        ["random"],
        queries=60,
        repeats=2,
        processes=1,
        objectives=[Objective("flops_M", "minimize")],
    )
    text = picture(made)
    read(text)
    assert "hypervolume (%), log scale" in text


def test_runs_that_hold_nothing_and_runs_that_hold_the_best(table):
    least = float(table.values["flops_M"].min())
    limit = Limit("flops_M", "<=", least)
    made = compare(table, ["random"], queries=3, repeats=2, processes=1, limits=[limit])
    read(picture(made))
    nothing = replace(made[0], valid=np.full((2, 3), np.nan), regret=np.full((2, 3), np.nan))
    text = picture([nothing])
    assert "no run has a result that keeps the limits" in text
    read(text)
    half = np.where([[True], [False]], 0.5, np.nan) * np.ones(3)
    assert "(1 of 2 runs)" in picture([replace(made[0], valid=half, regret=half)])
    best = replace(made[0], regret=np.zeros((2, 3)), optimum=np.ones((2, 3), bool))
    text = picture([best])
    assert "regret of valid acc 200" in text
    read(text)
    read(picture(compare(table, ["random"], queries=1, repeats=1, processes=1)))


def test_results_of_several_tables_are_refused(results):
    with pytest.raises(InputError, match="one table"):
        picture([results[0], replace(results[1], dataset="other")])
    with pytest.raises(InputError, match="one table"):
        picture([])


def test_a_long_run_has_no_more_points_than_pixels(results):
    many = replace(
        results[0],
        queries=5000,
        **{
            name: np.tile(getattr(results[0], name)[:, -1:], (1, 5000))
            for name in ("valid", "test", "regret", "optimum", "clock")
        },
    )
    assert len(picture([many])) < 60_000
