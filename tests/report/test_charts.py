"""Charts against known coordinates and known fronts."""

from __future__ import annotations

import random
import re

import pytest

from archsmith.history.objective import Limit, Objective, nondominated_fronts
from archsmith.history.trial import Fidelity, State, Trial
from archsmith.report.axes import NARROW, WIDE
from archsmith.report.charts import best_so_far, search_figure
from archsmith.report.content import FinalistRow, ReportContent
from archsmith.report.curves import sparkline, training_figures
from archsmith.report.tradeoff import front_of, staircase, tradeoff_figures
from archsmith.space.architecture import Architecture

from .studies import ACCURACY, LATENCY, study

PARAMS = Objective("params", "minimize")


def made(number: int, state: State = State.FINISHED, **metrics: float) -> Trial:
    return Trial(number, Architecture({"n": number}), state=state, metrics=metrics)


def content(*trials: Trial, objectives: tuple[Objective, ...] = (ACCURACY,)) -> ReportContent:
    return ReportContent("a study", objectives, trials, limits=[Limit("params", "<=", 100)])


def points(svg: str) -> dict[int, tuple[float, float]]:
    """Where each trial is drawn."""
    found = re.findall(r'<path d="M([\d.]+) ([\d.]+)[^"]*" data-n="(\d+)"', svg)
    return {int(n): (float(x), float(y)) for x, y, n in found}


def test_best_so_far_counts_only_finished_trials_that_keep_the_limits() -> None:
    shown = content(
        made(0, accuracy=0.5, params=10),
        made(1, accuracy=0.9, params=999),
        made(2, State.PRUNED, accuracy=0.95),
        made(3, accuracy=0.4, params=10),
        made(4, accuracy=0.7, params=10),
    )
    assert best_so_far(shown, ACCURACY) == [(0, 0.5), (4, 0.7)]


def test_longer_trainings_are_not_compared_with_shorter_ones() -> None:
    lengths = {0: (1, 0.6), 1: (1, 0.9), 2: (3, 0.8), 3: (1, 0.95), 4: (3, 0.85)}
    trials = [
        Trial(
            n,
            Architecture({"n": n}),
            Fidelity(e),
            state=State.FINISHED,
            metrics={"accuracy": a, "params": 10},
        )
        for n, (e, a) in lengths.items()
    ]
    shown = content(*trials)
    assert best_so_far(shown, ACCURACY) == [(0, 0.6), (1, 0.9), (2, 0.8), (4, 0.85)]
    figure = search_figure(shown, ACCURACY)
    assert figure is not None
    words = [text for _, text in figure.legend]
    assert words == [
        "best so far of the longest trainings",
        "finished",
        "finished, not trained as long as others",
    ]
    assert len(re.findall('class="short"', figure.wide)) == 3


def test_the_search_curve_draws_each_trial_where_it_belongs() -> None:
    shown = content(
        made(0, accuracy=0.5),
        made(1, accuracy=0.9, params=999),
        made(2, accuracy=0.7),
        made(3, State.FAILED),
        made(4, State.RUNNING),
    )
    figure = search_figure(shown, ACCURACY)
    assert figure is not None
    for svg, size in ((figure.wide, WIDE), (figure.narrow, NARROW)):
        at = points(svg)
        assert sorted(at) == [0, 1, 2, 3]
        # Equal steps of number and of accuracy are equal steps on the page.
        assert abs((at[1][0] - at[0][0]) - (at[2][0] - at[1][0])) < 0.2
        assert abs((at[0][1] - at[2][1]) - (at[2][1] - at[1][1])) < 0.2
        assert at[1][1] < at[2][1] < at[0][1] < at[3][1] < size.height
        # The best so far starts at trial 0, rises at trial 2 and ends at the last trial.
        step = re.search(r'd="(M[^"]+)" class="step"', svg)
        assert step is not None
        x0, y0 = at[0]
        assert step[1].startswith(f"M{x0:g} {y0:g}H{at[2][0]:g}V{at[2][1]:g}H")
    assert dict(figure.legend) == {
        "line": "best so far",
        "dot": "finished",
        "ring": "breaks a limit",
        "cross": "failed",
    }


def test_no_search_curve_before_the_first_value() -> None:
    assert search_figure(content(), ACCURACY) is None
    assert search_figure(content(made(0, State.RUNNING)), ACCURACY) is None
    assert search_figure(content(made(0, accuracy=float("nan"))), ACCURACY) is None


def test_the_drawn_front_is_the_pareto_front() -> None:
    rng = random.Random(3)
    trials = [made(n, accuracy=rng.random(), latency_ms=rng.random()) for n in range(60)]
    shown = content(*trials, objectives=(ACCURACY, LATENCY))
    losses = [(-t.metrics["accuracy"], t.metrics["latency_ms"]) for t in trials]
    front = front_of(shown, trials, ACCURACY, LATENCY)
    assert {t.number for t in front} == set(nondominated_fronts(losses)[0])
    across = [t.metrics["latency_ms"] for t in front]
    assert across == sorted(across)


def test_the_front_is_a_staircase_on_the_side_that_is_dominated() -> None:
    at = [(0.0, 30.0), (10.0, 20.0), (25.0, 5.0)]
    assert 'd="M0 30H10V20H25V5"' in staircase(at, "minimize")
    assert 'd="M0 30V20H10V5H25"' in staircase(at, "maximize")
    assert staircase(at[:1], "minimize") == ""


def test_two_objectives_give_one_chart_with_a_log_axis_where_needed() -> None:
    trials = [made(n, accuracy=0.5 + n / 100, latency_ms=10.0**n) for n in range(4)]
    [figure] = tradeoff_figures(content(*trials, objectives=(ACCURACY, LATENCY)))
    assert "latency (ms), log scale" in figure.wide
    at = points(figure.wide)
    steps = [at[n + 1][0] - at[n][0] for n in range(3)]
    assert max(steps) - min(steps) < 0.3


def test_other_numbers_of_objectives() -> None:
    trials = [made(n, accuracy=0.5 + n / 9, latency_ms=n + 1.0, params=90.0 - n) for n in range(5)]
    assert [f.title for f in tradeoff_figures(content(*trials))] == ["Accuracy and latency"]
    three = tradeoff_figures(content(*trials, objectives=(ACCURACY, LATENCY, PARAMS)))
    assert [f.title for f in three] == [
        "Accuracy and latency",
        "Accuracy and parameters",
        "Latency and parameters",
    ]
    for trial in trials:
        trial.metrics["flops"] = 5.0
    four = content(*trials, objectives=(ACCURACY, LATENCY, PARAMS, Objective("flops", "minimize")))
    [parallel] = tradeoff_figures(four)
    assert parallel.wide.count("data-n=") == 5
    assert tradeoff_figures(content(made(0, accuracy=0.5))) == []


@pytest.mark.parametrize("value", [1e17, -1e17, 1e-14, 0.0])
def test_charts_of_one_value_however_large(value: float) -> None:
    goals = tuple(Objective(name, "minimize") for name in ("a", "b", "c", "d"))
    trials = [made(n, a=value, b=value, c=n, d=n) for n in range(3)]
    [parallel] = tradeoff_figures(content(*trials, objectives=goals))
    assert parallel.wide.count("data-n=") == 3
    assert "nan" not in parallel.wide
    trials[0].curve = [{"epoch": e, "a": value} for e in (1, 2, 3)]
    assert 'd="M2 34L70 34L138 34"' in sparkline(trials[0], ["a"])
    pair = content(*trials, objectives=(Objective("a", "minimize"), Objective("c", "minimize")))
    assert sorted(points(tradeoff_figures(pair)[0].wide)) == [0, 1, 2]


def test_training_curves_of_both_finalists() -> None:
    rows = [{"epoch": e, "train_loss": 1 / e, "accuracy": e / 4} for e in (1.0, 2.0, 3.0)]
    shown = ReportContent(
        "a study",
        [ACCURACY],
        finalists=[FinalistRow("best", curve=rows), FinalistRow("default", curve=rows[:2])],
    )
    loss, accuracy = training_figures(shown)
    assert (loss.title, accuracy.title) == ("Training loss", "Validation accuracy")
    assert loss.legend == (("line one", "best"), ("line two", "default"))
    lines = re.findall(r'd="M([^"]+)" class="curve"', accuracy.wide)
    assert sorted(line.count("L") for line in lines) == [1, 2]
    assert "default, epoch 2\naccuracy 0.5" in accuracy.wide
    assert training_figures(ReportContent("a study", [ACCURACY])) == []


def test_sparklines_are_thinned_and_need_two_epochs() -> None:
    trial = made(0)
    trial.curve = [{"epoch": e, "accuracy": e / 100} for e in range(1, 101)]
    assert sparkline(trial, ["accuracy"], 10).count("L") == 9
    trial.curve = trial.curve[:1]
    assert sparkline(trial, ["accuracy"]) == ""
    assert sparkline(made(1), ["accuracy"]) == ""


def test_every_trial_of_a_study_is_in_the_search_curve() -> None:
    shown = study(40)
    figure = search_figure(shown, ACCURACY)
    assert figure is not None
    assert sorted(points(figure.narrow)) == list(range(40))
    assert "below the axis" in dict(figure.legend).values()
