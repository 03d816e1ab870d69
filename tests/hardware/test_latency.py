"""Latency: what is set while it is measured, what is left behind, and the three runtimes."""

from __future__ import annotations

import importlib.util

import pytest
import torch
from torch import Tensor, nn

from archsmith._support.errors import InputError, MissingExtraError, UnknownNameError
from archsmith.hardware import runtimes
from archsmith.hardware.latency import Probe, measure_latency
from archsmith.hardware.options import NAMES, LatencyOptions
from archsmith.hardware.place import device_name

HAS_ONNX = all(importlib.util.find_spec(n) for n in ("onnx", "onnxscript", "onnxruntime"))


class Records(nn.Module):
    """Remembers how it was called."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[int, int, bool, bool]] = []

    def forward(self, x: Tensor) -> Tensor:
        self.seen.append((len(x), torch.get_num_threads(), self.training, x.requires_grad))
        return x


def test_batch_threads_and_modes_are_set_and_set_back():
    model = Records().train()
    before = torch.get_num_threads()
    latency = measure_latency(model, torch.zeros(3, 4), batch=8, threads=before + 1, seconds=0.01)
    assert set(model.seen) == {(8, before + 1, False, False)}
    assert (latency.batch, latency.threads, latency.runtime) == (8, before + 1, "eager")
    assert latency.device == device_name("cpu") != ""
    assert torch.get_num_threads() == before
    assert model.training


def test_threads_are_set_back_after_a_failure():
    before = torch.get_num_threads()
    with pytest.raises(RuntimeError):
        measure_latency(nn.Linear(3, 3), torch.zeros(1, 4), threads=before + 1)
    assert torch.get_num_threads() == before


def test_more_work_takes_longer():
    small, large = (nn.Sequential(nn.Linear(n, n), nn.Linear(n, n)) for n in (16, 2048))
    quick = measure_latency(small, torch.zeros(1, 16), seconds=0.1)
    slow = measure_latency(large, torch.zeros(1, 2048), seconds=0.1)
    assert slow.median > 3 * quick.median


@pytest.mark.parametrize("name", ["batch", "threads", "runs"])
def test_numbers_below_one_are_refused(name):
    with pytest.raises(InputError, match=name):
        measure_latency(nn.ReLU(), torch.zeros(1, 4), **{name: 0})


@pytest.mark.slow
@pytest.mark.parametrize("runtime", NAMES)
def test_each_runtime_computes_what_the_model_does(runtime):
    if runtime == "onnx" and not HAS_ONNX:
        pytest.skip("needs the export extra")
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 3), nn.ReLU())
    inputs = torch.randn(2, 4)
    outputs: list[object] = []
    model.register_forward_hook(lambda *call: outputs.append(call[2]))
    run = runtimes.RUNTIMES[runtime](model.eval(), inputs, 1)
    outputs.clear()
    made = run()
    assert bool(outputs) == (runtime == "eager"), "only eager calls the module itself"
    if runtime == "onnx":
        assert torch.allclose(torch.from_numpy(made[0]), model(inputs), atol=1e-6)
    latency = Probe(model, inputs[:1], runtime=runtime, batch=2).measure(seconds=0.01)
    assert latency.runtime == runtime
    assert latency.median > 0


def test_a_runtime_that_is_not_there_says_what_brings_it(monkeypatch):
    monkeypatch.setattr(runtimes, "has_onnx", lambda: False)
    with pytest.raises(MissingExtraError, match=r"pip install 'archsmith\[export\]'"):
        Probe(nn.ReLU(), torch.zeros(1, 4), runtime="onnx")
    with pytest.raises(UnknownNameError, match="did you mean 'onnx'"):
        LatencyOptions(runtime="onx")


def test_options_are_read_from_text():
    text = "runtime=exported, batch=8,threads=2,samples=60,seconds=0.1"
    assert LatencyOptions.parse(text) == LatencyOptions("exported", 8, 2, 60, 0.1)
    assert LatencyOptions.parse("") == LatencyOptions()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("bach=2", "did you mean 'batch'"),
        ("batch", "latency, batch: expected a whole number, got nothing"),
        ("batch=two", "a whole number, got 'two'"),
        ("batch=0", "latency, batch: expected 1 or more, got 0"),
        ("seconds=0", "more than 0"),
        ("samples=3", "8 or more, or 0"),
    ],
)
def test_options_that_cannot_be_are_refused(text, said):
    with pytest.raises(InputError, match=said):
        LatencyOptions.parse(text)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_is_waited_for():
    model = nn.Sequential(*(nn.Linear(4096, 4096) for _ in range(20)))
    latency = measure_latency(model, torch.zeros(1, 4096), device="cuda", batch=4096)
    work = 2 * 20 * 4096**3  # operations; no GPU does 1,000 of them a picosecond in float32
    assert latency.median > work / 1e15 * 1e3
    assert not next(model.parameters()).is_cuda
    assert latency.device == torch.cuda.get_device_name()
