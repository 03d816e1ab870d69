"""Static costs against counts done by hand."""

import pytest
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from archsmith._support.errors import InputError, SpaceError
from archsmith.evaluate import Watch, evaluators
from archsmith.evaluate.cost import CostEvaluator
from archsmith.hardware.cost import cost
from archsmith.history.trial import Fidelity
from archsmith.space import Space, choose
from archsmith.space.architecture import Architecture
from archsmith.testing.evaluator import EvaluatorContract
from archsmith.zoo.convnet import convnet

DIGITS = Space(convnet, channels=1, classes=10, height=8, width=8)


class TestCostEvaluator(EvaluatorContract):
    space, evaluator = DIGITS, CostEvaluator(DIGITS, (1, 1, 8, 8))


def test_convolution_and_linear_layer():
    model = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.Flatten(), nn.Linear(8 * 36, 5))
    result = cost(model, torch.zeros(1, 3, 6, 6))
    assert result["params"] == 8 * (27 + 1) + 5 * (288 + 1)
    assert result["flops"] == 2 * (8 * 27 * 36 + 288 * 5)


def test_grouped_strided_convolution():
    model = nn.Conv2d(8, 8, 3, stride=2, padding=1, groups=8, bias=False)
    assert cost(model, torch.zeros(1, 8, 8, 8)) == pytest.approx(
        {
            "params": 72.0,
            "flops": 2 * 72 * 16.0,
            "memory_mb": 4 * (8 * 64 + 8 * 16) / 1e6,
            "weights_mb": 4 * 72 / 1e6,
            "peak_mb": 4 * (72 + 8 * 64 + 8 * 16) / 1e6,
        }
    )


def test_attention():
    length, width, heads = 7, 16, 4
    layer = nn.TransformerEncoderLayer(width, heads, dim_feedforward=32, batch_first=True)
    projections = length * width * 4 * width
    scores = 2 * length * length * width
    feed_forward = length * 2 * width * 32
    result = cost(layer, torch.zeros(1, length, width))
    assert result["flops"] == 2 * (projections + scores + feed_forward)


def test_flops_equal_those_of_torch_counter():
    model = DIGITS.build(DIGITS.default()).eval()
    with FlopCounterMode(display=False) as counter:
        model(torch.zeros(1, 1, 8, 8))
    assert cost(model, torch.zeros(1, 1, 8, 8))["flops"] == counter.get_total_flops()


def test_memory_of_a_chain_is_that_of_its_widest_step():
    model = nn.Sequential(nn.Linear(4, 100), nn.ReLU(), nn.Linear(100, 6, bias=False)).double()
    model.register_buffer("scale", torch.zeros(3))
    found = cost(model, torch.zeros(1, 4, dtype=torch.float64))
    # The caller holds the input; a layer's input and output are alive together.
    assert found["memory_mb"] == pytest.approx(8 * (4 + 100 + 100) / 1e6)
    assert found["weights_mb"] == pytest.approx((8 * (4 * 100 + 100 + 600) + 4 * 3) / 1e6)
    assert found["peak_mb"] == found["memory_mb"] + found["weights_mb"]


def test_tied_weights_count_once():
    one = nn.Linear(8, 8, bias=False)
    assert cost(nn.Sequential(one, one), torch.zeros(1, 8))["weights_mb"] == 4 * 64 / 1e6


class Branches(nn.Module):
    """x and its double are alive together while the sum is made."""

    def forward(self, x: Tensor) -> Tensor:
        a = x * 2
        b = a.view(-1)  # the same storage
        return a + x + b.sum()


@pytest.mark.parametrize(
    ("model", "floats"),
    [
        (nn.ReLU(inplace=True), 100),  # the input alone
        (nn.ReLU(), 200),
        (nn.Sequential(*(nn.ReLU() for _ in range(9))), 300),  # input, before, after
        (nn.Sequential(nn.Linear(100, 300), nn.Linear(300, 10)), 100 + 300 + 10),
        (Branches(), 100 + 100 + 100 + 1 + 100),
    ],
)
def test_peak_memory_counts_each_live_storage_once(model, floats):
    memory = cost(model, torch.zeros(1, 100))["memory_mb"]
    assert memory == pytest.approx(4 * floats / 1e6)


def test_shared_and_frozen_parameters():
    first, second = nn.Linear(4, 4), nn.Linear(4, 4)
    second.weight = first.weight
    second.bias.requires_grad_(False)
    # What is frozen is stored and shipped like the rest; what is shared is stored once.
    assert cost(nn.Sequential(first, second), torch.zeros(1, 4))["params"] == 16 + 4 + 4


def test_the_model_is_left_as_it_was():
    model = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4), nn.Dropout())
    model[1].eval()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    cost(model, torch.ones(1, 4))
    assert [m.training for m in model.modules()] == [True, True, False, True]
    assert all(torch.equal(before[name], t) for name, t in model.state_dict().items())
    assert not model[0].weight.is_meta


class ReadsValues(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 4)
        self.scale = torch.tensor(2.0)  # neither a parameter nor a buffer

    def forward(self, x: Tensor) -> Tensor:
        y = self.layer(x)
        return y * self.scale if y.sum().item() < 1e9 else y


def test_a_model_that_cannot_run_on_meta_runs_where_it_is():
    assert cost(ReadsValues(), torch.zeros(1, 4))["flops"] == 32


def reading_net(width: int) -> nn.Module:
    choose("unused", [1, 2])
    scale = nn.Parameter(torch.ones(1) * torch.ones(1).item())
    model = ReadsValues()
    model.scale = scale
    return model


def test_a_builder_that_cannot_run_on_meta_is_built_on_the_cpu():
    space = Space(reading_net, width=4)
    metrics = CostEvaluator(space, (1, 4)).evaluate(space.default(), Fidelity(), 0, Watch())
    assert metrics["flops"] == 32


def test_shapes_that_do_not_fit_fail_with_torch_own_words():
    evaluator = CostEvaluator(DIGITS, (1, 3, 8, 8))
    with pytest.raises(RuntimeError, match="expected input"):
        evaluator.evaluate(DIGITS.default(), Fidelity(), 0, Watch())
    with pytest.raises(RuntimeError, match="running_mean"):
        cost(nn.BatchNorm2d(4), torch.zeros(1, 3, 2, 2))


def test_an_architecture_of_another_space_is_refused():
    evaluator = CostEvaluator(DIGITS, (1, 1, 8, 8))
    with pytest.raises(SpaceError):
        evaluator.evaluate(Architecture({"width": 3}), Fidelity(), 0, Watch())


@pytest.mark.parametrize(
    ("shape", "dtype", "part"),
    [((), "float32", "shape"), ((1, 0), "float32", "shape"), ((1, 3), "float31", "float31")],
)
def test_bad_examples_are_refused(shape, dtype, part):
    with pytest.raises(InputError, match=part):
        CostEvaluator(DIGITS, shape, dtype)


def test_the_batch_of_the_shape_does_not_matter():
    one, many = CostEvaluator(DIGITS, (1, 1, 8, 8)), CostEvaluator(DIGITS, (64, 1, 8, 8))
    arguments = (DIGITS.default(), Fidelity(), 0, Watch())
    assert one.evaluate(*arguments) == many.evaluate(*arguments)


def test_it_is_registered():
    assert evaluators.get("cost") is CostEvaluator
