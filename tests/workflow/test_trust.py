"""Agreement of shared with stand-alone values against known answers, and what is said of it."""

from __future__ import annotations

import json
import math
import random
import time
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from archsmith._support.errors import InputError
from archsmith.history.agreement import Agreement, Coefficient, rank_agreement, resampled, top_fifth
from archsmith.history.objective import Objective
from archsmith.history.trust import Trust
from archsmith.history.trust_facts import Judged, Outcome, Visits, tally

ACCURACY = Objective("accuracy", "maximize")
LOSS = Objective("loss", "minimize")


def noisy(count: int, noise: float, seed: int = 0) -> tuple[list[float], list[float]]:
    """Shared and stand-alone values."""
    rng = random.Random(seed)
    alone = [rng.gauss(0, 1) for _ in range(count)]
    return [value + noise * rng.gauss(0, 1) for value in alone], alone


def test_coefficients_are_those_of_scipy() -> None:
    shared = [0.3, 0.1, 0.4, 0.1, 0.5, 0.9, 0.2, 0.6, 0.5, 0.3]
    alone = [2.0, 7.0, 1.0, 8.0, 2.0, 8.0, 1.0, 8.0, 2.0, 8.0]
    found = rank_agreement(shared, alone)
    assert found.tau.value == pytest.approx(stats.kendalltau(shared, alone).statistic, abs=1e-12)
    assert found.rho.value == pytest.approx(stats.spearmanr(shared, alone).statistic, abs=1e-12)
    assert found.count == 10


def test_hand_counted_tau() -> None:
    # Of six pairs one is turned round: (5 - 1) / 6.
    assert rank_agreement([1, 2, 4, 3], [1, 2, 3, 4]).tau.value == pytest.approx(2 / 3)


@pytest.mark.parametrize(("turn", "expected"), [(1, 1.0), (-1, -1.0)])
def test_the_same_order_and_the_reversed_one(turn: int, expected: float) -> None:
    alone = [float(v) for v in range(30)]
    found = rank_agreement([turn * math.exp(v / 9) for v in alone], alone)
    for one in (found.tau, found.rho, found.top_tau, found.top_rho):
        assert one.value == pytest.approx(expected)
        assert one.low == pytest.approx(expected)
        assert one.high == pytest.approx(expected)
    assert found.picks is not None
    assert found.picks.rank == (1 if turn == 1 else 30)
    assert found.picks.regret == (0.0 if turn == 1 else 29.0)


def test_the_top_fifth_is_by_stand_alone_value_with_ties() -> None:
    assert top_fifth([5, 1, 4, 3, 2, 9, 8, 7, 6, 0]) == [i in (5, 6) for i in range(10)]
    assert top_fifth([5, 1, 4, 3, 2, 9, 8, 7, 6, 0], "minimize") == [i in (1, 9) for i in range(10)]
    # The second of ten ties with two others.
    assert sum(top_fifth([9, 8, 8, 8, 1, 1, 1, 1, 1, 1])) == 4
    assert top_fifth([1.0]) == [True]
    assert top_fifth([]) == []
    # Ranked rightly but for the two best, which are turned round.
    alone = [float(v) for v in range(10)]
    found = rank_agreement([*alone[:8], 9.0, 8.0], alone)
    assert found.top == 2
    assert found.top_tau == Coefficient(-1.0)  # too few for an interval
    assert found.tau.value == pytest.approx((44 - 1) / 45)


def test_resamples_by_matrices_are_those_by_hand() -> None:
    rng = np.random.default_rng(3)
    x, y = rng.integers(0, 6, 15).astype(float), rng.integers(0, 6, 15).astype(float)
    drawn = rng.integers(0, 15, (40, 15))
    weights = np.stack([np.bincount(row, minlength=15) for row in drawn]).astype(float)
    tau, rho = resampled(x, y, weights)
    for i, row in enumerate(drawn):
        assert tau[i] == pytest.approx(stats.kendalltau(x[row], y[row]).statistic)
        assert rho[i] == pytest.approx(stats.spearmanr(x[row], y[row]).statistic)


def test_intervals_cover_the_truth_about_as_often_as_they_say() -> None:
    # For normal values with correlation r, tau is 2/pi arcsin r.
    noise = 0.75
    truth = 2 / math.pi * math.asin(1 / math.sqrt(1 + noise**2))
    covered = 0
    for seed in range(60):
        tau = rank_agreement(*noisy(50, noise, seed), resamples=300, seed=seed).tau
        assert tau.low is not None
        assert tau.high is not None
        covered += tau.low <= truth <= tau.high
    assert 51 <= covered <= 60


def test_three_hundred_architectures_take_less_than_two_seconds() -> None:
    values = noisy(300, 0.5)
    began = time.process_time()
    found = rank_agreement(*values)
    assert time.process_time() - began < 2
    assert rank_agreement(*values) == found
    assert rank_agreement(*values, seed=1).tau != found.tau


def test_more_architectures_than_are_resampled() -> None:
    found = rank_agreement(*noisy(1300, 0.6), resamples=200)
    assert found.top == 260
    assert found.tau.value is not None
    assert found.tau.low is not None
    assert found.tau.high is not None
    assert found.tau.low < found.tau.value < found.tau.high < found.tau.low + 0.1


def test_lower_is_better_turns_everything() -> None:
    shared, alone = noisy(40, 0.6)
    up = rank_agreement(shared, alone)
    down = rank_agreement([-v for v in shared], [-v for v in alone], direction="minimize")
    assert up == down


def test_picks_on_a_sample_of_known_values() -> None:
    # By shared weights: 0.80, 0.95, 0.90, then the rest.
    alone = [0.80, 0.95, 0.90, *[0.5] * 36, 0.99]
    shared = [9.0, 8.0, 7.0, *[1.0] * 36, 0.0]
    picks = rank_agreement(shared, alone).picks
    assert picks is not None
    assert (picks.rank, picks.five, picks.ten) == (4, 2, 4)
    assert picks.regret == pytest.approx(0.19)
    assert picks.regret_five == picks.regret_ten == pytest.approx(0.04)
    assert picks.regret_random == pytest.approx((0.19 + 0.04 + 0.09 + 36 * 0.49) / 40)
    # Ties are broken for the worse: shared weights that say nothing get the worst architecture.
    same = rank_agreement([1.0] * 40, alone)
    assert same.picks is not None
    assert same.picks.regret == pytest.approx(0.49)
    assert same.tau == Coefficient()


@pytest.mark.parametrize("count", [0, 1, 2, 4])
def test_few_architectures_have_no_interval(count: int) -> None:
    found = rank_agreement(*noisy(count, 0.1))
    assert found.count == count
    assert found.tau.low is None
    assert (found.tau.value is None) == (count < 2)


def test_what_diverged_counts_as_worst() -> None:
    shared, alone = noisy(30, 0.3)
    broken = [math.nan, *shared[1:]]
    worst = [min(shared) - 1, *shared[1:]]
    assert rank_agreement(broken, alone) == rank_agreement(worst, alone)
    lost = rank_agreement(shared, [math.nan, *alone[1:]])
    assert lost.picks is None
    assert lost.tau.value is not None


def test_two_lengths_are_refused() -> None:
    with pytest.raises(InputError, match="one stand-alone value for each shared one"):
        rank_agreement([1.0], [1.0, 2.0])


def sample(shared: list[float], alone: list[float], raw: list[float] | None = None) -> list[Judged]:
    return [
        Judged(f"a{i}", s, a, raw[i] if raw else None)
        for i, (s, a) in enumerate(zip(shared, alone, strict=True))
    ]


def trust(count: int, noise: float, seed: int = 0) -> Trust:
    return Trust.of(ACCURACY, sample(*noisy(count, noise, seed)), "trained for 8 epochs each")


def agreeing(
    tau: tuple[float, float, float], top: tuple[float, float, float], count: int = 100
) -> Trust:
    """Shared weights of given coefficients."""
    one, other = Coefficient(*tau), Coefficient(*top)
    return Trust(ACCURACY, after=Agreement(count, one, one, count // 5, other, other))


def test_verdicts() -> None:
    for tau, top, level, words in (
        ((0.8, 0.7, 0.9), (0.5, 0.3, 0.7), "good", "including the best ones"),
        ((0.8, 0.7, 0.9), (0.05, -0.2, 0.3), "fair", "well overall, but poorly among the best"),
        ((0.8, 0.7, 0.9), (0.05, -0.6, 0.7), "fair", "well overall, but not demonstrably among"),
        ((0.65, 0.25, 0.9), (0.5, 0.3, 0.7), "fair", "roughly"),
        ((0.45, 0.3, 0.6), (0.4, 0.2, 0.5), "fair", "take several finalists and train them"),
        ((0.2, 0.1, 0.3), (0.4, 0.2, 0.5), "poor", "say little"),
        ((-0.5, -0.7, -0.2), (0.4, 0.2, 0.5), "poor", "backwards"),
        ((0.4, 0.05, 0.7), (0.4, 0.2, 0.5), "unknown", "too small"),
    ):
        said = agreeing(tau, top).verdict
        assert (said.level, words in said.headline) == (level, True), said


def test_verdicts_on_samples() -> None:
    assert trust(200, 0.1).verdict.level == "good"
    assert trust(200, 1.0).verdict.level == "fair"
    assert trust(200, 9.0).verdict.level == "poor"
    few = trust(8, 0.01).verdict
    assert (few.level, "8 architectures are too few" in few.headline) == ("unknown", True)
    assert "1 architecture is too few" in trust(1, 0.0).verdict.headline
    small = trust(20, 0.1).verdict
    assert small.level == "good"
    assert "the sample is too small to judge the best ones" in small.headline
    assert Trust.of(ACCURACY, sample([1.0] * 20, [0.5] * 20)).verdict.level == "unknown"
    unmeasured = Trust.of(ACCURACY, visits={"op": {"a": 3, "b": 0}}).verdict
    assert unmeasured.level == "unknown"
    assert "Nobody has measured" in unmeasured.headline
    assert "Never trained" in unmeasured.reasons[0]
    assert "op=b" in unmeasured.reasons[0]


def test_a_top_fifth_that_shared_weights_cannot_tell_apart() -> None:
    rng = random.Random(0)
    alone = [rng.random() for _ in range(300)]
    said = Trust.of(ACCURACY, sample([min(v, 0.75) for v in alone], alone)).verdict
    assert said.level == "fair"
    assert "do not distinguish the best ones" in said.headline
    assert "In the top fifth (60) all values are equal." in said.reasons
    shared = [min(v, 0.8) + rng.gauss(0, 0.02) for v in alone]
    said = Trust.of(ACCURACY, sample(shared, alone)).verdict
    assert "well overall, but poorly among the best: take several finalists" in said.headline
    assert any("In the top fifth (60) it is" in reason for reason in said.reasons)


def test_verdict_of_a_loss() -> None:
    shared, alone = noisy(100, 0.2)
    up = Trust.of(ACCURACY, sample(shared, alone), chosen=Judged("c", 0, 0.5))
    down = Trust.of(
        LOSS,
        sample([-v for v in shared], [-v for v in alone]),
        chosen=Judged("c", 0, -0.5),
        found=Outcome(0.30, 1, 60.0),
        random=Outcome(0.35, 4, 60.0),
    )
    assert up.verdict.level == down.verdict.level == "good"
    assert up.after == down.after
    assert up.beaten == down.beaten == sum(v < 0.5 for v in alone)
    assert down.verdict.reasons[-1] == (
        "With the same budget random search (4 architectures trained alone in 1m00s) found loss "
        "0.35; sharing weights found 0.3, better by 0.05."
    )
    worse = replace(down, found=Outcome(0.4, 1, 60.0)).verdict
    assert "sharing did not pay here" in worse.reasons[-1]


def test_the_effect_of_recalibration() -> None:
    shared, alone = noisy(60, 0.3)
    raw = [v - 2.0 for v in noisy(60, 3.0)[0]]
    measured = Trust.of(ACCURACY, sample(shared, alone, raw))
    effect = measured.recalibration
    assert effect is not None
    assert effect.shared == pytest.approx(sum(shared) / 60 - sum(raw) / 60)
    after, before = (stats.kendalltau(x, alone).statistic for x in (shared, raw))
    assert effect.tau == pytest.approx(after - before)
    assert f"τ would be {before:.2f}" in " ".join(measured.verdict.reasons)
    assert Trust.of(ACCURACY, sample(shared, alone)).recalibration is None
    # What had no finite value before has no finite change; the others count.
    broken = Trust.of(ACCURACY, sample(shared, alone, [math.nan, *raw[1:]])).recalibration
    assert broken is not None
    assert broken.shared == pytest.approx(sum(shared[1:]) / 59 - sum(raw[1:]) / 59)
    with pytest.raises(InputError, match="1 of 2"):
        Trust.of(ACCURACY, [Judged("a", 1, 1, 1), Judged("b", 1, 1)])


def test_visits() -> None:
    options = {"op": ("conv", "skip", "pool"), "use": (False, True)}
    counts = tally(
        {("op", "skip"): 6, ("op", "conv"): 3, ("use", True): 4, ("n", (3, 5)): 1}, options
    )
    assert counts == {
        "op": {"conv": 3, "skip": 6, "pool": 0},
        "use": {"no": 0, "yes": 4},
        "n": {"(3, 5)": 1},
    }
    assert Visits("op", counts["op"]).evenness == 0.0
    assert Visits("op", {"a": 10, "b": 30}).evenness == pytest.approx(0.5)
    assert Visits("op", {"a": 10, "b": 30}).least == ("a", 10)
    assert Visits("n", counts["n"]).evenness == 1.0
    assert Visits("op", {"a": 0, "b": 0}).evenness == 0.0
    uneven = Trust.of(ACCURACY, visits={"op": {"a": 10, "b": 90}}).verdict
    assert uneven.reasons == (
        "Training was uneven: op=a got 20% of an equal share of the training.",
    )


def test_json_holds_everything_and_gives_it_back() -> None:
    shared, alone = noisy(40, 0.4)
    whole = Trust.of(
        ACCURACY,
        sample(shared, alone, noisy(40, 2.0, 5)[0]),
        "read from the table nb201",
        visits={"op": {"a": 10, "b": 20}, "empty": {}},
        chosen=Judged("c", 0.9, 0.8),
        found=Outcome(0.94, 3, 1200.0, "c"),
        random=Outcome(0.93, 11, 1190.0, "a4"),
    )
    document = json.loads(json.dumps(whole.to_json(), allow_nan=False))
    assert Trust.from_json(document) == whole
    assert document["verdict"] == whole.verdict.level
    assert document["sentences"][0] == whole.verdict.headline
    assert document["evenness"] == {"op": pytest.approx(2 / 3)}
    assert document["after"]["tau"]["value"] == whole.after.tau.value  # type: ignore[union-attr]
    assert document["recalibration"]["tau"] > 0
    assert len(document["sample"]) == 40
    empty = Trust.of(LOSS)
    assert Trust.from_json(json.loads(json.dumps(empty.to_json()))) == empty


def test_json_has_no_nan() -> None:
    broken = Trust.of(
        ACCURACY,
        sample([math.nan, 1.0, 2.0], [0.5, 0.6, math.inf], [math.nan, 0.1, 0.2]),
        found=Outcome(math.nan, 1, 1.0),
    )
    document = json.loads(json.dumps(broken.to_json(), allow_nan=False))
    assert document["sample"][0]["shared"] is None
    back = Trust.from_json(document)
    assert math.isnan(back.sample[0].shared)
    assert back.after == broken.after
    assert back.found is not None
    assert math.isnan(back.found.value)
