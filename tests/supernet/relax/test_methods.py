from __future__ import annotations

import math
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import archsmith as nas
from archsmith._support.errors import InputError, SpaceError, WorkError
from archsmith.history.objective import Limit
from archsmith.space.architecture import Architecture
from archsmith.supernet.relax.darts import DARTS
from archsmith.supernet.relax.derive import derive
from archsmith.supernet.relax.drnas import DrNAS
from archsmith.supernet.relax.fair_darts import FairDARTS
from archsmith.supernet.relax.gdas import GDAS
from archsmith.supernet.relax.mixture import Mix, Mixture
from archsmith.supernet.relax.pc_darts import PCDARTS
from archsmith.supernet.relax.relaxation import Relaxation

from ..training_toys import elastic, first_batch, operations, same, session_of, space_of, values
from .toys import METHODS, Added, Dark, linking, seeing, sized, trained

NAMES = sorted(METHODS)
#: The weights learn first. One decision has all of the regulariser that the paper gives to six.
FINDING: dict[str, dict[str, Any]] = {"beta-darts": {"warm": 0.3, "most": 0.5}}


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_the_option_that_sees_is_found(name: str) -> None:
    method = METHODS[name](**FINDING.get(name, {"warm": 0.3}))
    session, told = trained(method, seeing, epochs=20)
    assert [found["eye"] for found in method.derive(session, 3)] == ["sees"]  # no path elsewhere
    assert told[-1]["entropy"] < told[0]["entropy"]
    scores = method.scores(method.relaxed["eye"])
    assert float(scores[1] - scores[[0, 2]].max()) > 0.3


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_candidates_that_see_are_found(name: str) -> None:
    method = METHODS[name](**FINDING.get(name, {"warm": 0.3}))
    session, _ = trained(method, linking, epochs=20)
    assert method.derive(session, 1)[0]["links"] == ("b", "d")


@pytest.mark.parametrize("name", NAMES)
def test_mixing_weights_sum_to_what_is_taken(name: str) -> None:
    method = METHODS[name]()
    for builder, decision, total in ((seeing, "eye", 1.0), (linking, "links", 2.0)):
        session = session_of(builder, holdout=method.holdout)
        method = METHODS[name]()
        method.begin(session)
        even = method.probabilities(method.relaxed[decision]).detach()
        assert float(even.sum()) == pytest.approx(total)
        method.set(session, "alphas")
        mix = method.source[decision]
        assert mix.weights.requires_grad
        if name == "fair-darts":  # nothing ties its gates together
            assert mix.weights.tolist() == pytest.approx([0.5] * len(mix.weights), abs=1e-2)
        else:
            assert float(mix.weights.detach().sum()) == pytest.approx(total, abs=1e-5)
        method.set(session, "weights")
        assert not method.source[decision].weights.requires_grad


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor")  # parts that are lent
@pytest.mark.parametrize("name", NAMES)
def test_gradients_of_alphas_are_those_of_finite_differences(name: str) -> None:
    method = METHODS[name]()
    session = session_of(operations, holdout=method.holdout)
    method.begin(session)
    child = method.child(session)
    child.model.double().eval()
    for value in method.alphas.tensors():
        value.data = value.data.double()
        value.data.add_(torch.linspace(-0.5, 0.5, len(value), dtype=torch.float64))
    inputs = torch.randn(4, 1, 8, 8, dtype=torch.float64)

    def loss() -> Tensor:
        method.set(session, "alphas")  # noise is that of the step
        out: Tensor = child.model(inputs).square().mean()
        return method.regularised(session, out)

    if name == "gdas":
        # Straight-through: the value does not follow alphas; the gradient is the drawn weight's.
        method.set(session, "alphas")
        mix = method.source["op0"]
        assert mix.drawn is not None
        drawn = mix.drawn[0]
        assert mix.weights.tolist() == [float(i == drawn) for i in range(3)]
        (slope,) = torch.autograd.grad(mix.weights[drawn], method.alphas["op0"])
        assert float(slope[drawn]) > 0
        assert float(slope.sum()) == pytest.approx(0.0, abs=1e-9)
        return
    if name == "drnas":
        # Draws are rejected now and then, so one draw is no smooth function of the alphas; the
        # mean of a weight is, and so is the mean of its gradient.
        decision = method.relaxed["op0"]
        alpha = method.alphas["op0"]
        (expected,) = torch.autograd.grad(method.probabilities(decision)[0], alpha)
        total = torch.zeros(3, dtype=torch.float64)
        for draw in range(1500):
            session.step = draw
            weight = method.mix(session, decision, "alphas").weights[0]
            total += torch.autograd.grad(weight, alpha)[0]
        assert torch.allclose(total / 1500, expected, atol=0.012)
        assert float(expected.abs().min()) > 0.05
        return
    found = method.gradients(loss())
    step = 1e-5
    for value, gradient in zip(method.alphas.tensors(), found, strict=True):
        assert gradient is not None
        for place in range(len(value)):
            sides = []
            for sign in (1, -1):
                with torch.no_grad():
                    value[place] += sign * step
                sides.append(float(loss().detach()))
                with torch.no_grad():
                    value[place] -= sign * step
            expected = (sides[0] - sides[1]) / (2 * step)
            assert float(gradient[place]) == pytest.approx(expected, rel=2e-3, abs=1e-6)


@pytest.mark.slow
def test_gdas_computes_the_drawn_option_alone() -> None:
    method = GDAS()
    session = session_of(operations, holdout=0.5)
    method.begin(session)
    child = method.child(session)
    ran: Counter[str] = Counter()
    for mixture in child.run.mixtures:
        assert isinstance(mixture, Mixture)
        for place, label in enumerate(mixture.labels):
            key = f"{mixture.decision}={label}"
            mixture.option(place).register_forward_hook(lambda *_, k=key: ran.update([k]))
    for _ in range(30):
        method.step(session, first_batch(session))
        session.step += 1
    assert sum(ran.values()) == 30 * 2 * 3  # two passes a step, three decisions
    assert len(ran) == 9
    assert sum(method.visits().values()) == 30 * 3
    assert all(ran[f"{name}={answer}"] >= n for (name, answer), n in method.visits().items())


def test_options_that_were_not_drawn_do_not_move() -> None:
    method = GDAS()
    session = session_of(operations, holdout=0.5)
    method.begin(session)
    before = values(session)
    method.step(session, first_batch(session))
    after = values(session)
    drawn = {(name, label) for (name, label), n in method.visits().items() if n}
    for place, spot in enumerate((1, 2, 3)):
        for label in ("conv3", "conv1"):
            key = f"{spot}={label}.0.weight"
            moved = not torch.equal(before[key], after[key])
            assert moved == ((f"op{place}", label) in drawn)


@pytest.mark.slow
def test_first_order_darts_learns_alphas_from_held_out_data_alone() -> None:
    method = DARTS()
    session = session_of(operations, holdout=0.5)
    method.begin(session)
    twin = session_of(operations, holdout=0.5)
    child = method.child(session)
    method.set(session, "alphas")
    expected = method.gradients(session.loss(child.model, twin.held()))
    seen: list[Any] = []
    method.alphas.learn = lambda gradients: seen.extend(gradients)  # type: ignore[method-assign]
    session.supernet.zero_grad()
    method.step(session, first_batch(session))
    for one, two in zip(expected, seen, strict=True):
        assert one is not None
        assert torch.allclose(one, two, atol=1e-6)


@pytest.mark.slow
def test_looking_ahead_leaves_weights_and_statistics_alone() -> None:
    method = METHODS["darts-2nd"]()
    session = session_of(operations, holdout=0.5)
    method.begin(session)
    before = values(session)
    method.learn_alphas(session, method.child(session), first_batch(session))
    assert same(before, values(session))


@pytest.mark.slow
def test_drnas_draws_are_of_its_distribution() -> None:
    method = DrNAS()
    session = session_of(operations, holdout=0.5)
    method.begin(session)
    method.alphas.put({"op0": torch.tensor([4.0, 0.0, -1.0])})
    decision = method.relaxed["op0"]
    concentration = method.concentration(decision).tolist()
    assert concentration == pytest.approx([5.0, 1.0, 2.718281828**-1], rel=1e-5)
    drawn = []
    for step in range(400):
        session.step = step
        drawn.append(method.mix(session, decision, "weights").weights.detach())
    mean = torch.stack(drawn).mean(0)
    assert torch.allclose(mean, method.probabilities(decision), atol=0.03)
    regulariser = method.regulariser(session)
    assert regulariser is not None
    assert float(regulariser.detach()) > 1e-3
    method.alphas.put({name: torch.zeros(3) for name in method.relaxed})
    regulariser = method.regulariser(session)
    assert regulariser is not None
    assert float(regulariser.detach()) == pytest.approx(0.0, abs=1e-9)


def test_fair_darts_pushes_gates_apart() -> None:
    method = FairDARTS()
    session = session_of(seeing, holdout=0.5)
    method.begin(session)
    method.alphas.put({"eye": torch.tensor([0.3, -0.3, 2.0])})
    loss = method.regulariser(session)
    assert loss is not None
    (gradient,) = method.gradients(loss)
    assert gradient is not None
    assert gradient[0] < 0 < gradient[1]
    assert gradient[2] < 0


def cell(channels: int, classes: int) -> nn.Module:
    """Two edges that are added up, and one behind them; an edge may be none."""
    ops = {"none": Dark, "skip": nn.Identity, "conv": lambda: _norm_conv(nn.BatchNorm2d(4))}
    return nn.Sequential(
        nn.Conv2d(channels, 4, 3, padding=1),
        Added(nn.ModuleDict({name: nas.one_of(name, ops) for name in ("a", "b")})),
        nas.one_of("c", ops),
        nn.AdaptiveAvgPool2d(2),
        nn.Flatten(),
        nn.Linear(16, classes),
    )


def dark_head(channels: int, classes: int) -> nn.Module:
    """As :func:`cell`, but nothing is heard of the input as long as the head is not trained."""
    head = nn.Linear(16, classes)
    nn.init.zeros_(head.weight)
    ops = {"none": Dark, "skip": nn.Identity}
    return nn.Sequential(
        nn.Conv2d(channels, 4, 3, padding=1),
        nas.one_of("c", ops),
        nn.AdaptiveAvgPool2d(2),
        nn.Flatten(),
        head,
    )


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in NAMES if name != "pc-darts"])
def test_what_is_derived_has_a_path_from_its_input_to_its_output(name: str) -> None:
    method = METHODS[name]()
    session = session_of(cell, holdout=method.holdout)
    method.begin(session)
    # Every edge would rather be none; "b" is the nearest to be something, then "c".
    method.alphas.put(
        {
            "a": torch.tensor([9.0, -9.0, -9.0]),
            "b": torch.tensor([1.5, -2.0, 1.0]),
            "c": torch.tensor([3.0, 0.2, -2.0]),
        }
    )
    found = method.derive(session, 4)
    assert dict(found[0]) == {"a": "none", "b": "conv", "c": "skip"}
    assert len({session.supernet.space.canonical(a) for a in found}) == 4
    for architecture in found:
        assert architecture["c"] != "none"
        assert {architecture["a"], architecture["b"]} != {"none"}


def test_no_path_is_told_apart_from_one_that_nothing_is_heard_of() -> None:
    method = METHODS["darts"]()
    session = session_of(dark_head, holdout=0.5)
    method.begin(session)
    method.alphas.put({"c": torch.tensor([1.0, 0.0])})
    assert [a["c"] for a in method.derive(session, 2)] == ["none", "skip"]
    key = next(k for k, t in session.supernet.stored() if t.shape == (10, 16))
    head = session.supernet.get(key)
    assert head is not None
    torch.nn.init.ones_(head)
    assert [a["c"] for a in method.derive(session, 2)] == ["skip"]


def test_no_path_at_all_is_told() -> None:
    def cut(architecture: Any) -> bool:
        return False

    with pytest.raises(WorkError, match=r"a path from its input to its output.* none"):
        derive(space_of(cell), lambda _: None, 1, joined=cut, tries=30)


def test_fair_darts_takes_no_edge_where_no_gate_passes() -> None:
    method = FairDARTS()
    session = session_of(cell, holdout=0.5)
    method.begin(session)
    edge = math.log(0.85 / 0.15)
    method.alphas.put(
        {
            "a": torch.tensor([9.0, edge + 0.1, 0.0]),
            "b": torch.tensor([-9.0, 0.0, edge - 0.1]),
            "c": torch.tensor([0.0, 2.5, 3.0]),
        }
    )
    # The alpha of what gives zeros counts for nothing, however large or small.
    assert method.derive(session, 1) == [Architecture({"a": "skip", "b": "none", "c": "conv"})]
    before = method.alphas.values()
    method.step(session, first_batch(session))
    moved = {n: (v != before[n]).tolist() for n, v in method.alphas.values().items()}
    assert all(row[1:] == [True, True] for row in moved.values())
    assert method.gates(method.relaxed["a"])[0].item() == pytest.approx(0.85)
    # Nothing passes anywhere: the nearest to the bound that make a path.
    method.alphas.put(
        {
            "a": torch.tensor([9.0, -3.0, -3.0]),
            "b": torch.tensor([9.0, 0.0, 1.0]),
            "c": torch.tensor([9.0, 0.5, -1.0]),
        }
    )
    assert method.derive(session, 1) == [Architecture({"a": "none", "b": "conv", "c": "skip"})]


def _norm_conv(norm: nn.Module) -> nn.Module:
    return nn.Sequential(nn.ReLU(), nn.Conv2d(4, 4, 3, padding=1), norm)


def test_temperatures_fall_as_in_the_papers() -> None:
    session = session_of(seeing, holdout=0.5)
    for name, start, end in (("gdas", 10.0, 0.1), ("snas", 1.0, 0.1)):
        method = METHODS[name]()
        session.step = 0
        assert method.temperature(session) == pytest.approx(start)  # type: ignore[attr-defined]
        session.step = session.steps
        assert method.temperature(session) == pytest.approx(end)  # type: ignore[attr-defined]


def test_alphas_wait_while_the_weights_warm_up() -> None:
    method = PCDARTS()
    session = session_of(seeing, holdout=0.5, epochs=10)
    method.begin(session)
    before = method.alphas.values()
    batch = first_batch(session)
    for step in range(session.steps // 2):
        method.step(session, batch)
        session.step += 1
        moved = any(not torch.equal(v, before[n]) for n, v in method.alphas.values().items())
        assert moved == (step / session.steps >= 0.3)


def test_the_auxiliary_skip_fades() -> None:
    method = DARTS(auxiliary_skip=True)
    session = session_of(operations, holdout=0.5)
    method.begin(session)
    place = method.child(session).model.eval()[1]
    x = torch.randn(2, 4, 8, 8)
    for step, weight in ((0, 1.0), (session.steps // 2, 0.5), (session.steps, 0.0)):
        session.step = step
        method.set(session, "weights")
        mix = method.source["op0"]
        assert mix.bypass == pytest.approx(weight)
        with_it = place(x)
        method.source.set({"op0": Mix(mix.weights)})
        assert torch.allclose(with_it, place(x) + weight * x, atol=1e-6)


@pytest.mark.slow
def test_value_decisions_are_drawn_anew_at_each_step() -> None:
    method = DARTS()
    session = session_of(sized, holdout=0.5)
    method.begin(session)
    for _ in range(24):
        method.step(session, first_batch(session))
        session.step += 1
    visits = method.visits()
    for name, answers in (("width", (4, 8)), ("depth", (1, 2))):
        counts = [visits[name, answer] for answer in answers]
        assert sum(counts) == 24
        assert min(counts) >= 4
    assert visits["depth.0.op", "deep"] == 24
    assert visits["depth.1.op", "deep"] == visits["depth", 2]
    assert set(method.alphas.names) == {
        "depth.0.op",
        "depth.0.op.deep.act",
        "depth.1.op",
        "depth.1.op.deep.act",
    }
    found = method.derive(session, 12)
    assert len(found) == len(set(found)) == 12
    assert len({(a["width"], a["depth"]) for a in found[:4]}) > 1
    for architecture in found:
        session.supernet.space.validate(architecture)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_a_network_that_is_kept_trains_as_one_that_is_lent_anew(name: str) -> None:
    stores = []
    for anew in (False, True):
        method = METHODS[name](warm=0.0)
        session = session_of(
            narrowing if name == "pc-darts" else operations, holdout=method.holdout
        )
        method.begin(session)
        for _ in range(3):
            if anew:
                method._child = None
            method.step(session, first_batch(session))
            session.step += 1
        stores.append(values(session) | method.alphas.values())
    assert same(*stores)


def narrowing(channels: int, classes: int) -> nn.Module:
    """Convolutions that can be made narrower."""

    def conv(kernel: int, groups: int = 1) -> nn.Module:
        inner = nn.Conv2d(8, 8, kernel, padding=kernel // 2, groups=groups, bias=False)
        return nn.Sequential(nn.ReLU(), inner, nn.BatchNorm2d(8))

    options = {"conv": lambda: conv(3), "depthwise": lambda: conv(3, 8), "skip": nn.Identity}
    return nn.Sequential(
        nn.Conv2d(channels, 8, 3, padding=1),
        nas.one_of("op", options),
        nn.AdaptiveAvgPool2d(2),
        nn.Flatten(),
        nn.Linear(32, classes),
    )


def test_pc_darts_trains_the_leading_quarter_of_its_options() -> None:
    method = PCDARTS(warm=0.0)
    session = session_of(narrowing, holdout=0.5)
    stored = dict(session.supernet.named_parameters())
    before = values(session)
    method.begin(session)
    session.recipe = replace(session.recipe, weight_decay=0.0)
    for group in session.optimizer.param_groups:
        group["weight_decay"] = 0.0
    for _ in range(3):
        method.step(session, first_batch(session))
        session.step += 1
    after = values(session)
    key = "1=conv.1.weight"
    assert any(p.shape == (8, 8, 3, 3) for p in stored.values())
    moved = before[key] != after[key]
    assert moved[:2, :2].any()
    assert not moved[2:].any()
    assert not moved[:, 2:].any()
    assert (before["1=depthwise.1.weight"] != after["1=depthwise.1.weight"])[:2].any()
    statistics = (before["1=conv.2.running_mean"] != after["1=conv.2.running_mean"]).tolist()
    assert statistics == [True, True] + [False] * 6
    assert method.visits()["op", "depthwise"] == 3
    assert "op=scale" in method.alphas


def mixed_shapes(channels: int, classes: int) -> nn.Module:
    options = {"whole": nn.Identity, "half": lambda: nn.MaxPool2d(2)}
    return nn.Sequential(
        nas.one_of("pool", options), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(4, classes)
    )


def function_option(channels: int, classes: int) -> nn.Module:
    nas.one_of("act", {"relu": nn.ReLU, "none": lambda: None})
    return nn.Sequential(nn.Flatten(), nn.Linear(64, classes))


def looking_inside(channels: int, classes: int) -> nn.Module:
    first = nas.one_of("first", {"a": lambda: nn.Linear(64, 8), "b": lambda: nn.Linear(64, 8)})
    return nn.Sequential(nn.Flatten(), first, nn.Linear(first.out_features, classes))


def values_only(channels: int, classes: int) -> nn.Module:
    width = nas.choose("width", [4, 8])
    return nn.Sequential(nn.Flatten(), nn.Linear(64, width), nn.Linear(width, classes))


def unknown_layer(channels: int, classes: int) -> nn.Module:
    inside = {"rnn": lambda: nn.GRUCell(64, 64), "skip": nn.Identity}
    return nn.Sequential(nn.Flatten(), nas.one_of("cell", inside), nn.Linear(64, classes))


def odd_channels(channels: int, classes: int) -> nn.Module:
    inside = {"conv": lambda: nn.Conv2d(6, 6, 1), "skip": nn.Identity}
    return nn.Sequential(
        nn.Conv2d(channels, 6, 1), nas.one_of("op", inside), nn.Flatten(), nn.Linear(384, classes)
    )


def widening(channels: int, classes: int) -> nn.Module:
    inside = {"a": lambda: nn.Conv2d(4, 8, 1), "b": lambda: nn.Conv2d(4, 8, 3, padding=1)}
    return nn.Sequential(
        nn.Conv2d(channels, 4, 1), nas.one_of("op", inside), nn.Flatten(), nn.Linear(512, classes)
    )


@pytest.mark.parametrize(
    ("kind", "builder", "words"),
    [
        (DARTS, mixed_shapes, ["pool", "(2, 1, 8, 8) from 'whole'", "(2, 1, 4, 4) from 'half'"]),
        (DARTS, function_option, ["act=none", "NoneType"]),
        (DARTS, looking_inside, ["looking_inside", "out_features", "spos"]),
        (DARTS, values_only, ["values_only", "width", "ofa"]),
        (PCDARTS, unknown_layer, ["cell=rnn", "GRUCell", "darts"]),
        (PCDARTS, odd_channels, ["op=conv", "divide into 4 parts", "got 6"]),
        (PCDARTS, widening, ["op", "keep the 4 input channels", "got 8"]),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_space_that_cannot_be_mixed_is_refused(
    kind: type[Relaxation], builder: Any, words: list[str]
) -> None:
    def prepare() -> None:
        method = kind()
        method.check(space_of(builder))
        method.begin(session_of(builder, holdout=0.5))

    with pytest.raises(SpaceError) as caught:
        prepare()
    for word in words:
        assert word in str(caught.value)


def test_spaces_that_can_be_mixed_are_not_refused() -> None:
    for builder in (seeing, linking, sized, operations, elastic):
        for kind in METHODS.values():
            if kind is not PCDARTS or builder in (seeing, linking):
                kind().check(space_of(builder))


def test_options_out_of_range_are_refused() -> None:
    for wrong in ({"rate": 0.0}, {"warm": 1.0}, {"free_bound": 2}, {"decay": -1}, {"rats": 1}):
        with pytest.raises(InputError, match="darts"):
            DARTS(**wrong)


def params(architecture: Any) -> dict[str, float]:
    weights = {"conv3": 9.0, "conv1": 1.0, "skip": 0.0}
    return {"params": 10.0 + sum(weights[str(a)] for a in architecture.values())}


@pytest.mark.slow
def test_limits_are_kept_by_what_is_derived_and_told() -> None:
    limit = Limit.parse("params<=15")
    method = DARTS(costs=params, rate=0.05)
    session, told = trained(method, operations, epochs=8, limits=(limit,))
    assert told[-1]["expected_params"] < told[0]["expected_params"]
    assert told[0]["expected_params"] > 15.0
    for architecture in method.derive(session, 6):
        assert params(architecture)["params"] <= 15
    session.limits = (Limit.parse("params<=9"),)
    with pytest.raises(WorkError, match="exceeds them by 11%: op0='skip', op1='skip', op2='skip'"):
        method.derive(session, 2)


@pytest.mark.slow
def test_limits_on_parameters_need_no_costs() -> None:
    space = space_of(operations)
    sizes = {a: sum(p.numel() for p in space.build(a).parameters()) for a in space.enumerate()}
    bound = sorted(sizes.values())[len(sizes) // 3]
    method = GDAS()
    limits = (Limit("params", "<=", float(bound)), Limit("accuracy", ">=", 0.5))
    session, told = trained(method, operations, epochs=2, limits=limits)
    found = method.derive(session, 5)
    assert len(found) == 5
    assert all(sizes[architecture] <= bound for architecture in found)
    assert min(sizes.values()) < told[-1]["expected_params"] < max(sizes.values())


def test_options_side_by_side_are_counted_for_the_memory() -> None:
    space, narrow = space_of(operations), space_of(narrowing)
    assert DARTS().paths(space) == 3.0
    assert GDAS().paths(space) == 1.0
    assert PCDARTS().paths(narrow) == 1.75
    assert DARTS().paths(space_of(linking)) == 2.0


def test_limits_hold_beside_values_that_are_drawn() -> None:
    limits = (Limit.parse("params<=400"),)
    method = DARTS()
    session, told = trained(method, sized, epochs=4, limits=limits)
    assert told[-1]["expected_params"] < told[0]["expected_params"]
    space = session.supernet.space
    found = method.derive(session, 4)
    assert found
    for architecture in found:
        assert sum(p.numel() for p in space.build(architecture).parameters()) <= 400
