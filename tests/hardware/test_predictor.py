"""The latency predictor against latencies that are known beforehand."""

from __future__ import annotations

import json
import random
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

import archsmith as nas
from archsmith._support.errors import InputError
from archsmith._support.trees import TensorSpec
from archsmith.hardware import sampling
from archsmith.hardware.blocks import BlockSum, measure_blocks
from archsmith.hardware.options import LatencyOptions
from archsmith.hardware.predictor import LatencyPredictor, holds_for
from archsmith.hardware.regress import Boosted, Linear, held_out, relative_error, table
from archsmith.hardware.sampling import distinct, measure_all
from archsmith.hardware.work import features, operations

SHAPE = (1, 3, 8, 8)
OPTIONS = LatencyOptions(seconds=0.004)


def stack() -> nn.Module:
    """Convolutions, pools and nothing: up to four of them, of several widths."""
    width = nas.choose("width", [4, 8, 12])

    def block(_: int) -> nn.Module:
        return nas.one_of(
            "op",
            {
                "conv": lambda: nn.Conv2d(width, width, 3, padding=1),
                "depthwise": lambda: nn.Conv2d(width, width, 3, padding=1, groups=width),
                "pool": lambda: nn.AvgPool2d(3, 1, 1),
            },
        )

    return nn.Sequential(
        nn.Conv2d(3, width, 1), nas.repeat("depth", [1, 2, 3, 4], block), nn.ReLU()
    )


SPACE = nas.Space(stack)
DRAWN = distinct(SPACE, 90)


def predictor(**options: int) -> LatencyPredictor:
    chosen = replace(OPTIONS, **options)
    return LatencyPredictor(SPACE, holds_for(SPACE, TensorSpec(SHAPE), "cpu", chosen))


def planted(architecture: nas.Architecture) -> float:
    """A latency that is linear in calls, FLOPs and bytes."""
    found = operations(SPACE.build(architecture, device="meta"), torch.zeros(SHAPE))
    convolutions = [o for o in found if "convolution" in o.kind]
    return (
        0.2
        + 0.05 * sum(o.kind == "avg_pool2d" for o in found)
        + 3e-6 * sum(o.flops for o in convolutions)
        + 2e-6 * sum(o.bytes for o in found if o.kind == "relu")
    )


def test_work_of_a_convolution_is_counted_by_hand():
    model = nn.Sequential(nn.Conv2d(3, 4, 3, bias=False), nn.ReLU(), nn.Flatten())
    convolution, relu = operations(model, torch.zeros(2, 3, 5, 5))  # flattening moves nothing
    assert (convolution.kind, relu.kind) == ("convolution 3x3", "relu")
    assert convolution.flops == 2 * 2 * 4 * 27 * 9
    assert convolution.bytes == 4 * (2 * 3 * 25 + 4 * 27 + 2 * 4 * 9)
    assert relu.bytes == 2 * 4 * (2 * 4 * 9)
    told = features([convolution, relu, relu], {"width": 4, "op": "conv", "flag": True})
    assert told["calls relu"] == 2
    assert told["bytes relu"] == 2 * relu.bytes
    assert (told["answer width"], told["answer op=conv"], told["answer flag=True"]) == (4, 1, 1)


def test_operations_of_other_shapes_have_other_keys():
    def keys(*shape: int) -> list[str]:
        return [one.key for one in operations(nn.Sequential(nn.Linear(4, 4)), torch.zeros(shape))]

    assert keys(1, 4) == keys(1, 4) != keys(2, 4)


@pytest.mark.slow
def test_a_planted_linear_latency_is_recovered_exactly():
    made = predictor()
    made.fit(DRAWN[:40], [planted(a) for a in DRAWN[:40]])
    assert made.way == "linear"
    truth = [planted(a) for a in DRAWN[40:]]
    assert made.predict(DRAWN[40:]) == pytest.approx(truth, rel=1e-6)
    assert made.error < 1e-6


@pytest.mark.slow
def test_the_error_is_that_on_architectures_it_has_not_seen():
    rng = np.random.default_rng(0)
    noise = np.exp(rng.normal(0, 0.2, len(DRAWN)))
    times = [planted(a) * n for a, n in zip(DRAWN, noise, strict=True)]
    made = predictor()
    made.fit(DRAWN[:60], times[:60])
    # Noise of this size cannot be predicted: its mean size is what is left.
    assert made.error == pytest.approx(np.abs(noise - 1).mean(), abs=0.06)
    fresh = relative_error(made.predict(DRAWN[60:]), np.array(times[60:]))
    assert made.error == pytest.approx(fresh, abs=0.08)


def test_trees_mend_what_prices_cannot_say():
    rows = [{"calls": float(n), "answer kind=slow": float(n % 2)} for n in range(1, 61)]
    times = np.array([(1.0 + row["calls"]) * (3.0 if n % 2 else 1.0) for n, row in enumerate(rows)])
    line = Linear.fit(rows, times, lambda name: name == "calls")
    trees = Boosted.fit(line, rows, times)
    assert relative_error(trees.predict(rows), times) < 0.1 * relative_error(
        line.predict(rows), times
    )


def test_trees_written_as_json_predict_as_scikit_learn_does():
    from sklearn.ensemble import GradientBoostingRegressor

    rng = np.random.default_rng(1)
    rows = [{"a": float(a), "b": float(b)} for a, b in rng.random((50, 2))]
    times = np.array([1.0 + row["a"] * row["b"] for row in rows])
    base = Linear((), 1.0, ())
    learner = GradientBoostingRegressor(
        n_estimators=100,
        max_depth=2,
        learning_rate=0.1,
        subsample=0.8,
        min_samples_leaf=3,
        init="zero",
        random_state=0,
    ).fit(table(rows, ("a", "b")), np.log(times))
    again = Boosted.from_json(json.loads(json.dumps(Boosted.fit(base, rows, times).to_json())))
    assert again.predict(rows) == pytest.approx(np.exp(learner.predict(table(rows, ("a", "b")))))


def test_held_out_values_come_from_others():
    class Mean:
        def __init__(self, times: np.ndarray) -> None:
            self.times = times

        def predict(self, rows):
            assert not set(rows) & set(self.times), "a row that it was fitted to"
            return np.full(len(rows), self.times.mean())

        def to_json(self):
            return {}

    times = np.arange(1.0, 21.0)
    found = held_out(lambda _, seen: Mean(seen), list(times), times)
    assert len(found) == 20
    assert (found > 0).all()


@pytest.mark.slow
def test_a_predictor_survives_a_journey_as_json(tmp_path):
    made = predictor()
    made.fit(DRAWN[:20], [planted(a) for a in DRAWN[:20]])
    made.save(tmp_path / "latency.json")
    again = LatencyPredictor.load(tmp_path / "latency.json", SPACE, options=OPTIONS)
    assert again.to_json() == made.to_json()
    assert (again.predict(DRAWN) == made.predict(DRAWN)).all()
    assert again.describe() == made.describe()
    (tmp_path / "other.json").write_text("[]")
    with pytest.raises(InputError, match="a latency predictor"):
        LatencyPredictor.load(tmp_path / "other.json", SPACE)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"device": "A toaster"}, "device: expected .*, got one made for A toaster"),
        ({"runtime": "onnx"}, "runtime: expected eager, got one made for onnx"),
        ({"batch": 8}, "batch: expected 1, got one made for 8"),
        ({"threads": 2}, "threads: expected 1, got one made for 2"),
        ({"space": "0"}, "space: expected"),
    ],
)
def test_it_refuses_to_be_used_elsewhere_unless_told(tmp_path, change, said):
    made = predictor()
    made.fit(DRAWN[:10], [planted(a) for a in DRAWN[:10]])
    made.held = replace(made.held, **change)
    made.save(tmp_path / "latency.json")
    with pytest.raises(InputError, match=said):
        LatencyPredictor.load(tmp_path / "latency.json", SPACE)
    assert LatencyPredictor.load(tmp_path / "latency.json", SPACE, anywhere=True).samples


def test_too_few_architectures_are_refused():
    with pytest.raises(InputError, match="8 architectures or more, got 3"):
        predictor().fit(DRAWN[:3], [1.0, 2.0, 3.0])
    with pytest.raises(InputError, match="times above 0"):
        predictor().fit(DRAWN[:9], [0.0] * 9)


def test_a_sum_of_blocks_adds_up_and_prices_what_is_not_in_the_table():
    passes = [operations(SPACE.build(a, device="meta"), torch.zeros(SHAPE)) for a in DRAWN]

    def alone(operation) -> float:
        return 0.01 + 1e-6 * operation.flops + 1e-6 * operation.bytes

    blocks = {one.key: alone(one) for found in passes for one in found}
    times = np.array([0.3 + sum(map(alone, found)) + 0.02 * len(found) for found in passes])
    narrow = [n for n, a in enumerate(DRAWN) if a["width"] != 12]
    model = BlockSum.fit([passes[n] for n in narrow], times[narrow], blocks)
    assert len(model.table) < len(blocks)
    assert model.predict([passes[n] for n in narrow]) == pytest.approx(times[narrow], rel=1e-9)
    # Two widths leave open what of a price is by FLOPs and what by bytes.
    assert model.predict(passes) == pytest.approx(times, rel=0.01)
    again = BlockSum.from_json(json.loads(json.dumps(model.to_json())))
    assert (again.predict(passes) == model.predict(passes)).all()


def test_blocks_are_measured_once_each():
    model = nn.Sequential(*(nn.Linear(4, 4) for _ in range(3)), nn.Linear(4, 2))
    done: list[tuple[int, int]] = []
    found = operations(model, torch.zeros(1, 4))
    blocks = measure_blocks(found, seconds=0.003, on_done=lambda *d: done.append(d))
    assert set(blocks) == {one.key for one in found}
    assert len(blocks) == 2
    assert done[-1] == (6, 6)
    assert all(ms > 0 for ms in blocks.values())


def test_each_architecture_counts_by_its_best_round(monkeypatch):
    offered: dict[int, list[float]] = {}

    class Probe:
        def __init__(self, model, *_, **__) -> None:
            self.size = sum(p.numel() for p in model.parameters())
            offered.setdefault(self.size, [9.0, 3.0, 5.0, 4.0])

        def measure(self, seconds: float):
            order.append(self.size)
            from archsmith.hardware.clock import Latency

            low = self.size * offered[self.size].pop()
            return Latency(1.1 * low, low, 2 * low, 2 * low, 5, 1, 1, "cpu")

    order: list[int] = []
    monkeypatch.setattr(sampling, "Probe", Probe)
    two = [a for a in DRAWN if dict(a).get("depth") == 1 and a["depth.0.op"] == "conv"][:2]
    sizes = [sum(p.numel() for p in SPACE.build(a).parameters()) for a in two]
    assert measure_all(SPACE, two, SHAPE) == pytest.approx([1.1 * 3.0 * size for size in sizes])
    assert len(order) == 8
    assert all(set(order[i : i + 2]) == set(sizes) for i in range(0, 8, 2)), "round by round"


@pytest.mark.slow
def test_it_is_made_on_this_machine_in_one_call():
    made = LatencyPredictor.measure(
        SPACE, SHAPE, options=replace(OPTIONS, samples=12), blocks=True, seed=3
    )
    assert len(made.samples) == 12
    assert set(made.errors) == {"linear", "boosted", "blocks"}
    assert made.error == min(made.errors.values())
    drawn = SPACE.sample(random.Random(5))
    assert made.predict([drawn])[0] > 0
    with pytest.raises(InputError, match="blocks"):
        LatencyPredictor.measure(SPACE, SHAPE, options=LatencyOptions("onnx"), blocks=True)
