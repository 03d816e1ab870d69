"""What of a checkpoint fits what of a model."""

from __future__ import annotations

from collections import OrderedDict

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from archsmith._support.errors import InputError
from archsmith.transfer.pretrained.fit import fit_checkpoint, head_name


def network(classes: int = 4, width: int = 6, seed: int = 0) -> nn.Sequential:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        body = nn.Sequential(nn.Conv2d(1, width, 3), nn.BatchNorm2d(width), nn.ReLU())
        pool, head = nn.AdaptiveAvgPool2d(1), nn.Linear(width, classes)
        layers = OrderedDict(body=body, pool=pool, flat=nn.Flatten(), head=head)
        return nn.Sequential(layers)


def equal(a: nn.Module, b: nn.Module) -> bool:
    return all(torch.equal(t, b.state_dict()[n]) for n, t in a.state_dict().items())


def test_the_same_names_fit():
    source, model = network(seed=1), network()
    fit = fit_checkpoint(model, source.state_dict())
    assert fit.complete
    assert (fit.stripped, fit.added, fit.head) == ("", "", "head")
    assert not equal(source, model)
    assert fit.load(model) is model
    assert equal(source, model)


@pytest.mark.parametrize("before", ["module.", "model.", "backbone.", "_orig_mod.module.", "x.y."])
def test_beginnings_are_exchanged_on_either_side(before):
    source, model = network(seed=1), network()
    prefixed = {before + name: tensor for name, tensor in source.state_dict().items()}
    fit = fit_checkpoint(model, prefixed)
    assert fit.complete
    assert fit.stripped == before
    wrapped: nn.Module = model
    for part in reversed(before.rstrip(".").split(".")):
        wrapped = nn.Sequential(OrderedDict([(part, wrapped)]))
    back = fit_checkpoint(wrapped, source.state_dict())
    assert back.complete
    assert back.added == before
    back.load(wrapped)
    assert equal(source, model)


def test_a_backbone_beside_a_head_of_its_own():
    state = {
        f"encoder.{n}" if n.startswith("body") else n: t for n, t in network().state_dict().items()
    }
    fit = fit_checkpoint(network(seed=2), state)
    assert fit.complete
    assert fit.stripped == "encoder."


def test_a_head_of_other_classes_is_named_as_such():
    model, source = network(classes=3), network(classes=10, seed=1)
    fit = fit_checkpoint(model, source.state_dict())
    assert fit.classes == (3, 10)
    assert fit.but_head
    assert not fit.complete
    assert dict(fit.reshaped) == {"head.weight": ((3, 6), (10, 6)), "head.bias": ((3,), (10,))}
    before = model.head.weight.clone()
    with pytest.raises(InputError) as told:
        fit.load(model)
    assert "the head head has 3 outputs, the checkpoint's 10" in str(told.value)
    assert not torch.equal(model.body[0].weight, source.body[0].weight)  # nothing was loaded
    fit.load(model, strict=False)
    assert torch.equal(model.body[0].weight, source.body[0].weight)
    assert torch.equal(model.head.weight, before)


def test_each_tensor_that_does_not_fit_is_listed():
    state = network(seed=1).state_dict()
    state["body.0.weight"] = torch.zeros(6, 1, 5, 5)
    state["fc.weight"] = state.pop("head.weight")
    fit = fit_checkpoint(network(), state)
    assert fit.missing == ("head.weight",)
    assert fit.left_over == ("fc.weight",)
    assert not fit.but_head
    assert fit.classes is None
    with pytest.raises(InputError) as told:
        fit.load(network())
    for line in (
        "missing: head.weight",
        "left over: fc.weight",
        "another shape: body.0.weight is (6, 1, 3, 3), the checkpoint has (6, 1, 5, 5)",
    ):
        assert line in str(told.value)


def test_a_single_number_is_no_head():
    model = torch.nn.Sequential(OrderedDict(body=torch.nn.Linear(2, 3), head=Scaled()))
    state = {"head.a": torch.zeros(2, 3), "head.b": torch.tensor(1.0)}
    assert fit_checkpoint(model, state).classes is None


class Scaled(torch.nn.Module):
    """A last layer whose weights are no matrix of outputs."""

    def __init__(self):
        super().__init__()
        self.a = torch.nn.Parameter(torch.zeros(2, 3))
        self.b = torch.nn.Parameter(torch.zeros(2))


def test_a_wider_network_is_not_taken_for_another_head():
    fit = fit_checkpoint(network(width=6), network(width=8).state_dict())
    assert fit.classes is None
    assert not fit.but_head
    with pytest.raises(InputError, match=r"another shape: head\.weight"):
        fit.load(network())


def test_nothing_that_fits_is_refused_even_when_not_strict():
    fit = fit_checkpoint(network(), {"a.b": torch.zeros(3)})
    with pytest.raises(InputError, match="rename="):
        fit.load(network(), strict=False)


def test_names_can_be_renamed_by_beginning_or_function():
    state = {n.replace("head", "classifier.1"): t for n, t in network(seed=1).state_dict().items()}
    assert not fit_checkpoint(network(), state).complete
    assert fit_checkpoint(network(), state, rename={"classifier.1": "head"}).complete
    by_function = fit_checkpoint(
        network(), state, rename=lambda name: name.replace("classifier.1", "head")
    )
    assert by_function.complete
    with pytest.raises(InputError, match="a different name"):
        fit_checkpoint(network(), state, rename=lambda name: "one")


def test_old_checkpoints_without_a_count_of_batches_are_whole():
    state = network(seed=1).state_dict()
    del state["body.1.num_batches_tracked"]
    assert fit_checkpoint(network(), state).complete


def test_one_name_of_a_tied_tensor_is_enough():
    model = nn.Sequential(nn.Embedding(5, 3), nn.Linear(3, 5, bias=False))
    model[1].weight = model[0].weight
    fit = fit_checkpoint(model, {"0.weight": torch.ones(5, 3)})
    assert fit.complete
    fit.load(model)
    assert torch.equal(model[1].weight, torch.ones(5, 3))


def test_whole_numbers_do_not_fit_fractions():
    fit = fit_checkpoint(nn.Linear(2, 2), {"weight": torch.ones(2, 2, dtype=torch.int64)})
    assert not fit.fits


def test_meta_models_and_files_are_taken(tmp_path):
    torch.save(network(seed=1).state_dict(), tmp_path / "a.pt")
    with torch.device("meta"):
        model = network()
    assert fit_checkpoint(model, tmp_path / "a.pt").complete
    with pytest.raises(InputError, match="tensors by name, got none"):
        fit_checkpoint(model, {})


def test_the_head_is_the_last_layer_with_weights():
    assert head_name(network()) == "head"
    assert head_name(nn.Sequential(nn.Linear(2, 2), nn.LayerNorm(2))) == "0"
    assert head_name(nn.ReLU()) == ""


NAMES = st.lists(st.sampled_from("abc"), min_size=1, max_size=3).map(".".join)
SHAPES = st.sampled_from([(), (2,), (3,), (2, 3)])


class Holder(nn.Module):
    """A module with just these tensors; a name may also be the beginning of others."""

    def __init__(self, shapes: dict[str, tuple[int, ...]]) -> None:
        super().__init__()
        for name, shape in self.named(shapes).items():
            *path, last = name.split(".")
            place: nn.Module = self
            for part in path:
                if part not in place._modules:
                    place.add_module(part, nn.Module())
                place = place.get_submodule(part)
            place.register_parameter(last, nn.Parameter(torch.zeros(shape)))

    @staticmethod
    def named(shapes: dict[str, tuple[int, ...]]) -> dict[str, tuple[int, ...]]:
        return {".".join([*n.split(".")[:-1], f"p_{n[-1]}"]): s for n, s in shapes.items()}


@settings(max_examples=80, deadline=None)
@given(st.dictionaries(NAMES, SHAPES, max_size=5), st.dictionaries(NAMES, SHAPES, min_size=1))
def test_every_tensor_is_told_once_and_what_fits_is_loaded(ours, theirs):
    """The parts add up on both sides, and loading changes what fits and nothing else."""
    model = Holder(ours)
    tensors = {name: torch.full(shape, 7.0) for name, shape in Holder.named(theirs).items()}
    fit = fit_checkpoint(model, tensors)
    own = model.state_dict()
    assert sorted([*fit.fits, *fit.missing, *fit.reshaped]) == sorted(own)
    placed = len(fit.fits) + len(fit.reshaped)
    assert placed + len(fit.left_over) == len(tensors)
    assert len(set(fit.fits.values())) == len(fit.fits)
    exact = sum(n in tensors and tensors[n].shape == own[n].shape for n in own)
    assert len(fit.fits) >= exact  # an exchange of beginnings never loses
    if fit.fits:
        fit.load(model, strict=False)
        for name, tensor in model.state_dict().items():
            assert bool((tensor == 7).all()) == (name in fit.fits)
