"""The estimate of memory: against what autograd is known to keep."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import archsmith as nas
from archsmith._support.errors import InputError
from archsmith.supernet import memory
from archsmith.supernet.memory import check_memory, saved_bytes


def test_what_a_small_network_keeps_is_counted_exactly():
    # Linear keeps its input, ReLU its output; the second Linear keeps that same output.
    model = nn.Sequential(nn.Linear(3, 5), nn.ReLU(), nn.Linear(5, 2))
    assert saved_bytes(model, torch.randn(7, 3)) == 4 * (7 * 3 + 7 * 5)
    assert saved_bytes(model.to("meta"), torch.empty(7, 3, device="meta")) == 4 * (7 * 3 + 7 * 5)


def builder() -> nn.Module:
    width = nas.choose("width", [4, 16])
    return nn.Sequential(nn.Linear(8, width), nn.Linear(width, 2))


def test_too_little_memory_is_refused_before_the_training(monkeypatch):
    net = nas.Supernet(nas.Space(builder))
    needed, free = check_memory(net, torch.randn(2, 8), batch=64)
    weights = sum(p.numel() for p in net.parameters())
    assert needed == 4 * 4 * weights + 4 * 64 * (8 + 16)
    assert needed < free
    monkeypatch.setattr(memory, "available", lambda device: needed - 1)
    with pytest.raises(InputError, match="smaller batch"):
        check_memory(net, torch.randn(2, 8), batch=64)
