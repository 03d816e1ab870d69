"""Judging by proxies: real spaces, a real batch, and what cannot be told."""

import math
import pickle
import random

import pytest
import torch
from torch import nn

import archsmith as nas
from archsmith._support.errors import InputError
from archsmith.data.partition import strata
from archsmith.evaluate import (
    Evaluator,
    Price,
    Stages,
    TrialFailed,
    TrialPruned,
    Watch,
    evaluators,
)
from archsmith.evaluate.proxy import ProxyEvaluator
from archsmith.history.trial import Fidelity
from archsmith.proxy import CannotScore, score_proxies
from archsmith.proxy.activations import SWAP
from archsmith.proxy.vote import Vote
from archsmith.space import Space, choose, one_of
from archsmith.task import task
from archsmith.testing.evaluator import EvaluatorContract
from archsmith.zoo.convnet import convnet

READ = nas.ReadOptions()
DATA = task("image-classification").read("digits", READ)
DIGITS = Space(convnet, channels=1, classes=10, height=8, width=8)


def evaluator(space=DIGITS, proxies=("snip", "naswot", "epe-nas"), **more):
    return ProxyEvaluator(space, "digits", READ, "image-classification", proxies, data=DATA, **more)


@pytest.mark.slow
class TestProxyEvaluator(EvaluatorContract):
    space, evaluator = DIGITS, evaluator()


def test_scores_are_those_of_the_model_on_the_batch():
    judge, architecture = evaluator(), DIGITS.default()
    found = judge.evaluate(architecture, Fidelity(), 5, Watch())
    model = DIGITS.build(architecture, seed=0)
    expected = score_proxies(model, judge.batch, ["snip", "naswot", "epe-nas"])
    assert found == {name.replace("-", "_"): value for name, value in expected.items()}


def test_the_batch_is_of_training_examples_in_proportion():
    batch = evaluator(batch_size=50).batch
    assert batch.inputs.shape == (50, 1, 8, 8)
    assert len(batch.targets.unique()) == 10
    prepared = task("image-classification").prepare(DATA.train.inputs, DATA.facts).flatten(1)
    assert all((prepared == row).all(1).any() for row in batch.inputs.flatten(1))
    shares = torch.bincount(batch.targets) / 50
    whole = torch.bincount(torch.from_numpy(strata(DATA.train.targets.numpy()))) / len(DATA.train)
    assert (shares - whole).abs().max() < 0.05


def test_the_seed_draws_another_batch():
    assert not torch.equal(evaluator(seed=1).batch.inputs, evaluator(seed=2).batch.inputs)


@pytest.mark.slow
def test_a_vote_stands_for_its_members_and_is_made_of_their_scores():
    judge = evaluator(proxies=[Vote(["params", "l2_norm"]), SWAP(samples=32), "az-nas"])
    assert set(judge.provides) >= {"params", "l2_norm", "swap", "expressivity", "trainability"}
    assert "az_nas" not in judge.provides
    drawn = [DIGITS.sample(random.Random(i)) for i in range(4)]
    scores = judge.table(drawn)
    votes = judge.combined(scores)
    assert set(votes) == {"vote", "az_nas"}
    best = max(range(4), key=lambda i: votes["vote"][i])
    assert votes["vote"][best] == pytest.approx(max(votes["vote"]))
    order = Vote(["params", "l2_norm"]).combine({k: scores[k] for k in ("params", "l2_norm")})
    assert votes["vote"] == list(order)


def test_it_stays_small_when_it_travels():
    judge = evaluator()
    judge.batch  # noqa: B018
    assert len(pickle.dumps(judge)) < 20_000


def kinds(channels: int, classes: int) -> nn.Module:
    options = {"relu": nn.ReLU, "tanh": nn.Tanh}
    return nn.Sequential(
        nn.Flatten(),
        nn.Linear(64 * channels, 80),
        one_of("activation", options),
        nn.Linear(80, classes),
    )


def test_an_architecture_that_a_proxy_refuses_fails_with_what_the_others_gave():
    space = Space(kinds, channels=1, classes=10)
    judge = evaluator(space, ["naswot", "params"], batch_size=16)
    tanh = nas.Architecture({"activation": "tanh"})
    with pytest.raises(TrialFailed, match=r"naswot.*kink at zero") as failed:
        judge.evaluate(tanh, Fidelity(), 0, Watch())
    assert failed.value.metrics == {"params": 65 * 80 + 81 * 10}
    relu = nas.Architecture({"activation": "relu"})
    assert judge.evaluate(relu, Fidelity(), 0, Watch())["naswot"] > 0


def test_a_set_keeps_what_is_refused_as_worst_and_refuses_what_is_constant():
    space = Space(kinds, channels=1, classes=10)
    both = [nas.Architecture({"activation": name}) for name in ("tanh", "relu")]
    found = evaluator(space, ["naswot"], batch_size=16).table(both)["naswot"]
    assert found[0] == -math.inf < found[1]
    with pytest.raises(InputError, match=r"scores of params: expected scores that differ"):
        evaluator(space, ["params"]).table(both)
    with pytest.raises(CannotScore, match="kink at zero"):
        evaluator(space, ["naswot"], batch_size=16).table(both[:1])


def test_a_batch_that_is_too_small_says_so():
    with pytest.raises(CannotScore, match=r"snip: expected a batch of 2 examples or more, got 1"):
        evaluator(batch_size=1).evaluate(DIGITS.default(), Fidelity(), 0, Watch())


def widths(channels: int, classes: int) -> nn.Module:
    width = choose("width", [4, 8, 16, 32])
    return nn.Sequential(
        nn.Flatten(), nn.Linear(64 * channels, width), nn.ReLU(), nn.Linear(width, classes)
    )


def test_a_search_can_be_by_proxy_alone():
    space = Space(widths, channels=1, classes=10)
    judge = evaluator(space, ["l2_norm", "params"])
    goal = nas.Objective("l2_norm", "maximize")
    study = nas.Study(space, nas.GridSearch(), judge, [goal], trials=4)
    assert study.run().best.architecture["width"] == 32


def test_it_is_registered():
    assert evaluators.get("proxy") is ProxyEvaluator


class Training(Evaluator):
    """Stands for what is dear."""

    name = "training"
    price = Price.TRAINED
    provides = ("accuracy",)
    trained = 0

    def evaluate(self, architecture, fidelity, seed, watch):
        Training.trained += 1
        return {"accuracy": 0.5}


def test_a_limit_on_a_score_filters_before_training():
    space = Space(widths, channels=1, classes=10)
    limit = nas.Limit.parse("swap>=20")
    both = Stages([Training(), evaluator(space, ["swap"], batch_size=16)], [limit])
    narrow, wide = (nas.Architecture({"width": width}) for width in (8, 32))
    with pytest.raises(TrialPruned, match="swap>=20"):
        both.evaluate(narrow, Fidelity(), 0, Watch())
    assert Training.trained == 0
    assert both.evaluate(wide, Fidelity(), 0, Watch())["accuracy"] == 0.5
    assert Training.trained == 1
