"""Few-shot learners by name."""

from __future__ import annotations

from ..._support.registry import Registry

#: Learners by name. Plug-ins register in the entry-point group ``archsmith.learners``.
learners = Registry(
    "few-shot learner",
    "archsmith.learners",
    {
        "anil": "archsmith.transfer.fewshot.maml:ANIL",
        "baseline++": "archsmith.transfer.fewshot.heads:BaselinePlusPlus",
        "fine-tuning": "archsmith.transfer.fewshot.heads:FineTuning",
        "fomaml": "archsmith.transfer.fewshot.maml:FirstOrderMAML",
        "label-propagation": "archsmith.transfer.fewshot.propagation:LabelPropagation",
        "mahalanobis": "archsmith.transfer.fewshot.mahalanobis:Mahalanobis",
        "maml": "archsmith.transfer.fewshot.maml:MAML",
        "matching": "archsmith.transfer.fewshot.neighbours:Matching",
        "nearest-neighbour": "archsmith.transfer.fewshot.neighbours:NearestNeighbour",
        "prototypical": "archsmith.transfer.fewshot.centroids:Prototypical",
        "relation": "archsmith.transfer.fewshot.pairs:Relation",
        "ridge": "archsmith.transfer.fewshot.heads:Ridge",
        "siamese": "archsmith.transfer.fewshot.pairs:Siamese",
        "simpleshot": "archsmith.transfer.fewshot.centroids:SimpleShot",
    },
)
