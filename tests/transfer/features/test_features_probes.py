"""Probes against scikit-learn, used here directly, and against sums by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

import archsmith as nas
from archsmith._support.errors import InputError, UnknownNameError
from archsmith.transfer.features import CentroidProbe, LinearProbe, NeighbourProbe


def blobs(n: int, seed: int, classes: int = 4, spread: float = 1.2):
    """Clouds around centres of their own, the last feature on a scale of its own."""
    centres = np.random.default_rng(0).normal(size=(classes, 6)) * 1.5
    rng = np.random.default_rng(seed)
    y = rng.integers(classes, size=n)
    x = centres[y] + rng.normal(size=(n, 6)) * spread
    x[:, -1] *= 100
    return torch.from_numpy(x).float(), torch.from_numpy(y)


TRAIN, HELD = blobs(300, 1), blobs(200, 2)


@pytest.mark.parametrize("strength", [0.01, 1.0])
def test_a_linear_probe_is_logistic_regression_on_standardised_features(strength):
    x, y = (t.numpy() for t in TRAIN)
    held = HELD[0].double().numpy()
    scaler = StandardScaler().fit(x.astype(np.float64))
    model = LogisticRegression(C=strength, max_iter=500).fit(scaler.transform(x), y)
    wanted = model.predict(scaler.transform(held))
    probe = LinearProbe([strength]).fit(*TRAIN)
    assert (probe.predict(HELD[0]).numpy() == wanted).mean() > 0.995
    score = probe.score(*HELD)
    right = wanted == HELD[1].numpy()
    assert score.accuracy == pytest.approx(right.mean(), abs=0.006)
    assert set(score.per_class) == {0, 1, 2, 3}
    assert score.per_class[2] == pytest.approx(right[HELD[1].numpy() == 2].mean(), abs=0.02)
    assert score.chosen == f"C={strength:g}"


def test_the_strength_is_chosen_on_a_part_that_is_held_out():
    # Fifty features of noise beside one that tells: only a strong penalty leaves them alone.
    rng = np.random.default_rng(3)
    y = torch.from_numpy(rng.integers(2, size=120))
    noise = torch.from_numpy(rng.normal(size=(120, 80))).float()
    x = torch.cat(
        [y[:, None] + 0.8 * torch.from_numpy(rng.normal(size=(120, 1))).float(), noise], 1
    )
    chosen = float(LinearProbe([0.001, 1e4], seed=1).fit(x, y).chosen.removeprefix("C="))
    fits = {c: LinearProbe([c]) for c in (0.001, 1e4)}
    from sklearn.model_selection import train_test_split

    one, two = train_test_split(np.arange(120), test_size=24, stratify=y.numpy(), random_state=1)
    by_hand = {c: p.fit(x[one], y[one]).score(x[two], y[two]).accuracy for c, p in fits.items()}
    assert by_hand[0.001] != by_hand[1e4]
    assert chosen == max(by_hand, key=by_hand.get)


def test_the_nearest_centroid_by_hand():
    x, y = TRAIN
    means = torch.stack([x[y == c].double().mean(dim=0) for c in range(4)])
    wanted = torch.cdist(HELD[0].double(), means).argmin(dim=1)
    assert torch.equal(CentroidProbe().fit(x, y).predict(HELD[0]), wanted)


def test_neighbours_by_hand():
    x, y = TRAIN
    unit = torch.nn.functional.normalize(x.double(), dim=1)
    held = torch.nn.functional.normalize(HELD[0].double(), dim=1)
    distance = 1 - held @ unit.T
    near = distance.topk(5, largest=False)
    votes = torch.zeros(len(held), 4, dtype=torch.float64)
    votes.scatter_add_(1, y[near.indices], 1 / near.values)
    assert torch.equal(NeighbourProbe([5]).fit(x, y).predict(HELD[0]), votes.argmax(dim=1))
    assert NeighbourProbe([500]).fit(x, y).chosen == "k=300"
    assert NeighbourProbe(seed=0).fit(x, y).chosen.startswith("k=")


def test_all_probes_in_one_call():
    found = nas.probe(*TRAIN, *HELD)
    assert [row.probe for row in found] == ["linear", "centroid", "knn"]
    # The scale of the last feature spoils Euclidean distances, not those that do not see it.
    assert found[0].accuracy > 0.8
    assert found[1].accuracy < 0.5
    again = nas.probe(*TRAIN, *HELD, ["knn"])
    assert again == found[2:]
    # Labels need not be 0, 1, ..., nor be many.
    few = nas.probe(torch.eye(3), torch.tensor([7, 9, 7]), torch.eye(3), torch.tensor([7, 9, 7]))
    assert few[1].per_class == {7: 1.0, 9: 1.0}
    assert [set(row.per_class) for row in few] == [{7, 9}] * 3


def test_what_cannot_be_probed_is_refused():
    x, y = TRAIN
    with pytest.raises(UnknownNameError, match="linear"):
        nas.probe(x, y, *HELD, ["liner"])
    with pytest.raises(InputError, match="at least two classes"):
        nas.probe(x, torch.zeros_like(y), *HELD)
    with pytest.raises(InputError, match="classes that the probe was fitted on, got 3"):
        nas.probe(x[y < 3], y[y < 3], *HELD)
    with pytest.raises(InputError, match="whole numbers"):
        nas.probe(x, y[:-1], *HELD)
    with pytest.raises(InputError, match="whole numbers"):
        nas.probe(x, y.float(), *HELD)
    with pytest.raises(InputError, match=r"\(n, d\)"):
        nas.probe(x[0], y, *HELD)
    bad = x.clone()
    bad[7, 1] = torch.nan
    with pytest.raises(InputError, match="row 7"):
        nas.probe(bad, y, *HELD)
    with pytest.raises(InputError, match="6 features"):
        CentroidProbe().fit(x, y).predict(x[:, :5])
    with pytest.raises(InputError, match="fit before"):
        CentroidProbe().predict(x)
    with pytest.raises(InputError, match="fit before"):
        CentroidProbe().score(x, y)


def test_features_that_are_all_the_same_are_refused():
    labels = torch.arange(12) % 2
    for kind in (CentroidProbe, LinearProbe, NeighbourProbe):
        with pytest.raises(InputError, match="examples that differ, got all the same"):
            kind().fit(torch.ones(12, 3), labels)


def test_arrays_are_taken_as_tensors_are():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(40, 3)) + np.arange(40)[:, None] % 2 * 5
    y = np.arange(40) % 2
    assert CentroidProbe().fit(x, y).score(x, list(y)).accuracy == 1.0
