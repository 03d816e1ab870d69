"""Training of two towers on pairs of images and texts: a plain loop (loads torch)."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import torch
from torch import Tensor
from torch.nn.parameter import is_lazy

from ..._support.errors import DataError
from ...data.batches import batches
from ...task.base import Recipe
from ...train import Diverged, norms_in, optimizer_of, schedule
from .towers import Texts, TwoTower, contrastive_loss


def train_pairs(
    model: TwoTower,
    images: Tensor,
    texts: Texts,
    recipe: Recipe | None = None,
    *,
    seed: int = 0,
    device: str = "cpu",
    on_epoch: Callable[[Mapping[str, float]], None] | None = None,
) -> list[dict[str, float]]:
    """Train both towers in place, so that images and texts of the same pair match.

    The same seed gives the same model on a CPU with the same number of threads; global random
    state is left unchanged. Images with equal texts are not distinguished (see
    :func:`~.towers.contrastive_loss`).

    Args:
        images: (n, ...), prepared for the image tower.
        texts: n texts, or a tensor with one row per text, as the text tower takes them.
        recipe: epochs, batch size, optimiser and rates; augmentation and label smoothing are not
            used.
        on_epoch: called with each entry of the curve; an exception from it ends the training.

    Returns:
        An entry per epoch: ``epoch``, ``loss`` (mean over its batches), ``temperature``, ``lr``.

    Raises:
        DataError: different numbers of images and texts, or texts that are all the same.
        Diverged: the loss became NaN or infinite.
    """
    recipe, on = recipe or Recipe(), torch.device(device)
    groups = _groups(images, texts)
    curve: list[dict[str, float]] = []
    with torch.random.fork_rng(devices=[on] if on.type == "cuda" else []):
        torch.manual_seed(seed)
        _complete(model.to(on), images, texts)
        optimizer = optimizer_of(model.named_parameters(), recipe, norms_in(model))
        order = torch.Generator().manual_seed(seed)
        steps = recipe.epochs * len(batches(torch.arange(len(images)), recipe.batch_size))
        step = 0
        model.train()
        for epoch in range(1, recipe.epochs + 1):
            drawn = batches(torch.randperm(len(images), generator=order), recipe.batch_size)
            total = 0.0
            for batch in drawn:
                rate = recipe.lr * schedule(step, steps, recipe.warmup)
                for group in optimizer.param_groups:
                    group["lr"] = rate
                step += 1
                same = (groups[batch][:, None] == groups[batch][None, :]).to(on)
                loss = contrastive_loss(
                    model.encode_images(images[batch].to(on)),
                    model.encode_texts(_select(texts, batch, on)),
                    model.scale,
                    same,
                )
                optimizer.zero_grad(set_to_none=True)
                loss.backward()  # type: ignore[no-untyped-call]
                if recipe.clip:
                    torch.nn.utils.clip_grad_norm_(model.parameters(), recipe.clip)
                optimizer.step()
                model.keep_scale()
                total += float(loss.detach())
                if not math.isfinite(total):
                    raise Diverged(f"training loss {total:g} in epoch {epoch}", epoch)
            row = {"epoch": epoch, "loss": total / len(drawn), "lr": rate}
            row["temperature"] = 1 / float(model.scale.detach())
            curve.append(row)
            if on_epoch is not None:
                on_epoch(row)
    model.eval()
    return curve


def _groups(images: Tensor, texts: Texts) -> Tensor:
    """A number for each text, (n,), the same for equal texts."""
    if len(images) != len(texts):
        raise DataError("pairs", "as many texts as images", f"{len(images)} and {len(texts)}")
    if isinstance(texts, Tensor):
        groups: Tensor = torch.unique(texts.detach().cpu(), dim=0, return_inverse=True)[1]
    else:
        places = {text: place for place, text in enumerate(dict.fromkeys(texts))}
        groups = torch.tensor([places[text] for text in texts])
    different = len(set(groups.tolist()))
    if different < 2:
        raise DataError("pairs", "two different texts or more", str(different))
    return groups


def _complete(model: TwoTower, images: Tensor, texts: Texts) -> None:
    """Create the maps whose width depends on the towers."""
    if any(is_lazy(parameter) for parameter in model.parameters()):
        first, place = torch.arange(2), model.log_scale.device
        with torch.no_grad():
            model.eval()(images[first].to(place), _select(texts, first, place))


def _select(texts: Texts, batch: Tensor, device: torch.device) -> Texts:
    if isinstance(texts, Tensor):
        return texts[batch].to(device)
    return [texts[int(i)] for i in batch]
