"""Shared weights in two processes, and in mixed precision."""

from __future__ import annotations

import random
import socket

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch import Tensor, nn

import archsmith as nas
from archsmith.supernet.supernet import Supernet

INPUTS = torch.randn(8, 6, generator=torch.Generator().manual_seed(0))
TARGETS = torch.arange(8) % 3
STEPS = 4


def net() -> nn.Module:
    width = nas.choose("width", [4, 8])

    def block(_: int) -> nn.Module:
        options = {"linear": lambda: nn.Linear(width, width), "skip": nn.Identity}
        return nn.Sequential(nas.one_of("op", options), nn.LayerNorm(width), nn.GELU())

    return nn.Sequential(
        nn.Linear(6, width), nas.repeat("depth", [1, 2], block), nn.Linear(width, 3)
    )


def paths(space: nas.Space) -> list[nas.Architecture]:
    """What each step trains: the same on all ranks, since their generators have one seed."""
    rng = random.Random(5)
    return [space.sample(rng) for _ in range(STEPS)]


def train(model: nn.Module, supernet: Supernet, rows: slice) -> list[dict[str, Tensor]]:
    """Some steps on these rows; the gradients of each."""
    optimizer = torch.optim.SGD(supernet.parameters(), 0.1, momentum=0.9, weight_decay=0.01)
    gradients = []
    for path in paths(supernet.space):
        loss = nn.functional.cross_entropy(model(INPUTS[rows], architecture=path), TARGETS[rows])
        loss.backward()
        gradients.append({k: t.grad.clone() for k, t in supernet.stored() if t.grad is not None})
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
    return gradients


def work(rank: int, port: int, folder: str) -> None:
    torch.set_num_threads(1)
    address = f"tcp://127.0.0.1:{port}"
    dist.init_process_group("gloo", init_method=address, rank=rank, world_size=2)
    supernet = Supernet(nas.Space(net), seed=rank)  # DDP makes them equal
    wrapped = nn.parallel.DistributedDataParallel(supernet, find_unused_parameters=True)
    gradients = train(wrapped, supernet, slice(4 * rank, 4 * rank + 4))
    weights = {key: tensor.detach() for key, tensor in supernet.stored()}
    torch.save((gradients, weights), f"{folder}/{rank}.pt")
    dist.destroy_process_group()


@pytest.mark.slow
def test_two_processes_train_as_one_with_the_whole_batch(tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    mp.spawn(work, (port, str(tmp_path)), nprocs=2)
    ranks = [torch.load(tmp_path / f"{rank}.pt") for rank in range(2)]
    alone = Supernet(nas.Space(net), seed=0)
    expected = train(alone, alone, slice(0, 8))
    for gradients, weights in ranks:
        for step, (mine, theirs) in enumerate(zip(expected, gradients, strict=True)):
            assert mine.keys() == theirs.keys(), step  # what is off the path has none
            for key in mine:
                torch.testing.assert_close(mine[key], theirs[key])
        for key, tensor in alone.stored():
            torch.testing.assert_close(weights[key], tensor.detach())
    unused = {key for key, _ in alone.stored()} - {key for g in expected for key in g}
    assert {key for key, _ in alone.stored()} - set(expected[0]) - unused


def test_mixed_precision_trains_as_the_extracted_model_does():
    supernet = Supernet(nas.Space(net))
    for path in paths(supernet.space):
        supernet.zero_grad()
        plain, lent = supernet.extract(path), supernet.subnet(path)
        named = dict(lent.named_parameters())
        for parameter in named.values():
            parameter.retain_grad()
        losses = []
        for model in (plain, lent):
            with torch.autocast("cpu", torch.bfloat16):
                out = model(INPUTS)
                losses.append(nn.functional.cross_entropy(out, TARGETS))
            losses[-1].backward()
        assert out.dtype == torch.bfloat16
        assert torch.equal(*losses)
        for name, parameter in plain.named_parameters():
            assert named[name].grad.dtype == torch.float32
            torch.testing.assert_close(named[name].grad, parameter.grad)
        assert all(t.grad is None or t.grad.dtype == torch.float32 for t in supernet.parameters())
    before = {key: tensor.detach().clone() for key, tensor in supernet.stored()}
    torch.optim.SGD(supernet.parameters(), 0.1).step()
    assert any(not torch.equal(before[key], tensor) for key, tensor in supernet.stored())
