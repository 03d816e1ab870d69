from __future__ import annotations

from typing import Any

import pytest
import torch

import archsmith as nas
from archsmith._support.errors import InputError, SpaceError
from archsmith.supernet.fewshot import FewShotNAS, splitting

from .training_toys import elastic, first_batch, nested, operations, session_of, space_of, values


def test_the_decision_with_the_most_answers_splits() -> None:
    assert splitting(space_of(elastic)).name == "width"  # the first of those with three
    assert splitting(space_of(elastic), "pool").name == "pool"
    # The kernel has four, but is not always asked; the rate has no list.
    assert splitting(space_of(nested)).name == "op"


def test_decisions_that_cannot_split_are_refused_before_any_work() -> None:
    for name in ("op.deep.kernel", "rate", "nothing"):
        with pytest.raises(SpaceError, match="there are: op"):
            FewShotNAS(decision=name).check(space_of(nested))

    def loose() -> Any:
        nas.real("rate", 0.0, 1.0)
        return torch.nn.Identity()

    with pytest.raises(SpaceError, match="spos trains without splitting"):
        FewShotNAS().check(nas.Space(loose))
    with pytest.raises(InputError, match="whole"):
        FewShotNAS(whole=1.0)


def test_the_split_comes_at_its_share_and_sub_supernets_take_turns() -> None:
    session = session_of(operations)
    method = FewShotNAS(decision="op1", whole=0.5)
    method.begin(session)
    batch = first_batch(session)
    whole: dict[str, torch.Tensor] = {}
    while session.step < session.steps:
        before = method.visits()
        if session.step == session.steps // 2:
            whole = values(session)
            split_from = before
        assert bool(session.supernet.splits) == (session.step > session.steps // 2)
        method.step(session, batch)
        session.step += 1
    assert session.supernet.splits == ("op1",)
    since = method.visits() - split_from
    turns = [since[("op1", label)] for label in ("conv3", "conv1", "skip")]
    assert sum(turns) == session.steps // 2
    assert max(turns) - min(turns) <= 1
    # Each sub-supernet began with the weights so far, and none kept them.
    after = values(session)
    assert len(after) == 3 * len(whole)
    name = max(whole, key=lambda key: whole[key].numel())
    copies = [key for key in after if key.endswith(f"|{name}")]
    assert len(copies) == 3
    assert len({tuple(after[key].flatten().tolist()) for key in copies}) > 1


def test_training_one_sub_supernet_leaves_the_others() -> None:
    session = session_of(operations)
    method = FewShotNAS(decision="op1", whole=0.0)
    method.begin(session)
    batch = first_batch(session)
    for _ in range(3):  # until all have momentum
        method.step(session, batch)
        session.step += 1
    before = values(session)
    method.step(session, batch)  # the fourth turn is the first answer's
    changed = {key for key, now in values(session).items() if not torch.equal(now, before[key])}
    assert changed
    assert all(key.startswith("op1=conv3|") for key in changed)


@pytest.mark.slow
def test_all_parameters_after_the_split_are_trained() -> None:
    session = session_of(operations)
    method = FewShotNAS(whole=0.0)
    method.begin(session)
    method.step(session, first_batch(session))
    known = {id(p) for group in session.optimizer.param_groups for p in group["params"]}
    assert known == {id(p) for p in session.supernet.parameters()}
    assert len(session.optimizer.state) < len(known)
