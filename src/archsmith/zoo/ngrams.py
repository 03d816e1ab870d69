"""Short sequences of tokens as features of a text."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

#: Rows of the table for each length of n-grams. Two n-grams that share one add up.
BUCKETS = 2**15
#: Share of the n-grams of a training text that are left out.
DROPOUT = 0.5
#: Factor of the weights, by which their learning rate is that much larger: most n-grams are in few
#: texts, so that each weight has few steps. With 2.6 times as much, SGD with momentum diverged.
_SCALE = 2.0
_PRIME = 1_000_003


class NGrams(nn.Module):
    """Logits of a text as a sum over its n-grams, as in fastText (Joulin et al. 2017,
    arXiv:1607.01759): tokens int64 (n, length) to (n, classes).

    Each n-gram of 1 to ``longest`` tokens has a row of a table, which its hash selects. The sum is
    divided by the square root of the number of n-grams. Beside a network it is what a linear model
    is beside a deep one in Cheng et al. 2016 (arXiv:1606.07792): it learns at once which words and
    pairs of words matter.

    Args:
        longest: n-gram in tokens.
        buckets: rows for each length.
    """

    def __init__(self, classes: int, longest: int, buckets: int = BUCKETS) -> None:
        super().__init__()
        self.longest, self.buckets = longest, buckets
        self.table, self.dropout = nn.Embedding(longest * buckets, classes), nn.Dropout(DROPOUT)
        if not self.table.weight.is_meta:
            nn.init.zeros_(self.table.weight)

    def forward(self, tokens: Tensor, there: Tensor) -> Tensor:
        """Logits of tokens; ``there``, bool (n, length), is false at padding."""
        token, inside = tokens, there
        hashed = torch.zeros_like(tokens)
        total: Tensor | None = None
        for order in range(self.longest):
            if order:
                token, inside = _next(token), _next(inside)
            hashed = (hashed * _PRIME + token) % self.buckets
            rows = self.table(hashed + order * self.buckets)
            kept = self.dropout(inside.to(rows.dtype)[..., None])
            added = (rows * kept).sum(1)
            total = added if total is None else total + added
        assert total is not None
        count = self.longest * there.sum(1, keepdim=True).to(total.dtype)
        return total * (_SCALE * count.rsqrt())


def _next(values: Tensor) -> Tensor:
    """Each element's right neighbour; zero or false at the end."""
    # Padded before it is cut: an export allows texts of one token then, too.
    return F.pad(values, (0, 1))[:, 1:]
