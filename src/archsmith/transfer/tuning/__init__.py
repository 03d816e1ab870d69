"""Fine-tuning: what is frozen, how fast the rest learns, and what is added."""

from __future__ import annotations

from .adapters import Adapted, add_adapters
from .blocks import Block, freeze, layers_in_order
from .head import as_backbone, make_head, new_head, with_head
from .lora import LowRank, add_lora, merge
from .norms import batchnorm, thawed
from .options import FineTuning
from .penalty import L2SP
from .rates import layerwise_rates
from .space import tuned
from .start import start_from
from .tune import Tuned, fine_tune

__all__ = [
    "L2SP",
    "Adapted",
    "Block",
    "FineTuning",
    "LowRank",
    "Tuned",
    "add_adapters",
    "add_lora",
    "as_backbone",
    "batchnorm",
    "fine_tune",
    "freeze",
    "layers_in_order",
    "layerwise_rates",
    "make_head",
    "merge",
    "new_head",
    "start_from",
    "thawed",
    "tuned",
    "with_head",
]
