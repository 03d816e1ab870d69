"""GraSP: whether gradient flow would survive (Wang et al. 2020, Picking Winning Tickets Before
Training by Preserving Gradient Flow, arXiv:2002.07376)."""

from __future__ import annotations

import torch

from .._support.trees import call
from .base import Proxy
from .layers import weights_of
from .passes import Passes


class Grasp(Proxy):
    """Minus the sum of weight x (Hessian x gradient), as in Abdelfattah et al. 2021.

    This is the paper's sign: it prunes the weights with the highest scores. Summed over a model,
    larger values go with better accuracy. BatchNorm is kept, with the statistics of the batch. The
    model is differentiated twice.
    """

    name = "grasp"
    labelled = True
    smallest = 2

    def value(self, passes: Passes) -> float:
        model = passes.model
        weights = list(weights_of(model).values())
        cudnn = torch.backends.cudnn.flags(enabled=False)  # no second derivatives in cuDNN RNNs
        with passes.running(), cudnn:
            loss = passes.loss(call(model, passes.fed()))
            if not loss.requires_grad:
                return 0.0
            first = torch.autograd.grad(loss, weights, create_graph=True, allow_unused=True)
            flow = sum((g.detach() * g).sum() for g in first if g is not None)
            if not isinstance(flow, torch.Tensor) or not flow.requires_grad:
                return 0.0
            try:
                second = torch.autograd.grad(flow, weights, allow_unused=True)
            except (RuntimeError, NotImplementedError) as error:
                raise self.refuse(
                    "a model that can be differentiated twice", str(error).splitlines()[0]
                ) from error
        pairs = zip(weights, second, strict=True)
        return -sum((w.detach() * h).sum().item() for w, h in pairs if h is not None)
