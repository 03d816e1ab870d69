"""What the tests of image classification spaces share."""

import random

import torch
from sklearn.datasets import load_digits
from torch import nn

from archsmith.space import Space
from archsmith.zoo.named import architectures


def size(model):
    return sum(p.numel() for p in model.parameters())


def is_published(name, parameters):
    """The named architecture has this number of parameters, and runs."""
    named = architectures.get(name)
    space, architecture = named.within()
    model = space.build(architecture, device="meta").eval()
    assert size(model) == named.parameters == parameters
    images = torch.zeros(2, 3, named.side, named.side, device="meta")
    assert model(images).shape == (2, named.classes)


def runs(space, shape, count=2):
    """The default and random architectures give logits for images of this shape."""
    rng = random.Random(0)
    for architecture in [space.default(), *(space.sample(rng) for _ in range(count))]:
        model = space.build(architecture, device="meta").eval()
        logits = model(torch.zeros(2, *shape, device="meta"))
        assert logits.shape == (2, space.arguments["classes"])


def digits_are_learnt(builder, steps=20, **arguments):
    """The default network learns a batch of 8x8 digits."""
    digits = load_digits()
    images = torch.tensor(digits.images[:64, None], dtype=torch.float32) / 16
    targets = torch.tensor(digits.target[:64])
    space = Space(builder, channels=1, classes=10, height=8, width=8, **arguments)
    model = space.build(space.default(), seed=0)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    losses = []
    for _ in range(steps):
        loss = nn.functional.cross_entropy(model(images), targets)
        losses.append(loss.item())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert losses[-1] < 0.5 * losses[0]
