"""Energy, by counters that are files of our own."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

import archsmith as nas
from archsmith._support.errors import InputError
from archsmith.evaluate.energy import EnergyEvaluator
from archsmith.hardware import energy
from archsmith.hardware.energy import NvidiaSmi, Rapl, measure_energy, meter
from archsmith.hardware.latency import Probe


def zone(folder: Path, number: str, name: str, used: int, most: int = 1000) -> Path:
    made = folder / f"intel-rapl:{number}"
    made.mkdir(parents=True, exist_ok=True)
    (made / "name").write_text(f"{name}\n")
    (made / "energy_uj").write_text(f"{used}\n")
    (made / "max_energy_range_uj").write_text(f"{most}\n")
    return made


@pytest.fixture
def powercap(tmp_path: Path) -> Path:
    """Two packages; one of them shows a part of itself too."""
    zone(tmp_path, "0", "package-0", 100)
    zone(tmp_path, "0:0", "core", 50)
    zone(tmp_path, "1", "package-1", 900)
    return tmp_path


def test_packages_add_up_and_their_parts_do_not(powercap):
    count = Rapl(powercap)
    assert count() == 0
    zone(powercap, "0", "package-0", 350)
    zone(powercap, "0:0", "core", 400)
    assert count() == 0.25
    zone(powercap, "1", "package-1", 950)
    assert count() == pytest.approx(0.30)


def test_a_counter_that_starts_over_goes_on(powercap):
    count = Rapl(powercap)
    zone(powercap, "1", "package-1", 200)  # 900 to 1000, and from 0 to 200
    assert count() == pytest.approx(0.30)


def test_a_machine_that_does_not_count_is_told(tmp_path, powercap):
    with pytest.raises(InputError, match="energy: expected a package counter"):
        Rapl(tmp_path / "nothing")
    (powercap / "intel-rapl:0" / "energy_uj").unlink()
    with pytest.raises(InputError, match="to be readable"):
        meter("cpu", powercap)


def test_power_times_time_is_energy():
    watts, now = [10.0, 30.0, 30.0], [0.0, 2.0, 3.0]
    count = NvidiaSmi(0, ask=lambda: watts.pop(0), clock=lambda: now.pop(0))
    assert count() == 2000 * 20.0
    assert count() == 2000 * 20.0 + 1000 * 30.0


def test_energy_of_a_pass_is_what_was_used_by_the_number_of_passes():
    moment = [0.0]

    class Model(nn.Module):
        def forward(self, x):
            moment[0] += 0.25
            return x

    # Eight watts; a pass takes a quarter of a second.
    found = measure_energy(
        Probe(Model(), torch.zeros(1, 4)),
        seconds=2.0,
        count=lambda: 8e3 * moment[0],
        clock=lambda: moment[0],
    )
    assert found == pytest.approx(8e3 * 0.25)


def test_a_limit_on_energy_is_refused_before_any_work(monkeypatch, tmp_path):
    monkeypatch.setattr(energy, "meter", lambda device: Rapl(tmp_path))
    monkeypatch.setattr("archsmith.evaluate.energy.meter", lambda device: Rapl(tmp_path))
    with pytest.raises(InputError, match="energy_mj needs a machine that measures energy"):
        nas.search("mlp", "iris", limits={"energy_mj": 5}, trials=1)


def test_a_search_may_aim_at_energy(monkeypatch, powercap):
    def rising() -> float:
        used[0] += 1.0
        return used[0]

    used = [0.0]
    monkeypatch.setattr(energy, "meter", lambda device: rising)
    monkeypatch.setattr("archsmith.evaluate.energy.meter", lambda device: rising)
    space = nas.Space(lambda: nn.Linear(4, nas.choose("width", [2, 3])))
    options = nas.LatencyOptions(seconds=0.01)
    evaluator = EnergyEvaluator(space, (1, 4), options=options)
    found = evaluator.evaluate(space.default(), nas.Fidelity(), 0, nas.Watch())
    assert 0 < found["energy_mj"] <= 1.0
