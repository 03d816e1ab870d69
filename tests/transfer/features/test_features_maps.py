"""Maps of features, and the pictures of them."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import xml.etree.ElementTree as ET

import numpy as np
import pytest
import torch

import archsmith as nas
from archsmith._support.errors import InputError, MissingExtraError, UnknownNameError
from archsmith.report.heat import shade, similarity_picture
from archsmith.report.plane import map_picture
from archsmith.report.sheet import HUES
from archsmith.transfer.features import Similarity, maps

needs_umap = pytest.mark.skipif(
    importlib.util.find_spec("umap") is None, reason="needs the extra 'maps'"
)


def nodes(root: ET.Element, tag: str) -> list[ET.Element]:
    return [node for node in root.iter() if node.tag.endswith("}" + tag)]


def clouds(classes: int, each: int = 20, wide: int = 8):
    generator = torch.Generator().manual_seed(0)
    y = torch.arange(classes * each) % classes
    centres = 8 * torch.randn(classes, wide, generator=generator)
    return centres[y] + torch.randn(len(y), wide, generator=generator), y


def kept_neighbours(points: np.ndarray, labels: np.ndarray) -> float:
    """How often the nearest point of the map is of the same class."""
    distance = np.linalg.norm(points[:, None] - points[None], axis=2)
    np.fill_diagonal(distance, np.inf)
    return float((labels[distance.argmin(axis=1)] == labels).mean())


def test_pca_is_the_singular_value_decomposition():
    x, y = clouds(3)
    made = nas.feature_map(x, y)
    centred = (x - x.mean(dim=0)).double()
    u, s, _ = torch.linalg.svd(centred, full_matrices=False)
    wanted = (u[:, :2] * s[:2]).numpy()
    signs = np.sign((wanted * made.points).sum(axis=0))
    assert np.allclose(made.points, wanted * signs, atol=1e-6)
    assert made.explained == pytest.approx((s[:2] ** 2 / (s**2).sum()).tolist())
    assert made.names == ("0", "1", "2")
    assert np.array_equal(made.index, np.arange(60))


def test_clusters_stay_together_and_seeds_repeat():
    x, y = clouds(4, 15)
    made = nas.feature_map(x, y, "tsne", seed=3)
    assert made.points.shape == (60, 2)
    assert kept_neighbours(made.points, y.numpy()) > 0.95
    again = nas.feature_map(x, y, "tsne", seed=3)
    assert np.array_equal(made.points, again.points)


#: Compiling UMAP takes longer than running it as plain Python on a few points.
UMAP = """
import sys, torch, archsmith as nas
x, y = torch.load(sys.argv[1], weights_only=True)
found = [nas.feature_map(x, y, "umap", seed=3, neighbours=5).points for _ in range(2)]
found.append(nas.feature_map(x[:4], None, "umap").points)
torch.save([torch.from_numpy(points) for points in found], sys.argv[2])
"""


@needs_umap
def test_umap_keeps_clusters_and_repeats(tmp_path):
    x, y = clouds(2, 12)
    torch.save([x, y], tmp_path / "in")
    command = [sys.executable, "-c", UMAP, str(tmp_path / "in"), str(tmp_path / "out")]
    subprocess.run(command, check=True, env={**os.environ, "NUMBA_DISABLE_JIT": "1"})
    one, two, few = torch.load(tmp_path / "out", weights_only=True)
    assert torch.equal(one, two)
    assert kept_neighbours(one.numpy(), y.numpy()) > 0.95
    assert few.shape == (4, 2)
    assert few.isfinite().all()


@pytest.mark.parametrize("method", ["pca", "tsne"])
def test_a_handful_of_points_is_enough(method):
    x, _ = clouds(2, 2)
    assert np.isfinite(nas.feature_map(x, None, method).points).all()


def test_many_examples_are_thinned_by_class():
    x, y = clouds(5, 200)
    made = nas.feature_map(x, y, most=100)
    assert len(made.points) == 100
    assert np.bincount(made.labels).tolist() == [20] * 5
    assert np.array_equal(y.numpy()[made.index], made.labels)


def test_what_cannot_be_drawn_is_refused(monkeypatch):
    x, y = clouds(2)
    with pytest.raises(UnknownNameError, match="'tsne'"):
        nas.feature_map(x, y, "t-sne")
    with pytest.raises(InputError, match="the same vector"):
        nas.feature_map(torch.ones(9, 4))
    with pytest.raises(InputError, match="finite"):
        nas.feature_map(torch.full((9, 4), torch.nan))
    with pytest.raises(InputError, match="3 examples"):
        nas.feature_map(x[:2])
    with pytest.raises(InputError, match="whole numbers"):
        nas.feature_map(x, y.float())
    with pytest.raises(InputError, match="the places of names"):
        nas.feature_map(x, y, names=["one"])
    monkeypatch.setattr(maps.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"archsmith\[maps\]"):
        nas.feature_map(x, y, "umap")


@pytest.mark.parametrize("classes", [1, 10, 30, 70])
def test_a_map_as_a_picture(classes, tmp_path):
    x, y = clouds(classes, 12)
    names = [f"class <{i}>" for i in range(classes)]
    made = nas.feature_map(x, y, names=names)
    text = map_picture(made, "Classes & more", tmp_path / "map.svg")
    root = ET.fromstring(text)
    assert (tmp_path / "map.svg").read_text(encoding="utf-8") == text
    written = ["".join(node.itertext()) for node in nodes(root, "text")]
    assert "Classes & more" in written
    shown = min(classes, 60)
    # The legend names classes with their number of examples; the map names them alone.
    assert [f"class <{i}>12" for i in range(shown)] == [t for t in written if t.endswith(">12")]
    assert ("class <0>" in written) == (classes <= 24)
    assert ("and 10 more" in written) == (classes == 70)
    width, height = float(root.get("width")), float(root.get("height"))
    for node in nodes(root, "text"):
        assert 0 <= float(node.get("x")) <= width
        assert 0 <= float(node.get("y")) <= height


def test_classes_are_told_apart_by_colour_and_then_by_shape(tmp_path):
    assert len(set(HUES)) == len(HUES) >= 10
    x, y = clouds(24, 6)
    root = ET.fromstring(map_picture(nas.feature_map(x, y)))
    forms = set()
    for node in nodes(root, "path"):
        shape = "circle" if node.get("stroke-linecap") else "other"
        forms.add((node.get("stroke") or node.get("fill"), shape))
    assert len(forms) == 24


def test_unlabelled_points_have_no_legend():
    x, _ = clouds(3)
    text = map_picture(nas.feature_map(x))
    written = ["".join(node.itertext()) for node in nodes(ET.fromstring(text), "text")]
    assert written[1] == "PCA of 60 examples"
    assert len(written) == 3


def test_names_on_the_map_do_not_meet():
    points = np.zeros((20, 2))
    points[::2] += 1e-3 * np.arange(10)[:, None]
    points[0] = 1, 1
    y = np.arange(20, dtype=np.int64) % 10
    from archsmith.transfer.features import FeatureMap

    made = FeatureMap(points, y, tuple("abcdefghij"), "umap", np.arange(20))
    root = ET.fromstring(map_picture(made))
    said = [n for n in nodes(root, "text") if "said" in (n.get("class") or "")]
    places = [(float(n.get("x")), float(n.get("y"))) for n in said]
    assert len(places) == 10
    for i, (x, y_) in enumerate(places):
        for other_x, other_y in places[:i]:
            assert abs(y_ - other_y) >= 11.9 or abs(x - other_x) > 8


@pytest.mark.parametrize("size", [2, 15, 40])
def test_similarities_as_a_picture(size, tmp_path):
    values = np.random.default_rng(0).random((size, size + 1))
    values[0, 1] = np.nan
    rows = tuple(f"blocks.{i}.a<b>" for i in range(size))
    found = Similarity(rows, (*rows, ""), values, 100, False)
    path = tmp_path / "heat.svg"
    text = similarity_picture(found, path=path, names=("old", "new"))
    root = ET.fromstring(path.read_text(encoding="utf-8"))
    assert text == path.read_text(encoding="utf-8")
    squares = [n for n in nodes(root, "rect") if n.find("{*}title") is not None]
    assert len(squares) == size * (size + 1)
    assert squares[0].get("fill") == shade(values[0, 0])
    assert squares[0].find("{*}title").text == f"{rows[0]} and {rows[0]}: {values[0, 0]:.3f}"
    assert "—" in squares[1].find("{*}title").text
    written = [n.text for n in nodes(root, "text")]
    assert "(model)" in written
    assert any("down: old, across: new" in (text or "") for text in written)
    assert (f"{values[1, 1]:.2f}" in written) == (size <= 15)


def test_shades_darken():
    def light(colour: str) -> int:
        return sum(int(colour[i : i + 2], 16) for i in (1, 3, 5))

    steps = [light(shade(v)) for v in np.linspace(0, 1, 30)]
    assert steps == sorted(steps, reverse=True)
    assert shade(-0.2) == shade(0.0)
    assert shade(float("nan")) not in {shade(v) for v in np.linspace(0, 1, 200)}
