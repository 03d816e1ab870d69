"""Graph convolutions on dense adjacency, in plain torch.

Each maps features (n, nodes, inside) and :class:`Edges` to (n, nodes, outside). Dense products cost
nodes^2, which is fine for graphs of up to a few thousand nodes.
"""

from __future__ import annotations

from functools import cached_property

import torch
from torch import Tensor, nn

_SLOPE = 0.2  # of the leaky ReLU in graph attention, as in the paper


class Edges:
    """The edges of a graph, and the normalised matrices that convolutions use.

    Args:
        adjacency: (n, nodes, nodes) or (nodes, nodes); an entry above 0 is an edge
            from the node of the column to the node of the row.
    """

    def __init__(self, adjacency: Tensor) -> None:
        self.there = adjacency > 0
        self._dtype = (
            adjacency.dtype if adjacency.is_floating_point() else torch.get_default_dtype()
        )

    @cached_property
    def sum(self) -> Tensor:
        """Sums over neighbours."""
        return self.there.to(self._dtype)

    @cached_property
    def mean(self) -> Tensor:
        """Averages over neighbours; zero if there are none."""
        return self.sum / self.sum.sum(-1, keepdim=True).clamp(min=1)

    @cached_property
    def symmetric(self) -> Tensor:
        """D^-1/2 A D^-1/2."""
        return _normalised(self.sum)

    @cached_property
    def looped(self) -> Tensor:
        """D^-1/2 (A + I) D^-1/2 with the degrees of A + I."""
        return _normalised(self.with_self.to(self._dtype))

    @cached_property
    def with_self(self) -> Tensor:
        """Edges including self-loops, as booleans."""
        own = torch.eye(self.there.shape[-1], dtype=torch.bool, device=self.there.device)
        return self.there | own


def _normalised(matrix: Tensor) -> Tensor:
    scale = matrix.sum(-1).clamp(min=1).rsqrt()
    return scale.unsqueeze(-1) * matrix * scale.unsqueeze(-2)


class Gcn(nn.Module):
    """Graph convolution (Kipf & Welling 2017, arXiv:1609.02907)."""

    def __init__(self, inside: int, outside: int) -> None:
        super().__init__()
        self.linear = nn.Linear(inside, outside)

    def forward(self, x: Tensor, edges: Edges) -> Tensor:
        mixed = edges.looped @ nn.functional.linear(x, self.linear.weight)
        out: Tensor = mixed + self.linear.bias
        return out


class Gat(nn.Module):
    """Graph attention (Veličković et al. 2018, arXiv:1710.10903), with concatenated heads."""

    def __init__(self, inside: int, outside: int, heads: int = 2) -> None:
        super().__init__()
        self.heads = heads
        self.linear = nn.Linear(inside, outside, bias=False)
        self.hears = nn.Parameter(torch.empty(heads, outside // heads))
        self.speaks = nn.Parameter(torch.empty(heads, outside // heads))
        self.bias = nn.Parameter(torch.zeros(outside))
        nn.init.xavier_uniform_(self.hears)
        nn.init.xavier_uniform_(self.speaks)

    def forward(self, x: Tensor, edges: Edges) -> Tensor:
        values = self.linear(x).unflatten(-1, (self.heads, -1))  # (n, nodes, heads, size)
        hears = (values * self.hears).sum(-1).transpose(1, 2).unsqueeze(-1)
        speaks = (values * self.speaks).sum(-1).transpose(1, 2).unsqueeze(-2)
        scores = nn.functional.leaky_relu(hears + speaks, _SLOPE)  # (n, heads, nodes, nodes)
        allowed = edges.with_self
        if allowed.ndim == 3:
            allowed = allowed.unsqueeze(1)
        weights = scores.masked_fill(~allowed, -torch.inf).softmax(-1)
        out: Tensor = (weights @ values.transpose(1, 2)).transpose(1, 2).flatten(2)
        return out + self.bias


class Sage(nn.Module):
    """GraphSAGE with the mean of neighbours (Hamilton et al. 2017, arXiv:1706.02216)."""

    def __init__(self, inside: int, outside: int) -> None:
        super().__init__()
        self.neighbours = nn.Linear(inside, outside)
        self.own = nn.Linear(inside, outside, bias=False)

    def forward(self, x: Tensor, edges: Edges) -> Tensor:
        out: Tensor = self.neighbours(edges.mean @ x) + self.own(x)
        return out


class Gin(nn.Module):
    """Graph isomorphism network with epsilon 0 and one layer (Xu et al. 2019, arXiv:1810.00826)."""

    def __init__(self, inside: int, outside: int) -> None:
        super().__init__()
        self.linear = nn.Linear(inside, outside)

    def forward(self, x: Tensor, edges: Edges) -> Tensor:
        out: Tensor = self.linear(x + edges.sum @ x)
        return out


class Cheb(nn.Module):
    """Chebyshev filter of size 2 (Defferrard et al. 2016, arXiv:1606.09375).

    The largest eigenvalue of the Laplacian is taken as 2, so the scaled one is -D^-1/2 A D^-1/2.
    """

    def __init__(self, inside: int, outside: int) -> None:
        super().__init__()
        self.own = nn.Linear(inside, outside)
        self.first = nn.Linear(inside, outside, bias=False)

    def forward(self, x: Tensor, edges: Edges) -> Tensor:
        out: Tensor = self.own(x) - self.first(edges.symmetric @ x)
        return out


class Arma(nn.Module):
    """ARMA filter of one stack and one step (Bianchi et al. 2021, arXiv:1901.01343)."""

    def __init__(self, inside: int, outside: int) -> None:
        super().__init__()
        self.step = nn.Linear(inside, outside, bias=False)
        self.root = nn.Linear(inside, outside)

    def forward(self, x: Tensor, edges: Edges) -> Tensor:
        return torch.relu(edges.symmetric @ self.step(x) + self.root(x))


class KGnn(nn.Module):
    """The first-order convolution of k-GNN (Morris et al. 2019, arXiv:1810.02244)."""

    def __init__(self, inside: int, outside: int) -> None:
        super().__init__()
        self.neighbours = nn.Linear(inside, outside)
        self.own = nn.Linear(inside, outside, bias=False)

    def forward(self, x: Tensor, edges: Edges) -> Tensor:
        out: Tensor = self.neighbours(edges.sum @ x) + self.own(x)
        return out


class Dense(nn.Module):
    """A linear layer that ignores the edges."""

    def __init__(self, inside: int, outside: int) -> None:
        super().__init__()
        self.linear = nn.Linear(inside, outside)

    def forward(self, x: Tensor, edges: Edges) -> Tensor:
        out: Tensor = self.linear(x)
        return out


class Skip(nn.Module):
    """The identity."""

    def forward(self, x: Tensor, edges: Edges) -> Tensor:
        return x
