"""Ranks combined, by hand."""

import numpy as np
import pytest

from archsmith._support.errors import InputError
from archsmith.proxy.vote import AZNAS, Vote

SCORES = {
    "expressivity": [1.0, 2.0, 3.0],
    "progressivity": [0.1, 0.1, 0.2],
    "trainability": [-1.0, -2.0, -3.0],
    "flops": [10.0, 30.0, 20.0],
}


def test_az_nas_adds_up_logarithms_of_ranks():
    ranks = np.array([[1, 2, 3], [1.5, 1.5, 3], [3, 2, 1], [1, 3, 2]]) / 3
    assert AZNAS().combine(SCORES) == pytest.approx(np.log(ranks).sum(0))


def test_being_last_once_weighs_more_than_being_first_once():
    found = Vote(["a", "b"]).combine({"a": [1, 2, 3], "b": [3, 2, 1]})
    assert found[1] > found[0] == found[2]


def test_only_ranks_matter():
    one = {name: np.exp(np.array(values) / 10) for name, values in SCORES.items()}
    assert AZNAS().combine(one) == pytest.approx(AZNAS().combine(SCORES))


def test_weights_are_of_members():
    both = Vote(["a", "b"], [3, 1]).combine({"a": [1, 2], "b": [2, 1]})
    assert both == pytest.approx([3 * np.log(1 / 2), np.log(1 / 2)])
    assert list(Vote(["a", "b"], [1, 0]).combine({"a": [1, 2], "b": [2, 1]})) == [np.log(1 / 2), 0]


def test_what_could_not_be_scored_is_last():
    found = Vote(["a"]).combine({"a": [5.0, -np.inf, -1e30]})
    assert list(np.argsort(found)) == [1, 2, 0]


@pytest.mark.parametrize(
    ("scores", "part"),
    [
        ({"a": [1.0, 1.0], "b": [1.0, 2.0]}, "scores of a.*differ"),
        ({"a": [1.0, 2.0]}, "scores of b"),
        ({"a": [1.0, 2.0], "b": [1.0, float("nan")]}, "scores of b.*NaN"),
        ({"a": [1.0, 2.0], "b": [1.0]}, "scores of b.*2 of them"),
        ({"a": [1.0], "b": [1.0]}, "scores of a.*differ"),
        ({"a": [], "b": []}, "scores of a.*none"),
        ({"a": [-np.inf, -np.inf], "b": [1.0, 2.0]}, "scores of a.*differ"),
    ],
)
def test_scores_that_say_nothing_are_refused(scores, part):
    with pytest.raises(InputError, match=part):
        Vote(["a", "b"]).combine(scores)


def test_votes_without_voters_are_refused():
    for wrong in (([], None), (["a"], [1, 2]), (["a"], [-1])):
        with pytest.raises(InputError, match=r"vote, (members|weights)"):
            Vote(*wrong)
