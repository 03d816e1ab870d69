"""Architectures are values."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys

import pytest

import archsmith as nas

ANSWERS = {"depth": 2, "op": "conv", "in": (0, 2), "rate": 0.5, "bias": True, "norm": None}


def test_equality_hash_and_id_do_not_depend_on_order():
    first = nas.Architecture(ANSWERS)
    second = nas.Architecture(dict(reversed(ANSWERS.items())))
    assert first == second
    assert hash(first) == hash(second)
    assert first.id == second.id
    assert list(first) == list(ANSWERS)
    assert first != nas.Architecture({**ANSWERS, "depth": 3})


def test_the_id_is_stable_across_processes_and_versions():
    code = f"import archsmith as nas; print(nas.Architecture({ANSWERS!r}).id)"
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout
    assert printed.strip() == nas.Architecture(ANSWERS).id == "bbeb9c06d8aa"


def test_json_and_pickle_give_it_back():
    architecture = nas.Architecture(ANSWERS)
    assert (
        nas.Architecture.from_json(json.loads(json.dumps(architecture.to_json()))) == architecture
    )
    hash(architecture)
    assert pickle.loads(pickle.dumps(architecture)) == architecture


def test_json_of_something_else_is_refused():
    with pytest.raises(nas.SpaceError, match="JSON object"):
        nas.Architecture.from_json([1, 2])
    with pytest.raises(nas.SpaceError, match="op: expected a JSON scalar"):
        nas.Architecture.from_json({"op": {"a": 1}})
