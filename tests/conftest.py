"""Shared by all tests."""

from __future__ import annotations

import atexit
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass

import pytest
import torch
from hypothesis import HealthCheck, settings

# Two processes of tests on two cores: a second thread of each, and of what they start, only waits.
os.environ["OMP_NUM_THREADS"] = "1"
torch.set_num_threads(1)
# A shell starts background jobs with SIGINT ignored: what interrupts itself there would go on.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
# The key that signs records is made in the user's folder of settings; the tests have one of their
# own, and so has what they start.
os.environ["XDG_CONFIG_HOME"] = tempfile.mkdtemp(prefix="archsmith-settings-")
os.environ["XDG_CACHE_HOME"] = tempfile.mkdtemp(prefix="archsmith-cache-")
for _name in ("XDG_CONFIG_HOME", "XDG_CACHE_HOME"):
    atexit.register(shutil.rmtree, os.environ[_name], ignore_errors=True)

# How long an example takes says how loaded the machine is.
settings.register_profile("unhurried", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("unhurried")


#: Tests of the contract suites that ``./dev quick`` leaves out: they are our own, but shipped, and
#: whoever runs them elsewhere has no such marks.
CONTRACTS = {
    "test_a_new_instance_goes_on_from_the_history": "slow",
    "test_a_trial_whose_time_is_over_is_stopped": "processes",
    "test_another_process_gives_the_same_run": "processes",
    "test_better_than_random": "statistical",
    "test_it_can_be_opened_again": "processes",
    "test_global_random_state_is_left_alone": "slow",
    "test_proposals_belong_to_the_space": "slow",
    "test_same_history_and_seed_same_proposal": "slow",
    "test_several_objectives": "slow",
    "test_the_loss_goes_down": "slow",
    "test_the_space_pickles": "slow",
    "test_trials_may_be_running": "slow",
    "test_what_is_drawn_is_what_the_builder_asks": "slow",
}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        mark = CONTRACTS.get(getattr(item, "originalname", ""))
        if mark is not None:
            item.add_marker(mark)


@dataclass
class Finished:
    """What a command printed and how it ended."""

    status: int
    out: str
    err: str


@pytest.fixture
def archsmith(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., Finished]:
    """Run the command line in this process."""
    from archsmith.cli import main

    def run(*arguments: object) -> Finished:
        monkeypatch.setattr(sys, "argv", ["archsmith", *map(str, arguments)])
        status = 0
        try:
            main()
        except SystemExit as end:
            status = end.code if isinstance(end.code, int) else int(end.code is not None)
        printed = capsys.readouterr()
        return Finished(status, printed.out, printed.err)

    return run
