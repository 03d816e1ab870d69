"""Shared weights for a small GPT: embedding width, heads, MLP ratio and depth.

Queries, keys and values come out of one linear layer, as is usual. Given an example, the supernet
sees that its output is cut in three, and a narrower model takes its part of each.
"""

import gzip
import os
import pydoc
import random
from pathlib import Path

import torch
from torch import Tensor, nn

import archsmith as nas


class Attention(nn.Module):
    def __init__(self, width: int, heads: int):
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        n, length, width = x.shape
        shape = (n, length, self.heads, width // self.heads)
        q, k, v = (part.view(shape).transpose(1, 2) for part in self.qkv(x).split(width, dim=-1))
        mixed = nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.proj(mixed.transpose(1, 2).reshape(n, length, width))


class Block(nn.Module):
    def __init__(self, width: int):
        super().__init__()
        self.ln1, self.attention = (
            nn.LayerNorm(width),
            Attention(width, nas.choose("heads", [1, 2, 4])),
        )
        hidden = width * nas.choose("ratio", [2, 3, 4])
        self.ln2 = nn.LayerNorm(width)
        self.mlp = nn.Sequential(nn.Linear(width, hidden), nn.GELU(), nn.Linear(hidden, width))

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attention(self.ln1(x))
        return x + self.mlp(self.ln2(x))


class GPT(nn.Module):
    """Tokens int64 (n, length) to logits (n, length, vocabulary)."""

    def __init__(self, vocabulary: int, context: int):
        super().__init__()
        width = nas.choose("width", [16, 24, 32])
        self.tokens, self.places = nn.Embedding(vocabulary, width), nn.Embedding(context, width)
        self.blocks = nas.repeat("depth", [1, 2, 3], lambda _: Block(width))
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, vocabulary, bias=False)
        self.head.weight = self.tokens.weight
        nn.init.normal_(self.tokens.weight, std=0.02)

    def forward(self, tokens: Tensor) -> Tensor:
        x = self.tokens(tokens) + self.places.weight[: tokens.shape[1]]
        return self.head(self.norm(self.blocks(x)))


def text() -> str:
    """Shakespeare's, where it is at hand; else what Python says of its own strings and lists."""
    folder = os.environ.get("ARCHSMITH_DATA")
    path = Path(folder, "tinyshakespeare.txt.gz") if folder else None
    if path is not None and path.exists():
        return gzip.decompress(path.read_bytes()).decode()[:100_000]
    return "".join(pydoc.plain(pydoc.render_doc(kind)) for kind in (str, list, dict, int))


if __name__ == "__main__":
    story, context = text(), 32
    letters = sorted(set(story))
    numbers = torch.tensor([letters.index(letter) for letter in story])

    space = nas.Space(GPT, vocabulary=len(letters), context=context)
    net = nas.Supernet(space, example=numbers[None, :context])
    rng, losses = random.Random(0), []
    optimizer = torch.optim.AdamW(net.parameters(), 1e-2)
    for _ in range(80):
        starts = [rng.randrange(len(numbers) - context) for _ in range(32)]
        rows = torch.stack([numbers[start : start + context + 1] for start in starts])
        model = net.subnet(space.sample(rng))
        loss = nn.functional.cross_entropy(model(rows[:, :-1]).flatten(0, 1), rows[:, 1:].flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    first, last = sum(losses[:10]) / 10, sum(losses[-10:]) / 10
    print(f"{space.size().count} architectures; loss of the paths {first:.2f}, then {last:.2f}")
    assert last < 0.9 * first

    architecture = space.complete({"width": 16})
    plain, lent = net.extract(architecture).eval(), net.subnet(architecture).eval()
    assert torch.equal(plain(rows[:, :-1]), lent(rows[:, :-1]))
    whole = net.extract(space.complete({"width": 32})).blocks[0].attention.qkv.weight
    narrow = plain.blocks[0].attention.qkv.weight
    assert torch.equal(narrow[16:32], whole[32:48, :16])  # the keys are keys
    print("extracted: the same outputs; queries, keys and values kept apart")
