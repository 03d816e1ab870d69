"""What a proposal costs after 500 trials, beside other libraries in the same run; and the memory
of a long history.

    python benchmarks/proposals.py [--trials 500] [--proposals 30] [--memory 100000] [--json FILE]

One core. The space is the cell of NAS-Bench-201 (six decisions of five answers); the objective is a
fixed number for each architecture, which costs nothing. For each strategy a history of ``--trials``
finished random trials is made, then proposals are timed, each followed by the end of its trial, so
that what a strategy learns from a trial is in the time of the next proposal. ``again`` is the first
proposal of a new process: everything learned anew from the history, as on resuming. The libraries
get the same six choices, the same trials before, and are timed on suggestion and report together.
Those that are not installed are left out: ``pip install optuna hyperopt nevergrad ax-platform``.
Memory: resident size of a process before and after a history of ``--memory`` trials is made.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import random
import statistics
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from archsmith._support.errors import ArchsmithError
from archsmith.history.objective import Objective
from archsmith.history.trial import History, State, Trial
from archsmith.space import Architecture, Space
from archsmith.strategy import Strategy, named
from archsmith.zoo.nasbench201 import OPS, edge_names, nasbench201

#: Milliseconds that the project promises.
TARGETS = {
    "random": 0.1,
    "evolution": 0.1,
    "local-search": 0.1,
    "reinforce": 20.0,
    "tpe": 20.0,
    "bohb": 20.0,
    "bananas": 100.0,
    "linear-thompson": 100.0,
    "bayesian": 100.0,
    "auto": 100.0,
}
STRATEGIES = (
    "random",
    "evolution",
    "local-search",
    "genetic",
    "nsga2",
    "reinforce",
    "tpe",
    "bananas",
    "linear-thompson",
    "bayesian",
    "auto",
    "asha",
    "hyperband",
    "bohb",
    "optuna:TPESampler",
    "optuna:GPSampler",
)
#: These get a history of their own making: they read the past as steps of theirs.
OWN = ("local-search", "asha", "hyperband", "bohb")
MEGABYTES = 500
EPOCHS = (1, 3, 9, 27)
#: Slow ones get fewer proposals, so that the run takes minutes.
SLOW = 5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--trials", type=int, default=500)
    parser.add_argument("--proposals", type=int, default=30)
    parser.add_argument("--memory", type=int, default=100_000)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore")
    rows = []
    for name in STRATEGIES:
        try:
            rows.append(_strategy(name, options.trials, options.proposals))
        except ArchsmithError as error:
            print(f"{name}: {error}", file=sys.stderr)
    for name, library, peer in PEERS:
        if importlib.util.find_spec(library) is None:
            print(f"{name}: {library} is not installed", file=sys.stderr)
            continue
        rows.append({"name": name, **peer(options.trials, options.proposals)})
    memory = _memory(options.memory)
    print(f"Milliseconds a proposal after {options.trials} trials, one core\n")
    print("| | median | slowest | again | target | |\n|---|---|---|---|---|---|")
    for row in rows:
        target = TARGETS.get(row["name"])
        met = "" if target is None else "met" if row["median"] <= target else "missed"
        again = f"{row['again']:.1f}" if "again" in row else ""
        print(
            f"| {row['name']} | {row['median']:.3f} | {row['slowest']:.2f} | {again} "
            f"| {target or ''} | {met} |"
        )
    met = "met" if memory <= MEGABYTES else "missed"
    print(f"\n{options.memory:,} trials of history: {memory:.0f} MB (target {MEGABYTES}: {met})")
    if options.json:
        found = {"rows": rows, "memory_mb": memory, "trials": options.trials}
        options.json.write_text(json.dumps(found, indent=1))


def score(architecture: Architecture) -> float:
    """A fixed number for each architecture: how many answers are convolutions, and a bit more."""
    noise = int(architecture.id[:4], 16) / 16**4
    return sum(str(answer).startswith("nor_conv") for answer in architecture.values()) + noise


def end(history: History, architecture: Architecture, trial_fidelity: Any = None) -> None:
    """Take in a finished trial."""
    number = len(history)
    trial = Trial(number, architecture, seed=number, state=State.FINISHED)
    if trial_fidelity is not None:
        trial.fidelity = trial_fidelity
    trial.metrics = {"accuracy": score(architecture)}
    history.add(trial)
    history.close(trial)


def _filled(space: Space, strategy: Strategy, own: bool, trials: int) -> History:
    objectives = [Objective("accuracy", "maximize")]
    history = History(objectives, key=space.canonical, epochs=EPOCHS, budget=2 * trials)
    strategy.check(space, history)
    rng = random.Random(0)
    while len(history) < trials:
        if own:
            proposal = strategy.propose(space, history, random.Random(len(history)))
            assert proposal is not None
            end(history, proposal.architecture, proposal.fidelity)
            continue
        architecture = space.sample(rng)
        if history.new(architecture):
            end(history, architecture)
    return history


def _strategy(name: str, trials: int, proposals: int) -> dict[str, Any]:
    space = Space(nasbench201, channels=3, classes=10)
    space.size()
    make = named(name)
    history = _filled(space, make(), name in OWN, trials)
    fresh = make()
    began = time.perf_counter()
    fresh.propose(space, history, random.Random(1))
    again = 1000 * (time.perf_counter() - began)
    times = []
    for position in range(proposals):
        rng = random.Random(position)
        began = time.perf_counter()
        proposal = fresh.propose(space, history, rng)
        times.append(1000 * (time.perf_counter() - began))
        assert proposal is not None
        end(history, proposal.architecture, proposal.fidelity)
        if sum(times) > 20_000:
            break
    return {
        "name": name,
        "median": statistics.median(times[1:] or times),
        "slowest": max(times),
        "again": again,
    }


def _timed(ask: Callable[[], Any], tell: Callable[[Any], None], proposals: int) -> dict[str, Any]:
    times = []
    for _ in range(proposals):
        began = time.perf_counter()
        tell(ask())
        times.append(1000 * (time.perf_counter() - began))
        if sum(times) > 20_000 and len(times) >= SLOW:
            break
    return {"median": statistics.median(times), "slowest": max(times)}


def _optuna(sampler: str) -> Callable[[int, int], dict[str, Any]]:
    def run(trials: int, proposals: int) -> dict[str, Any]:
        import optuna

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        study = optuna.create_study(
            direction="maximize", sampler=getattr(optuna.samplers, sampler)(seed=0)
        )
        choices = {edge: optuna.distributions.CategoricalDistribution(OPS) for edge in edge_names()}
        rng = random.Random(0)
        for _ in range(trials):
            params = {edge: rng.choice(OPS) for edge in edge_names()}
            study.add_trial(
                optuna.trial.create_trial(
                    params=params, distributions=choices, value=score(Architecture(params))
                )
            )

        def tell(trial: Any) -> None:
            params = {edge: trial.suggest_categorical(edge, OPS) for edge in edge_names()}
            study.tell(trial, score(Architecture(params)))

        return _timed(study.ask, tell, proposals)

    return run


def _hyperopt(trials: int, proposals: int) -> dict[str, Any]:
    import numpy as np
    from hyperopt import Trials, fmin, hp, rand, tpe

    space = {edge: hp.choice(edge, list(OPS)) for edge in edge_names()}
    record = Trials()

    def loss(params: dict[str, str]) -> float:
        return -score(Architecture(params))

    def more(algorithm: Any, count: int) -> None:
        fmin(
            loss,
            space,
            algo=algorithm,
            max_evals=len(record) + count,
            trials=record,
            rstate=np.random.default_rng(len(record)),
            show_progressbar=False,
            verbose=False,
        )

    more(rand.suggest, trials)
    return _timed(lambda: 1, lambda count: more(tpe.suggest, count), proposals)


def _nevergrad(trials: int, proposals: int) -> dict[str, Any]:
    import nevergrad

    choices = {edge: nevergrad.p.Choice(list(OPS)) for edge in edge_names()}
    optimizer = nevergrad.optimizers.NGOpt(nevergrad.p.Dict(**choices), budget=2 * trials)

    def tell(candidate: Any) -> None:
        optimizer.tell(candidate, -score(Architecture(candidate.value)))

    for _ in range(trials):
        tell(optimizer.ask())
    return _timed(optimizer.ask, tell, proposals)


def _ax(trials: int, proposals: int) -> dict[str, Any]:
    from ax.api.client import Client
    from ax.api.configs import ChoiceParameterConfig

    client = Client()
    client.configure_experiment(
        parameters=[
            ChoiceParameterConfig(
                name=f"e{i}", values=list(OPS), parameter_type="str", is_ordered=False
            )
            for i in range(len(edge_names()))
        ]
    )
    client.configure_optimization(objective="accuracy")

    def told(params: dict[str, Any]) -> Any:
        return score(Architecture({e: params[f"e{i}"] for i, e in enumerate(edge_names())}))

    rng = random.Random(0)
    for _ in range(trials):
        params = {f"e{i}": rng.choice(OPS) for i in range(len(edge_names()))}
        index = client.attach_trial(parameters=params)
        client.complete_trial(index, raw_data={"accuracy": told(params)})

    def tell(asked: Any) -> None:
        for index, params in asked.items():
            client.complete_trial(index, raw_data={"accuracy": told(params)})

    return _timed(lambda: client.get_next_trials(max_trials=1), tell, min(proposals, SLOW))


PEERS: Sequence[tuple[str, str, Callable[[int, int], dict[str, Any]]]] = (
    ("Optuna RandomSampler", "optuna", _optuna("RandomSampler")),
    ("Optuna NSGAIISampler", "optuna", _optuna("NSGAIISampler")),
    ("Optuna TPESampler", "optuna", _optuna("TPESampler")),
    ("Optuna GPSampler", "optuna", _optuna("GPSampler")),
    ("Hyperopt TPE", "hyperopt", _hyperopt),
    ("Nevergrad NGOpt", "nevergrad", _nevergrad),
    ("Ax", "ax", _ax),
)

_MEMORY = """
import random, sys
import psutil
from archsmith.history.objective import Objective
from archsmith.space import Space
from archsmith.history.trial import History, State, Trial
from archsmith.zoo.nasbench201 import nasbench201
space = Space(nasbench201, channels=3, classes=10)
space.size()
rng = random.Random(0)
before = psutil.Process().memory_info().rss
history = History([Objective("accuracy", "maximize")], key=space.canonical)
for number in range(int(sys.argv[1])):
    trial = Trial(number, space.sample(rng), seed=number, state=State.FINISHED)
    trial.note, trial.worker = f"mutation of trial {number}", "worker-0"
    trial.metrics = {"accuracy": rng.random(), "loss": rng.random(), "params": rng.random()}
    history.add(trial)
    history.close(trial)
print((psutil.Process().memory_info().rss - before) / 1e6)
"""


def _memory(trials: int) -> float:
    done = subprocess.run(
        [sys.executable, "-c", _MEMORY, str(trials)], capture_output=True, text=True, check=True
    )
    return float(done.stdout)


if __name__ == "__main__":
    main()
