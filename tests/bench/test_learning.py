"""The picture of learning curves over labels."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree

import pytest

from archsmith._support.errors import InputError
from archsmith.bench.learning import learning_picture, mean_and_error

SVG = "{http://www.w3.org/2000/svg}"
PANELS = {
    "one task": {
        "from nothing": {1: [20.0, 30.0], 5: [40.0, 44.0], 100: [80.0, 80.0]},
        "transfer": {1: [50.0, 54.0], 5: [60.0, 61.0], 100: [82.0, 83.0]},
    },
    "another": {"transfer": {1: [10.0]}},
}


def test_means_and_errors_are_those_of_a_textbook():
    assert mean_and_error([1.0, 3.0]) == (2.0, 1.0)
    assert mean_and_error([2.0, 4.0, 9.0]) == (5.0, pytest.approx(2.0816659994661326))
    assert mean_and_error([7.0]) == (7.0, 0.0)


def circles(text):
    root = ElementTree.fromstring(text)
    return [
        (line.find(f"{SVG}title").text, circle.get("fill"), float(circle.get("cy")))
        for line in root.iter(f"{SVG}g")
        if line.find(f"{SVG}title") is not None
        for circle in line.findall(f"{SVG}circle")
    ]


def test_each_mean_has_its_place_and_each_method_its_colour():
    text = learning_picture(PANELS, title="Transfer & labels", subtitle="2 seeds")
    assert "Transfer &amp; labels" in text
    assert not re.findall(r"(?:href|src|url)\s*[=(]", text)
    found = circles(text)
    assert len(found) == 7
    assert len({fill for name, fill, _ in found if name == "transfer"}) == 1
    assert len({fill for _, fill, _ in found}) == 2
    nothing = [y for name, _, y in found if name == "from nothing"]
    assert nothing == sorted(nothing, reverse=True)  # better is higher
    # Means 25, 42 and 80 lie on the axis as far apart as they are.
    low, middle, high = nothing
    assert (low - middle) / (low - high) == pytest.approx(17 / 55, abs=0.01)
    assert text.count('class="band"') == 2  # a single run has none
    for name in ("from nothing", "transfer", "one task", "another", "labels per class"):
        assert f">{name}" in text


def test_it_is_the_same_each_time_and_refuses_nothing_at_all():
    again = [learning_picture(PANELS, title="t") for _ in range(2)]
    assert again[0] == again[1]
    with pytest.raises(InputError, match="at least one method with values"):
        learning_picture({"task": {"method": {}}}, title="t")
