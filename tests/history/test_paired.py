"""Winner against default: known answers, coverage, and words that follow from the interval."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from torch import nn

import archsmith as nas
from archsmith.history.paired import Comparison, bootstrap, bootstrap_pooled, compare, mcnemar


@pytest.mark.parametrize(("won", "lost"), [(25, 12), (5, 5), (0, 6), (13, 1), (40, 21)])
def test_mcnemar_is_the_binomial_test_and_its_interval(won, lost):
    low, high, p = mcnemar(won, lost, 200)
    known = stats.binomtest(won, won + lost)
    assert p == pytest.approx(known.pvalue)
    ends = known.proportion_ci(0.95, method="exact")
    share = (won + lost) / 200
    assert (low, high) == pytest.approx(((2 * ends.low - 1) * share, (2 * ends.high - 1) * share))
    assert (low > 0 or high < 0) == (p <= 0.05), "the interval and the test say the same"


def test_mcnemar_known_answers():
    # Counted by hand: twice the sum of C(22, k) up to k = 6, of 2**22.
    assert mcnemar(16, 6, 161)[2] == pytest.approx(2 * 110_056 / 2**22)
    assert mcnemar(0, 0, 50) == (0.0, 0.0, 1.0)
    assert mcnemar(1, 0, 10)[:2] == pytest.approx((-0.095, 0.1))


def test_the_bootstrap_agrees_with_the_normal_interval_of_a_mean():
    rng = np.random.default_rng(3)
    one, other = rng.normal(1.0, 0.5, 2000), rng.normal(1.1, 0.5, 2000)
    low, high = bootstrap("loss", one, other)
    spread = (one - other).std() / 2000**0.5
    middle = (one - other).mean()
    assert low == pytest.approx(middle - 1.96 * spread, abs=0.1 * spread)
    assert high == pytest.approx(middle + 1.96 * spread, abs=0.1 * spread)
    assert bootstrap("loss", one, other) == (low, high), "the same for the same examples"


def test_intervals_of_rmse_cover_the_truth_about_as_often_as_they_say(monkeypatch):
    monkeypatch.setattr("archsmith.history.paired._RESAMPLES", 400)
    rng, covered = np.random.default_rng(0), 0
    for _ in range(200):
        shared = rng.normal(0, 1, 150)  # most of an error is that of the example
        errors = shared + rng.normal(0, 0.3, 150), shared + rng.normal(0, 0.6, 150)
        low, high = bootstrap("rmse", errors[0] ** 2, errors[1] ** 2)
        covered += low <= (1 + 0.09) ** 0.5 - (1 + 0.36) ** 0.5 <= high
    assert 180 <= covered <= 199


def ratio(sums):
    """A metric that is no mean over examples: a ratio of two sums."""
    return sums[..., 0] / sums[..., 1]


def test_pooled_parts_of_one_number_are_a_mean():
    rng = np.random.default_rng(4)
    one, other = rng.normal(1.0, 0.5, 300), rng.normal(1.1, 0.5, 300)
    low, high = bootstrap_pooled(lambda s: s[..., 0] / 300, one[:, None], other[:, None])
    assert (low, high) == pytest.approx(bootstrap("loss", one, other))
    same = compare("miou", "maximize", one[:, None], one[:, None], pooled=lambda s: s[..., 0])
    assert (same.low, same.high, same.better) == (0.0, 0.0, 0.0)


def test_intervals_of_a_ratio_cover_the_truth_about_as_often_as_they_say(monkeypatch):
    monkeypatch.setattr("archsmith.history.paired._RESAMPLES", 400)
    rng, covered = np.random.default_rng(1), 0
    for _ in range(200):
        size = rng.integers(1, 100, 120)  # examples that weigh differently
        hard = rng.beta(8, 2, 120)  # shared by both models
        one, other = (
            np.stack([rng.binomial(size, hard * skill), size], axis=1).astype(float)
            for skill in (0.9, 0.8)
        )
        low, high = bootstrap_pooled(ratio, one, other)
        covered += low <= 0.1 * 0.8 <= high
    assert 180 <= covered <= 199


def test_a_pooled_comparison_has_the_metric_of_all_examples():
    one = np.array([[1.0, 2.0], [3.0, 3.0], [0.0, 5.0]])
    other = np.array([[0.0, 2.0], [3.0, 3.0], [0.0, 5.0]])
    found = compare("share", "maximize", one, other, against="resnet-20", pooled=ratio)
    assert (found.value, found.other) == (0.4, 0.3)
    assert found.words.startswith("no clear difference from resnet-20 on 3 test examples: better")
    assert Comparison.from_json(found.to_json()) == found
    assert "against" not in apart(1, 0, 9).to_json()


def apart(won: int, lost: int, count: int) -> Comparison:
    one, other = np.zeros(count), np.zeros(count)
    one[:won], other[won : won + lost] = 1, 1
    return compare("accuracy", "maximize", one, other)


def test_words_follow_from_the_interval():
    assert apart(30, 8, 1000).words.startswith("better than the default by 2.2 points (95% inter")
    assert apart(8, 30, 1000).words.startswith("worse than the default by 2.2 points (95% interval")
    unclear = apart(8, 6, 360)
    assert not unclear.clear
    assert unclear.words.startswith(
        "no clear difference from the default on 360 test examples: better by 0.556 points (95%"
    )
    assert apart(0, 0, 90).words == (
        "no difference from the default on 90 test examples (95% interval 0 to 0)"
    )
    lower = compare("rmse", "minimize", np.full(50, 1.0), np.full(50, 4.0))
    assert (lower.value, lower.other, lower.better) == (1.0, 2.0, 1.0)
    assert lower.words == (
        "better than the default by 1.0 in rmse (95% interval 1.0 to 1.0) on 50 test examples"
    )
    assert Comparison.from_json(lower.to_json()) == lower


def weak_default(features: int, outputs: int) -> nn.Module:
    """One hidden unit by default, which any search betters."""
    width = nas.choose("width", [1, 32])
    return nn.Sequential(nn.Linear(features, width), nn.ReLU(), nn.Linear(width, outputs))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("data", "metric", "how"), [("iris", "accuracy", "mcnemar"), ("diabetes", "rmse", "bootstrap")]
)
def test_a_search_compares_on_the_test_part_what_it_tells(data, metric, how, tmp_path, archsmith):
    result = nas.search(
        weak_default, data, trials=2, epochs=2, final_epochs=20, finalists=1, run=tmp_path / "run"
    )
    assert result.best is not None
    assert result.default is not None
    assert result.best.architecture != result.default.architecture
    told = result.comparison
    assert told is not None
    assert (told.metric, told.method) == (metric, how)
    assert told.value == pytest.approx(result.best.test[metric], rel=1e-5)
    assert told.other == pytest.approx(result.default.test[metric], rel=1e-5)
    assert told.low <= told.value - told.other <= told.high
    assert nas.Run(tmp_path / "run").comparison == told
    assert told.words in " ".join(archsmith("show", tmp_path / "run").out.split())
    assert told.words in (tmp_path / "run" / "report.html").read_text()


@pytest.mark.slow
def test_several_seeds_are_trained_tested_and_told(tmp_path, archsmith, monkeypatch):
    from archsmith.workflow import finalists as finals
    from archsmith.workflow.finalist import Finalist, train_to_end

    trained: list[tuple[str, int]] = []

    def watched(problem, architecture, number, seed, *more) -> Finalist:
        trained.append((architecture.id, seed))
        return train_to_end(problem, architecture, number, seed, *more)

    monkeypatch.setattr(finals, "train_to_end", watched)
    small = {"trials": 2, "epochs": 1, "final_epochs": 2, "finalists": 1, "run": tmp_path / "run"}
    result = nas.search("mlp", "iris", final_seeds=2, **small)
    assert result.best is not None
    assert len(trained) == len(set(trained)) == 2 * len({name for name, _ in trained})
    seeds = [{seed for name, seed in trained if name == one} for one in dict(trained)]
    assert all(found == seeds[0] for found in seeds), "the same seeds for all"
    run = nas.Run(tmp_path / "run")
    for role, found in (("winner", result.best), ("default", result.default)):
        repeats = run.repeats(role)
        assert len(repeats) == 2
        assert all(repeat.test for repeat in repeats)
        chosen = max(repeats, key=lambda one: (one.validation["accuracy"], -one.validation["loss"]))
        assert found.metrics == chosen.metrics, "the validation part chooses, not the test part"
        assert found.test == chosen.test
    assert "over 2 seeds" in archsmith("show", tmp_path / "run").out
    # The same call trains nothing again, and more seeds train what is missing.
    before = len(trained)
    again = nas.search("mlp", "iris", final_seeds=2, **small)
    assert (len(trained), again.best.metrics) == (before, result.best.metrics)
    nas.search("mlp", "iris", final_seeds=3, **small)
    assert len(trained) == before // 2 * 3
    with pytest.raises(nas.InputError, match="final seeds"):
        nas.search("mlp", "iris", final_seeds=0)
