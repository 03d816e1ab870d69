"""Stages whose depth is asked in their scope, as the ready space of mobile networks has them."""

from __future__ import annotations

from torch import nn

import archsmith as nas
from archsmith.space.numbering import shared_scopes


def staged() -> nn.Module:
    """Stages of 1 to 3 blocks of 4 x 3 kinds, each with a width of 5 that changes no question."""
    nas.choose("activation", ["relu", "swish"])
    for stage in range(6):
        with nas.scope(f"stage{stage}"):
            depth = nas.choose("depth", [1, 2, 3])
            nas.choose("width", [8, 16, 24, 32, 40])
            for number in range(depth):
                with nas.scope(f"block{number}"):
                    nas.choose("kernel", [3, 5, 7])
                    nas.choose("expansion", [1, 2, 4, 6])
    return nn.Identity()


def test_what_follows_a_block_is_found_in_the_scope_of_its_stage():
    runs = 0

    def counted() -> nn.Module:
        nonlocal runs
        runs += 1
        return staged()

    space = nas.Space(counted)
    assert space.size() == nas.Size(2 * (5 * (12 + 12**2 + 12**3)) ** 6, True)
    assert runs <= 200, "it took 548 runs, after which there was only an estimate"


def test_scopes_are_shared_if_all_of_one_name_are_around_the_other():
    assert shared_scopes("stage2.depth", "stage2.block1.kernel") == 1
    assert shared_scopes("a.b.depth", "a.b.c.kernel") == 2
    assert shared_scopes("stage1.depth", "stage2.block1.kernel") == 0
    assert shared_scopes("activation", "stage2.block1.kernel") == 0
    assert shared_scopes("stage2.block1.kernel", "stage2.depth") == 0
