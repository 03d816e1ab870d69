"""What a search begins with where the user says so: a published architecture, or answers."""

from __future__ import annotations

import json
from dataclasses import replace

from .._support.errors import InputError, SpaceError
from ..space import Architecture
from ..task.problem import Problem
from ..zoo.named import architectures, member
from .plan import SearchPlan


def with_start(plan: SearchPlan) -> SearchPlan:
    """The plan with answers in place of a name to start from; of a published architecture that is
    named, its space and arguments as well, if the plan has none of its own.

    Raises:
        InputError: an unknown name, or text that is not JSON.
    """
    if not isinstance(plan.start, str):
        return plan
    if plan.start.lstrip().startswith("{"):
        return replace(plan, start=_answers(plan.start))
    named = architectures.get(plan.start)
    if plan.space not in (None, named.space):
        expected = f"space {named.space}, which {plan.start} is a member of"
        raise InputError("start", expected, f"space {plan.space}", "leave the space out")
    arguments = {**named.arguments, **(plan.own_arguments or {})}
    return replace(plan, space=named.space, arguments=arguments, start=named.answers)


def start_of(plan: SearchPlan, problem: Problem) -> Architecture | None:
    """The architecture to begin with, if the plan has one.

    Raises:
        SpaceError: it has no place in the space.
    """
    if plan.start is None:
        return None
    assert not isinstance(plan.start, str)  # see with_start
    return member(problem.space, plan.start)


def _answers(text: str) -> Architecture:
    try:
        return Architecture.from_json(json.loads(text))
    except (ValueError, SpaceError) as error:
        raise InputError("start", "a JSON object from decision to answer", str(error)) from None
