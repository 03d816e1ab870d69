"""Profiles of spaces of which everything is known."""

from __future__ import annotations

import itertools
import json
import random

import profile_spaces as spaces
import pytest
import torch

import archsmith as nas
from archsmith._support.errors import InputError, SpaceError, UnknownNameError
from archsmith.profiling.page import render_profile
from archsmith.profiling.text import profile_text

LONG = 600.0  # seconds: nothing is cut short, however busy the machine is


def profiled(builder, **options):
    return nas.profile(builder, "iris", **{"time": LONG, "samples": 40, **options})


@pytest.fixture(scope="module")
def known():
    return profiled(spaces.known, limits=["params<=200", "flops>=4000"])


@pytest.fixture(scope="module")
def planted():
    return profiled(spaces.planted)


@pytest.mark.slow
def test_a_small_space_is_counted_and_looked_at_whole(known):
    assert (known.size.count, known.size.exact) == (36, True)
    assert (known.drawn, known.samples, known.broken) == ("all", 36, 0)
    assert known.covered
    assert known.sound
    assert not known.cut


@pytest.mark.slow
def test_decisions_come_in_order_with_what_they_depend_on(known):
    facts = {d.name: d for d in known.decisions}
    assert list(facts) == ["label", "kind", "depth", "deep.width"]
    assert facts["deep.width"].when == "depth is 2 or 3"
    assert facts["deep.width"].options == ("8", "16", "32")
    assert facts["label"].asked == 1.0
    assert abs(facts["deep.width"].asked - 2 / 3) < 0.1


@pytest.mark.slow
def test_a_name_that_is_asked_again_and_again_is_told():
    told = " ".join(profiled(spaces.repeated, samples=4).advice.reasons)
    assert "act is asked 3 times and answered once" in told
    assert "nas.module_scopes()" in told
    scoped = nas.module_scopes()(spaces.repeated)
    found = profiled(scoped, samples=4)
    assert found.size == nas.Size(8, True)
    assert "answered once" not in " ".join(found.advice.reasons)


def parameters(depth, width):
    sizes = [4, *[width] * depth, 3]
    return sum(a * b + b for a, b in itertools.pairwise(sizes))


ALL = [(1, 8), (2, 8), (2, 16), (3, 8), (3, 16), (3, 32)]  # each six times


def test_costs_are_those_of_the_whole_space(known):
    spread = known.costs["params"]
    values = sorted(float(parameters(*pair)) for pair in ALL for _ in range(6))
    assert list(spread.values) == values
    assert (spread.smallest.value, spread.largest.value) == (values[0], values[-1])
    assert spread.largest.architecture["deep.width"] == 32
    assert spread.quantiles[0.5] == (values[17] + values[18]) / 2
    assert spread.settled


def test_shares_of_limits_are_those_of_an_enumeration(known):
    small, large = known.limits
    few = sum(parameters(*pair) <= 200 for pair in ALL) / len(ALL)
    assert small.kept
    assert small.share.value == small.share.low == small.share.high == few
    # A multiply-add is two operations.
    flops = [2 * (4 * w + (d - 1) * w * w + 3 * w) for d, w in ALL]
    assert large.share.value == sum(f >= 4000 for f in flops) / len(ALL)
    # Only the largest has so many, and it is not small.
    assert known.together.kept is False
    assert known.together.share.value == 0
    assert "params<=200 and flops>=4000" in known.advice.reasons[0]


@pytest.mark.slow
def test_a_limit_that_nothing_keeps_has_the_nearest_value():
    found = profiled(spaces.known, limits={"params": 60}).limits[0]
    assert found.kept is False
    assert found.nearest == {"params": 67.0}


@pytest.mark.slow
def test_a_sample_gives_an_interval_around_the_true_share():
    found = profiled(spaces.known, limits=["params<=200"], samples=30)
    assert found.drawn == "architectures"
    assert found.samples == 30
    share = found.limits[0].share
    assert 0 < share.low < share.value < share.high < 1
    assert share.low <= 1 / 3 <= share.high


def test_what_only_training_tells_is_said():
    found = profiled(spaces.hidden_values, limits=["accuracy>=0.9"]).limits[0]
    assert found.kept is None
    assert found.share is None
    assert "training" in found.note


def test_every_static_cost_has_a_spread_and_can_be_limited():
    found = profiled(spaces.forms, limits=["weights_mb<=1", "energy_mj<=5"])
    assert {"params", "flops", "memory_mb", "peak_mb", "weights_mb"} <= found.costs.keys()
    weights, energy = found.limits
    assert weights.share.value == 1.0
    assert energy.kept is None
    assert "not measured" in energy.note


def test_latency_limits_are_measured():
    found = profiled(spaces.forms, limits=["latency_ms<=1000"])
    assert found.limits[0].kept
    assert "measured" in found.limits[0].note
    assert found.costs["latency_ms"].smallest.value > 0


def test_what_was_measured_outside_the_sample_shows_that_a_limit_can_be_kept():
    found = profiled(spaces.known, samples=1, limits=["latency_ms<=1000", "params<=70"])
    assert found.costs["params"].smallest.value == 67
    assert found.together.kept
    assert found.together.share.of == 1


def test_choices_that_change_nothing_are_found(known):
    idle = {one.decision: one for one in known.likeness.idle}
    assert idle.keys() == {"label", "kind"}
    assert idle["label"].whole
    assert set(idle["label"].answers) == {"a", "b"}
    assert not idle["kind"].whole
    assert set(idle["kind"].answers) == {"relu", "also-relu"}
    assert known.likeness.distinct == 12
    assert known.likeness.of == 36
    assert known.likeness.by_decision["label"] == 1.0
    assert known.likeness.by_decision["depth"] == 0.0


def test_dropout_and_first_weights_tell_networks_apart():
    found = profiled(spaces.hidden_values).likeness
    assert (found.distinct, found.of, found.idle) == (4, 4, ())


def test_the_order_of_branches_does_not():
    found = profiled(spaces.forms).likeness
    assert (found.distinct, found.of) == (2, 4)
    assert [one.decision for one in found.idle] == ["swapped"]


@pytest.mark.slow
def test_all_faults_are_found_each_by_the_fewest_decisions(planted):
    assert not planted.sound
    assert [dict(fault.answers) for fault in planted.faults] == [
        {"head": "wrong"},
        {"deep": True, "inner.width": 12, "inner.norm": "group"},
    ]
    assert all("RuntimeError" in fault.reason for fault in planted.faults)
    assert planted.unexplained == 0
    assert planted.broken > 0
    assert not planted.advice.command


def test_a_builder_that_refuses_answers_is_a_fault_too():
    (fault,) = profiled(spaces.refusing).faults
    assert dict(fault.answers) == {"size": 6, "groups": 4}
    assert fault.reason == "ValueError: 6 does not go by 4"


def test_a_default_that_does_not_run_is_told_by_what_breaks_it():
    found = profiled(spaces.broken_default)
    assert [dict(fault.answers) for fault in found.faults] == [{"width": 7}]
    assert found.costs["params"].smallest.architecture["width"] != 7


def nothing_works(features: int, outputs: int) -> torch.nn.Module:
    nas.choose("size", [1, 2])
    return torch.nn.Linear(features + 1, outputs)


def test_where_nothing_works_there_is_one_fault_and_no_more_to_say():
    found = profiled(nothing_works)
    assert [dict(fault.answers) for fault in found.faults] == [{}]
    assert not found.costs
    assert found.likeness is None
    assert found.times is None
    profile_text(found)
    render_profile(found)


def test_a_builder_that_refuses_its_defaults_is_wrong_input():
    def builder(features: int, outputs: int) -> torch.nn.Module:
        raise ValueError("no")

    with pytest.raises(SpaceError, match="ValueError: no"):
        profiled(builder)


@pytest.mark.slow
def test_the_same_seed_gives_the_same_profile_times_aside():
    def plain(seed):
        found = profiled(spaces.planted, seed=seed).to_json()
        for name in ("seconds", "times", "sharing"):
            del found[name]
        del found["costs"]["latency_ms"]
        return json.dumps(found)

    torch.manual_seed(3)
    random.seed(3)
    first = plain(1)
    assert torch.rand(1).item() == torch.rand(1, generator=torch.Generator().manual_seed(3)).item()
    assert plain(1) == first


@pytest.mark.slow
def test_a_ready_space_can_be_shared_relaxed_and_timed():
    found = nas.profile("mlp", "iris", samples=8, time=LONG)
    assert found.sharing.shared
    assert found.sharing.parameters > 0
    assert found.sharing.memory_mb > 0
    names = {name for estimate in found.times.estimates for name in estimate.strategies}
    assert {"auto", "random", "asha", "spos"} <= names
    for estimate in found.times.estimates:
        assert 0 < estimate.low <= estimate.median <= estimate.high
    assert found.advice.command.startswith("archsmith search iris --space mlp")


def test_weights_that_cannot_be_shared_have_a_reason(known):
    assert known.sharing.shared is False
    assert "same weights" in known.sharing.shared_reason


def test_what_there_was_no_time_for_is_said():
    found = nas.profile("mlp", "iris", samples=50, time=0.001)
    assert not found.covered
    assert any(line.startswith("samples") for line in found.cut)
    assert found.sharing is not None
    assert found.sharing.shared is None


@pytest.mark.parametrize(
    ("options", "error", "told"),
    [
        ({"samples": 0}, InputError, "samples"),
        ({"time": 0}, InputError, "time"),
        ({"time": "soon"}, InputError, "time"),
        ({"limits": ["prams<=1"]}, UnknownNameError, "params"),
        ({"minimize": "size"}, UnknownNameError, "params"),
        ({"device": "abacus"}, InputError, "device"),
    ],
)
def test_wrong_options_are_told_at_once(options, error, told):
    with pytest.raises(error, match=told):
        profiled(spaces.known, **options)


def test_the_document_is_json_with_the_names_of_the_attributes(known):
    found = json.loads(json.dumps(known.to_json()))
    assert found["size"] == {"count": 36, "exact": True}
    assert found["limits"][0]["limits"] == ["params<=200"]
    assert found["costs"]["params"]["smallest"]["architecture"]["depth"] == 1
    assert found["sound"] is True


@pytest.mark.slow
def test_the_page_shows_limits_and_escapes_names(known, planted):
    page = render_profile(known)
    assert "≤ 200" in page
    assert page.count("<svg") > 3
    assert "<script" not in page
    assert "http://" not in page
    assert "https://" not in page
    assert "inner.norm=&#39;group&#39;" in render_profile(planted)


@pytest.mark.slow
def test_the_advised_command_reads_the_data_as_the_profile_did(tmp_path):
    file = tmp_path / "sales.csv"
    rows = [f"{n},{n % 7},{n % 3}\n" for n in range(60)]
    file.write_text("day,shop,y\n" + "".join(rows))
    read = nas.ReadOptions(seed=3, order="day", unreadable="skip")
    told = nas.profile(data=str(file), read=read, samples=2, time=0.5).advice.command
    for words in ("--split-seed 3", "--order day", "--unreadable skip"):
        assert words in told
    assert "--target" not in told
