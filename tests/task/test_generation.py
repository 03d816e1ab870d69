"""Generation: likelihoods, noise and samplers against closed forms, and searches to the end."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn
from torch.distributions import Normal, kl_divergence

from archsmith._support.errors import DataError, InputError, UnknownNameError
from archsmith.data.splits import Batch
from archsmith.export import export, predict
from archsmith.task import task
from archsmith.task.base import Data, ReadOptions
from archsmith.task.diffusion import Diffusion, Sampler, mixed, velocity
from archsmith.task.generation import Generation, Order
from archsmith.task.generation_picture import sheet
from archsmith.task.generative import GREY_STEP, GenerationMeter, scaled, spread_at
from archsmith.task.problem import open_problem
from archsmith.task.variational import Decoder, divergence_of, log_likelihood
from archsmith.testing.task import TaskContract
from archsmith.train import train
from archsmith.zoo.diffusion import diffusion
from archsmith.zoo.vae import vae

DIGITS = ReadOptions()


def small_diffusion(channels: int, classes: int, height: int, width: int) -> nn.Module:
    return diffusion(channels, classes, height, width, widths=(8, 16), depths=(1, 2))


def small_vae(channels: int, classes: int, height: int, width: int) -> nn.Module:
    return vae(channels, classes, height, width, widths=(8, 16), depths=(0, 1))


def blobs(folder: Path) -> Path:
    """Grey images with a bright half, left or right by class."""
    rng = np.random.default_rng(0)
    labels = np.arange(60) % 2
    images = rng.integers(0, 60, (60, 8, 6)).astype(np.uint8)
    for image, label in zip(images, labels, strict=True):
        image[:, 3 * label : 3 * label + 3] += 180
    path = folder / "blobs.npz"
    np.savez(path, images=images, labels=labels)
    return path


@pytest.mark.slow
class TestDiffusion(TaskContract):
    task = Generation("steps=3")
    builder = staticmethod(small_diffusion)
    write = staticmethod(blobs)


@pytest.mark.slow
class TestUnconditional(TaskContract):
    task = Generation("conditional=no,steps=2")
    builder = staticmethod(small_diffusion)
    write = staticmethod(blobs)


@pytest.mark.slow
class TestVAE(TaskContract):
    task = Generation("method=vae")
    builder = staticmethod(small_vae)
    write = staticmethod(blobs)


@pytest.fixture(scope="module")
def data() -> Data:
    return Generation().read("digits", DIGITS)


def test_what_is_read_are_the_images_of_classification(data: Data) -> None:
    images = task("image-classification").read("digits", DIGITS)
    for part, other in ((data.train, images.train), (data.test, images.test)):
        assert torch.equal(part.targets, other.inputs)
        assert torch.equal(part.labels, other.targets)
    noise = data.validation.inputs["noise"]
    assert abs(float(noise.mean())) < 0.03
    assert float(noise.std()) == pytest.approx(1, abs=0.03)
    assert not torch.equal(noise[0], noise[1])


def test_probabilities_of_all_grey_levels_add_up_to_one() -> None:
    levels = scaled(torch.arange(256).byte())[:, None]
    image = torch.tensor([-1.3, -1.0, 0.1, 0.5, 1.0, 2.0])
    for log_scale in (-9.0, -5.0, -2.0, 0.0, 2.0):
        told = log_likelihood(levels, image.expand(256, -1), torch.tensor(log_scale))
        assert torch.allclose(told.exp().sum(0), torch.ones(6), atol=2e-3), log_scale


def test_a_grey_level_is_as_likely_as_the_difference_of_two_logistics() -> None:
    x, image, scale = torch.tensor(0.2), torch.tensor(0.3), 0.1
    edges = [(x + step - image) / scale for step in (GREY_STEP / 2, -GREY_STEP / 2)]
    expected = torch.log(edges[0].sigmoid() - edges[1].sigmoid())
    got = log_likelihood(x, image, torch.tensor(math.log(scale)))
    assert float(got) == pytest.approx(float(expected), rel=1e-4)


def test_the_divergence_is_that_of_torch() -> None:
    mean, log_variance = torch.randn(4, 3), torch.randn(4, 3)
    expected = kl_divergence(Normal(mean, (log_variance / 2).exp()), Normal(0.0, 1.0)).sum(1)
    assert torch.allclose(divergence_of(mean, log_variance), expected, atol=1e-5)


class Ideal(nn.Module):
    """The best denoiser of independent values of normal distribution."""

    def __init__(self, mean: float, deviation: float) -> None:
        super().__init__()
        self.mean, self.variance = mean, deviation**2

    def forward(self, images: Tensor, level: Tensor, label: Tensor | None = None) -> Tensor:
        angle = (level * math.pi / 2).view(-1, 1, 1, 1)
        alpha, sigma = angle.cos(), angle.sin()
        gain = alpha * self.variance / (alpha**2 * self.variance + sigma**2)
        clean = self.mean + gain * (images - alpha * self.mean)
        return (alpha * images - clean) / sigma


def test_the_bound_of_an_ideal_denoiser_is_the_entropy() -> None:
    method, count, deviation = Diffusion(20, 1.0, (1, 6, 6), 0), 2000, 0.2
    x = 0.1 + deviation * torch.randn(
        count, 1, 6, 6, generator=torch.Generator().manual_seed(1)
    )  # other numbers than the meter's noise
    images = ((x + 1) * 127.5).round().clamp(0, 255).byte()
    meter = GenerationMeter(method.judged)
    inputs = (torch.zeros(count, 1, 6, 6), torch.ones(count))
    meter.see(Ideal(0.1, deviation), Batch(inputs, images))
    entropy = 36 * (0.5 * math.log(2 * math.pi * math.e * deviation**2) - math.log(GREY_STEP))
    assert meter.result()["elbo"] == pytest.approx(-entropy, rel=0.02)


def test_what_a_model_predicts_gives_back_image_and_noise() -> None:
    x, noise, level = torch.rand(5, 1, 4, 4), torch.randn(5, 1, 4, 4), torch.rand(5)
    z, v = mixed(x, noise, level), velocity(x, noise, level)
    angle = (level * math.pi / 2).view(-1, 1, 1, 1)
    assert torch.allclose(angle.cos() * z - angle.sin() * v, x, atol=1e-6)
    assert torch.allclose(angle.sin() * z + angle.cos() * v, noise, atol=1e-6)


def test_training_spreads_the_levels_and_leaves_out_some_classes() -> None:
    method, generator = Diffusion(20, 1.5, (1, 2, 2), 3), torch.Generator().manual_seed(0)
    x, label = torch.zeros(4000, 1, 2, 2), torch.arange(4000) % 3
    (_, level, told), _ = method.training(x, (label,), generator)
    counts = torch.histc(level, 10, 0, 1)
    assert (counts - 400).abs().max() <= 1
    left_out = told == 3
    assert float(left_out.float().mean()) == pytest.approx(0.1, abs=0.02)
    assert torch.equal(told[~left_out], label[~left_out])
    plain = Diffusion(20, 1.0, (1, 2, 2), 3)
    assert torch.equal(plain.training(x, (label,), generator)[0][2], label)


def test_levels_of_neighbours_are_spread_evenly() -> None:
    assert torch.equal(spread_at(3, 5), spread_at(0, 8)[3:])
    counts = torch.histc(spread_at(1000, 200), 20, 0, 1)
    assert counts.min() >= 8


def test_a_batch_without_a_generator_gets_noise_of_its_own(data: Data) -> None:
    chosen, raw = Generation(), [data.train.take(torch.arange(8) + start) for start in (0, 8)]
    one, again, two = (chosen.prepare_batch(batch, data.facts) for batch in (raw[0], *raw))
    assert all(torch.equal(a, b) for a, b in zip(one.inputs, again.inputs, strict=True))
    assert not torch.equal(one.inputs[1], two.inputs[1])


def test_samples_have_the_distribution_of_the_data() -> None:
    noise = torch.randn(500, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    images = Sampler(Ideal(0.2, 0.2), 200, 1.0, 0)(noise) * 2 - 1
    assert float(images.mean()) == pytest.approx(0.2, abs=0.01)
    assert float(images.std()) == pytest.approx(0.2, rel=0.03)


class ByClass(nn.Module):
    """Predicts an image that is as bright as the number of the class."""

    def forward(self, images: Tensor, level: Tensor, label: Tensor) -> Tensor:
        angle = (level * math.pi / 2).view(-1, 1, 1, 1)
        clean = (label / 10).view(-1, 1, 1, 1)
        return (angle.cos() * images - clean) / angle.sin()


def test_guidance_leads_away_from_the_unknown_class() -> None:
    noise, label = torch.randn(2, 1, 2, 2), torch.tensor([5, 6])
    for guidance, expected in ((1.0, (0.5, 0.6)), (2.0, (0.6, 0.8)), (0.0, (0.4, 0.4))):
        images = Sampler(ByClass(), 4, guidance, 4)(noise, label) * 2 - 1
        for image, value in zip(images, expected, strict=True):
            assert torch.allclose(image, torch.tensor(value), atol=1e-5)


@pytest.mark.parametrize(
    "options", ["method=gan", "steps=0", "guidance=-1", "steps=many", "shots=5", "conditional=3"]
)
def test_options_that_are_none_are_told(options: str) -> None:
    with pytest.raises(InputError, match="generation"):
        Generation(options)


def test_metrics_and_space_are_those_of_the_method() -> None:
    for options, space, first in (("", "diffusion", "loss"), ("method=vae", "vae", "elbo")):
        chosen = Generation(options)
        assert (chosen.default_space, chosen.metrics[0].name) == (space, first)


def test_a_model_that_cannot_decode_is_told() -> None:
    with pytest.raises(InputError, match="decode"):
        Decoder(nn.Linear(1, 1))


@pytest.mark.parametrize("outputs", [torch.zeros(2, 1, 8, 8), {"image": torch.zeros(2, 1, 8, 8)}])
def test_outputs_of_another_form_are_told(data: Data, outputs: Any) -> None:
    with pytest.raises(ValueError, match="mapping"):
        Generation("method=vae").expect_outputs(outputs, data.facts)


def test_orders_are_read_from_text(data: Data, tmp_path: Path) -> None:
    path, chosen = tmp_path / "order.txt", Generation()
    path.write_text("label=3,count=4,seed=7\n")
    ordered = chosen.load_input(path, data.facts)
    assert ordered["label"].tolist() == [3, 3, 3, 3]
    again = chosen.noise_for(Order("3", 4, 7), data.facts)
    assert torch.equal(ordered["noise"], again["noise"])
    path.write_text("")
    assert chosen.load_input(path, data.facts)["label"].tolist() == list(range(10))
    for text in ("label=twelve", "count=0", "seed=-1", "{}"):
        path.write_text(text)
        with pytest.raises(InputError, match="samples"):
            chosen.load_input(path, data.facts)
    path.write_bytes(b"\xff")
    with pytest.raises(DataError):
        chosen.load_input(path, data.facts)
    with pytest.raises(UnknownNameError):
        Generation("conditional=no").noise_for(Order("3"), data.facts)


def test_a_sheet_has_a_row_for_each_class() -> None:
    images, labels = torch.rand(15, 1, 8, 8), torch.tensor([0] * 12 + [1] * 3)
    rows, fewer = sheet(images, labels, ["a", "b"]), sheet(images, labels, ["a", "b"], most=10)
    assert rows.height > fewer.height
    assert fewer.width > sheet(images, None, []).width


SESSION = """
import sys
sys.modules["archsmith"] = None
import numpy, onnxruntime, torch
place = sys.argv[1]
raw = dict(numpy.load(place + "/raw.npz"))
tensors = {name: torch.from_numpy(array) for name, array in raw.items()}
one = torch.export.load(place + "/model/model.pt2").module()(**tensors)
two, = onnxruntime.InferenceSession(place + "/model/model.onnx").run(None, raw)
numpy.savez(place + "/samples.npz", pt2=one.detach().numpy(), onnx=two)
"""


@pytest.mark.slow
@pytest.mark.parametrize("options", ["steps=4", "method=vae", "conditional=no,steps=2"])
def test_exports_give_the_same_samples_elsewhere(tmp_path: Path, options: str) -> None:
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    chosen = Generation(options)
    builder = small_vae if "vae" in options else small_diffusion
    problem = open_problem(builder, str(blobs(tmp_path)), task=chosen)
    space, facts = problem.space, problem.data.facts
    model = space.build(space.default(), seed=0)
    parity = export(model, chosen, problem.data, space, space.default(), tmp_path / "model")
    assert parity.ok
    assert not parity.absent
    inputs = chosen.noise_for(Order(count=5, seed=3), facts)
    np.savez(tmp_path / "raw.npz", **{name: t.numpy() for name, t in inputs.items()})
    subprocess.run([sys.executable, "-c", SESSION, str(tmp_path)], check=True)
    with torch.no_grad():
        expected = chosen.deployable(model.eval(), facts)(**inputs)
    for samples in np.load(tmp_path / "samples.npz").values():
        assert np.abs(samples - expected.numpy()).max() < 1e-4
    (tmp_path / "order.txt").write_text("count=5,seed=3")
    answers = predict(tmp_path / "model", tmp_path / "order.txt", space=space)
    assert len(answers) == 5
    levels = np.array(json.loads(json.dumps(answers))[0]["image"])
    assert np.abs(levels / 255 - expected[0].numpy()).max() < 0.003


@pytest.mark.slow
@pytest.mark.parametrize("options", ["steps=4", "method=vae"])
def test_a_search_from_the_command_line_and_samples(
    tmp_path: Path, options: str, monkeypatch: pytest.MonkeyPatch, archsmith: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    source, name = str(blobs(tmp_path)), f"generation:{options}"
    arguments = ["search", source, "--task", name, "--run", "found", "--trials", "3"]
    more = ["--epochs", "1", "--final-epochs", "2", "--strategy", "random"]
    done = archsmith(*arguments, *more)
    assert done.status == 0, done.err
    done = archsmith("sample", "found", "--count", "7", "--class", "1", "--to", "run.png")
    assert done.status == 0, done.err
    done = archsmith("export", "found", "--to", "model", "--no-onnx")
    assert done.status == 0, done.err
    done = archsmith("sample", "model", "--count", "7", "--class", "1", "--to", "model.png")
    assert done.status == 0, done.err
    one, two = (np.asarray(Image.open(f"{name}.png")) for name in ("run", "model"))
    assert np.array_equal(one, two)
    for wrong in (["--class", "9"], ["--count", "0"], ["--to", "a.gif"]):
        assert archsmith("sample", "model", *wrong).status == 2


def test_other_models_give_no_samples(tmp_path: Path, archsmith: Any) -> None:
    images = task("image-classification")
    problem = open_problem("convnet", "digits", task=images)
    space, folder = problem.space, tmp_path / "model"
    model = space.build(space.default(), seed=0)
    export(model, images, problem.data, space, space.default(), folder, formats=[])
    done = archsmith("sample", folder)
    assert done.status == 2
    assert "--task generation" in done.err


@pytest.mark.slow
@pytest.mark.parametrize("options", ["steps=10", "method=vae"])
def test_a_short_training_draws_the_class_that_is_asked_for(tmp_path: Path, options: str) -> None:
    builder = small_vae if "vae" in options else small_diffusion
    problem = open_problem(builder, str(blobs(tmp_path)), task=f"generation:{options}")
    space, chosen, facts = problem.space, problem.task, problem.data.facts
    model = space.build(space.default(), seed=0)
    train(model, chosen, problem.data, problem.recipe, seed=0)
    assert isinstance(chosen, Generation)
    inputs = chosen.noise_for(Order(count=40), facts)
    with torch.no_grad():
        images = chosen.deployable(model.eval(), facts)(**inputs)
    brighter = images[..., 3:].mean((1, 2, 3)) > images[..., :3].mean((1, 2, 3))
    assert (brighter.long() == inputs["label"]).float().mean() > 0.9
    assert images.std(0).mean() > 0.02


def test_validation_images_that_need_not_be_judged_are_trained_on(monkeypatch) -> None:
    whole = task("generation").read("digits", ReadOptions())
    monkeypatch.setattr("archsmith.task.generation._JUDGED", 100)
    data = task("generation").read("digits", ReadOptions())
    assert len(data.validation) == 100
    assert len(data.train) == len(whole.train) + len(whole.validation) - 100
    torch.testing.assert_close(data.validation.targets, whole.validation.targets[:100])
    torch.testing.assert_close(data.train.targets[-1], whole.validation.targets[-1])
    assert int(data.train.labels[-1]) == int(whole.validation.labels[-1])
    assert any("100 are judged" in line for line in data.summary)
