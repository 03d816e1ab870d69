"""Ladders, how many rise, and the order on a rung."""

from __future__ import annotations

import math
import random
import time

import pytest

import archsmith as nas
from archsmith.history.objective import Limit, Objective
from archsmith.history.trial import Fidelity, History, State, Trial
from archsmith.strategy.asha import ASHA
from archsmith.strategy.bohb import BOHB
from archsmith.strategy.hyperband import Hyperband
from archsmith.strategy.rungs import Rung, ladder, leftover, rung_of, survivors
from archsmith.strategy.successive_halving import SuccessiveHalving

from .toys import ACCURACY, chain

ALL = (SuccessiveHalving, Hyperband, ASHA, BOHB)


def trial(number: int, epochs: int | None, **metrics: float) -> Trial:
    architecture = nas.Space(chain).sample(random.Random(number))
    return Trial(
        number, architecture, Fidelity(epochs=epochs), state=State.FINISHED, metrics=metrics
    )


@pytest.mark.parametrize(
    ("offered", "eta", "least", "rungs"),
    [
        ((1, 3, 9), 3, 1, (1, 3, 9)),
        ((12, 200), 3, 1, (12, 200)),
        (range(1, 82), 3, 1, (1, 3, 9, 27, 81)),
        (range(1, 82), 3, 9, (9, 27, 81)),
        (range(1, 65), 4, 1, (1, 4, 16, 64)),
        (range(1, 51), 3, 1, (1, 2, 6, 17, 50)),
        (range(1, 9), 3, 1, (1, 3, 8)),
        (range(1, 3), 3, 1, (1, 2)),
        ((180, 190, 200), 3, 1, (180, 200)),
        ((4, 12, 36, 108), 3, 1, (4, 12, 36, 108)),
    ],
)
def test_a_ladder_is_geometric_and_of_what_is_offered(offered, eta, least, rungs):
    assert ladder("asha", tuple(offered), eta, least) == rungs


@pytest.mark.parametrize("kind", ALL)
def test_one_fidelity_alone_is_refused(kind):
    space = nas.Space(chain)
    for epochs in ((), (9,)):
        with pytest.raises(nas.InputError, match=kind.name) as error:
            kind().check(space, History([ACCURACY], epochs=epochs))
        assert "evaluator" in error.value.hint
        assert "evolution" in error.value.hint
    kind().check(space, History([ACCURACY], epochs=(1, 9)))


@pytest.mark.parametrize("kind", ALL)
def test_settings_that_make_no_ladder_are_refused(kind):
    for eta in (1, math.inf, math.nan, "3"):
        with pytest.raises(nas.InputError, match="eta"):
            kind(eta=eta)
    with pytest.raises(nas.InputError, match="min_epochs"):
        kind(min_epochs="1")
    with pytest.raises(nas.InputError, match="min_epochs"):
        kind(min_epochs=0)
    with pytest.raises(nas.InputError, match="min_epochs"):
        kind(min_epochs=9).check(nas.Space(chain), History([ACCURACY], epochs=(1, 9)))


def test_rungs_cost_the_same():
    assert survivors(9, 1, 3) == 3
    assert survivors(8, 1, 3) == 2
    assert survivors(27, 9, 27) == 9
    assert survivors(17, 12, 200) == 1
    assert survivors(16, 12, 200) == 0


def test_a_trial_without_epochs_is_a_full_one():
    assert rung_of(trial(0, None), (1, 3, 9)) == 2
    assert rung_of(trial(0, 3), (1, 3, 9)) == 1
    assert rung_of(trial(0, 4), (1, 3, 9)) is None


SIZE, COST = Objective("size", "minimize"), Objective("cost", "minimize")


@pytest.mark.parametrize("goals", [[ACCURACY], [ACCURACY, SIZE], [ACCURACY, SIZE, COST]], ids=len)
def test_a_rung_is_ordered_as_the_history_orders(goals):
    history = History(goals, [Limit("size", "<=", 5)])
    rng, rung, trials = random.Random(3), Rung(history), []
    numbers = list(range(60))
    rng.shuffle(numbers)  # workers end in another order than they begin
    for number in numbers:
        # Coarse steps, so that there are ties in all metrics.
        metrics = {
            "accuracy": rng.randrange(5),
            "size": rng.randrange(10),
            "cost": rng.randrange(5),
        }
        trials.append(trial(number, 3, **metrics))
        rung.add(trials[-1])
        assert rung.ranked() == history.ranked(sorted(trials, key=lambda t: t.number))
        assert len(rung) == len(trials)


def test_a_rung_of_three_objectives_is_kept_in_order_cheaply():
    rung, rng = Rung(History([ACCURACY, SIZE, COST])), random.Random(0)
    architecture = nas.Space(chain).default()
    began = time.process_time()
    for number in range(400):
        metrics = {name: rng.random() for name in ("accuracy", "size", "cost")}
        rung.add(Trial(number, architecture, state=State.FINISHED, metrics=metrics))
        rung.ranked()
    assert (time.process_time() - began) / 400 < 0.01


def test_what_is_left_over_is_the_best_that_never_was_evaluated_fully():
    history = History([ACCURACY], epochs=(1, 3, 9))
    for t in (trial(0, 1, accuracy=9), trial(1, 1, accuracy=1), trial(2, 1, accuracy=2)):
        history.add(t)
        history.close(t)
    for number, epochs, value in ((1, 3, 1.0), (2, 3, 0.5), (1, 9, 0.5)):
        t = trial(number, epochs, accuracy=value)
        history.add(t)
        history.close(t)
    proposal = leftover(history, 9)
    # Trial 0 has the best look, but nobody looked at it for long.
    assert proposal is not None
    assert proposal.architecture == history.trials[2].architecture
    assert proposal.fidelity == Fidelity(epochs=9)
    assert proposal.note == "promoted from trial 2 (3 to 9 epochs)"
