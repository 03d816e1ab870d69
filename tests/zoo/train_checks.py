"""A step of training for random architectures of a space."""

import random

import torch


def random_ones_train_a_step(space, shape, count=4, seed=0):
    """Logits of the right shape, and finite gradients for all that leads to them."""
    rng = random.Random(seed)
    for _ in range(count):
        model = space.build(space.sample(rng), seed=0).train()
        out = model(torch.randn(8, *shape[1:]))
        assert out.shape == (8, space.arguments["classes"])
        torch.nn.functional.cross_entropy(out, torch.arange(8) % out.shape[1]).backward()
        gradients = [p.grad for p in model.parameters() if p.grad is not None]
        assert gradients
        assert all(bool(g.isfinite().all()) for g in gradients)
        assert bool(model[-1].weight.grad.abs().sum() > 0)
