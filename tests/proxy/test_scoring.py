"""Scoring in company, ranking sets, and what is refused."""

import math

import pytest
import torch
from torch import nn

import archsmith as nas
from archsmith._support.errors import InputError, UnknownNameError
from archsmith.proxy import (
    Batch,
    CannotScore,
    Proxy,
    SetProxy,
    proxies,
    rank_by_proxies,
    score_proxies,
)
from archsmith.proxy.passes import Passes
from archsmith.proxy.scoring import attempt

from .toys import Recurrent, convnet, mlp, numbers, pictures, seeded, tokens

SINGLE = [name for name in proxies.names() if not issubclass(proxies.get(name), SetProxy)]


def test_every_proxy_is_registered_under_its_name_and_described():
    for name in proxies.names():
        kind = proxies.get(name)
        assert kind.name == name
        assert issubclass(kind, Proxy | SetProxy)
        assert kind.__doc__


def test_public_names():
    assert nas.score_proxies is score_proxies
    assert nas.rank_by_proxies is rank_by_proxies
    assert (nas.Proxy, nas.SetProxy, nas.Batch) == (Proxy, SetProxy, Batch)


def test_all_together_are_what_each_is_alone():
    model, batch = convnet(), pictures(8)
    together = score_proxies(model, batch, SINGLE, 4)
    assert list(together) == SINGLE
    assert together == {name: score_proxies(model, batch, [name], 4)[name] for name in SINGLE}


def test_five_proxies_share_one_pass():
    model, passes = convnet(), 0

    def count(*_):
        nonlocal passes
        passes += 1

    model.register_forward_hook(count)  # copied along with the model
    names = ["grad_norm", "snip", "plain", "fisher", "jacov", "epe-nas", "naswot", "swap"]
    score_proxies(model, pictures(), names)
    assert passes == 1


def test_integer_and_double_models_and_frozen_ones_are_scored():
    model = convnet().requires_grad_(False)
    found = score_proxies(model, pictures(), ["params", "grad_norm", "jacov", "naswot"])
    assert found["params"] == found["grad_norm"] == 0
    assert found["jacov"] == JACOV


JACOV = score_proxies(convnet(), pictures(), ["jacov"])["jacov"]


def test_a_batch_and_a_model_that_do_not_fit_fail_in_torchs_own_words():
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        score_proxies(mlp(), numbers(shape=(4,)), ["snip"])


@pytest.mark.parametrize("name", [n for n in SINGLE if proxies.get(n).smallest > 1])
def test_one_example_is_too_few(name):
    with pytest.raises(CannotScore, match=rf"proxy {name}: expected a batch of .* or more, got 1"):
        score_proxies(convnet(), pictures(1), [name])


@pytest.mark.parametrize("name", [n for n in SINGLE if proxies.get(n).labelled])
def test_a_single_class_says_so(name):
    batch = pictures()
    same = Batch(batch.inputs, torch.zeros_like(batch.targets), batch.loss)
    with pytest.raises(CannotScore, match=rf"proxy {name}.*two classes.*a single class"):
        score_proxies(convnet(), same, [name])


@pytest.mark.parametrize("wrong", [math.nan, math.inf])
def test_inputs_that_are_not_finite_are_refused(wrong):
    batch = pictures()
    batch.inputs[0, 0, 0, 0] = wrong
    with pytest.raises(CannotScore, match="finite numbers"):
        score_proxies(convnet(), batch, ["params"])


def test_targets_of_another_length_are_refused():
    batch = pictures()
    with pytest.raises(CannotScore, match="6 targets, one for each input, got 5"):
        score_proxies(convnet(), Batch(batch.inputs, batch.targets[:5], batch.loss), ["snip"])


def test_scores_that_are_not_finite_are_refused():
    model = mlp()
    with torch.no_grad():
        model[2].weight[0, 0] = math.nan
    for name in ("l2_norm", "snip", "synflow", "grad_norm", "grasp", "plain", "fisher"):
        with pytest.raises(CannotScore, match=rf"proxy {name}: expected a finite score, got nan"):
            score_proxies(model, numbers(), [name])


def test_a_flow_beyond_double_precision_is_refused():
    model = seeded(lambda: nn.Sequential(nn.Linear(5, 5), nn.Linear(5, 3)))
    with torch.no_grad():
        model[0].weight.fill_(1e200)
        model[1].weight.fill_(1e200)
    with pytest.raises(CannotScore, match="synflow: expected a finite score, got inf"):
        score_proxies(model, numbers(), ["synflow"])


def test_unknown_names_and_sets_for_one_model():
    with pytest.raises(UnknownNameError, match="did you mean 'synflow'"):
        score_proxies(mlp(), numbers(), ["sinflow"])
    with pytest.raises(CannotScore, match=r"az-nas.*a set of architectures[\s\S]*expressivity"):
        score_proxies(mlp(), numbers(), ["az-nas"])


class Uncopied(nn.Linear):
    def __deepcopy__(self, memo):
        raise TypeError("cannot be copied")


def test_a_model_that_cannot_be_copied_says_so():
    with pytest.raises(CannotScore, match=r"Uncopied: expected a model that copy\.deepcopy can"):
        score_proxies(Uncopied(5, 3).double(), numbers(), ["snip"])


def test_refusals_are_given_beside_scores():
    found = attempt(seeded(Recurrent), tokens(), ["zen", "params", "naswot"])
    assert isinstance(found["zen"], CannotScore)
    assert isinstance(found["naswot"], CannotScore)
    assert found["params"] > 0


def widths(*sizes):
    return [
        seeded(lambda n=n: nn.Sequential(nn.Linear(5, n), nn.ReLU(), nn.Linear(n, 3)))
        for n in sizes
    ]


def test_a_set_is_ranked_by_one_proxy_or_by_a_vote():
    models = widths(4, 12, 8)
    assert list(rank_by_proxies(models, numbers(), "params")) == [39, 111, 75]
    from archsmith.proxy.vote import Vote

    found = rank_by_proxies(iter(models), numbers(), Vote(["params", "l2_norm"]))
    assert list(found.argsort()) == [0, 2, 1]


def test_a_set_that_scores_alike_is_refused():
    with pytest.raises(
        InputError, match=r"scores of params.*differ within the set, got 2 times 75"
    ):
        rank_by_proxies(widths(8, 8), numbers(), "params")


def test_a_model_that_cannot_be_scored_is_worst_and_all_of_them_are_refused():
    dead = nn.Sequential(nn.Linear(5, 5), Zeros(), nn.Linear(5, 3)).double()
    found = rank_by_proxies([*widths(8, 12), dead], numbers(), "jacov")
    assert found[2] == -math.inf
    with pytest.raises(CannotScore, match="depend on every input"):
        rank_by_proxies([dead, dead], numbers(), "jacov")


class Zeros(nn.Module):
    def forward(self, x):
        return torch.zeros_like(x)


def test_a_model_that_writes_into_its_input_leaves_the_batch_alone():
    tidy = seeded(lambda: nn.Sequential(nn.ReLU(), nn.Linear(30, 40), nn.ReLU(), nn.Linear(40, 3)))
    writing = nn.Sequential(nn.ReLU(inplace=True), *tidy[1:])
    batch = numbers(8, (30,))
    before = batch.inputs.clone()
    names = [name for name in SINGLE if name not in ("zen", "meco", "naswot", *AZ)]
    assert score_proxies(writing, batch, names) == score_proxies(tidy, batch, names)
    for name in names:
        score_proxies(writing, batch, [name])
    assert torch.equal(batch.inputs, before)


AZ = ("expressivity", "progressivity", "trainability")


def test_the_batch_moves_to_the_model():
    model = mlp().to("meta")
    assert Passes(model, numbers()).batch.inputs.is_meta


def test_list_proxies(archsmith):
    done = archsmith("list", "proxies")
    assert done.status == 0
    lines = dict(line.split(maxsplit=1) for line in done.out.splitlines())
    assert set(lines) == set(proxies.names())
    assert "2403.19232" in lines["az-nas"]
