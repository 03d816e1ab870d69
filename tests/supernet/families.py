"""Spaces that the promise is held on: the three families of the examples, and the zoo, small."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import archsmith as nas
from archsmith._support.trees import Spec, TensorSpec
from archsmith.zoo import spaces

EXAMPLES = Path(__file__).parents[2] / "examples"


def example(name: str) -> ModuleType:
    """An example script, imported; its models pickle by this name then."""
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
        assert spec is not None
        assert spec.loader is not None
        sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
    return sys.modules[name]


RESNET = nas.Space(example("resnet_supernet").ResNet, channels=2, classes=3)
MOBILENET = nas.Space(example("mobilenet_supernet").mobilenet, channels=2, classes=3)
GPT = nas.Space(example("gpt_supernet").GPT, vocabulary=11, context=8)

_IMAGES = {"channels": 2, "classes": 3, "height": 8, "width": 8}
_SERIES = {"channels": 2, "outputs": 3, "length": 24}
_TEXTS = {"vocabulary": 11, "classes": 3, "padding": 10, "embeddings": (8, 16)}
_ROWS = {"features": 6, "outputs": 2, "columns": (3, (-1.0, 0.0, 1.0), (0.0, 1.0), (0.0, 2.0))}
_CELLS = {"filters": 4, "cells": 1, "nodes": 2}
#: Arguments that make a zoo space small, the shape of an input, and its type; of several inputs
#: their specs.
ZOO: dict[str, tuple[dict[str, Any], Spec | tuple[int, ...], str]] = {
    "channel_bench": ({"channels": 2, "classes": 4, "width": 2}, (1, 2, 8, 8), "float32"),
    "classifier": ({**_IMAGES, "backbones": ("convnet",)}, (1, 2, 8, 8), "float32"),
    "convnet": ({"channels": 1, "classes": 4, "height": 8, "width": 8}, (1, 1, 8, 8), "float32"),
    "convnext": (
        {**_IMAGES, "depths": (1, 2), "widths": (4, 6)},
        (1, 2, 8, 8),
        "float32",
    ),
    "darts": ({**_IMAGES, **_CELLS}, (1, 2, 8, 8), "float32"),
    "detector": (
        {"channels": 2, "classes": 3, "height": 32, "width": 32, "backbones": ("convnet",)},
        (1, 2, 32, 32),
        "float32",
    ),
    "diffusion": (
        {**_IMAGES, "widths": (8, 16), "depths": (1, 2)},
        (TensorSpec((1, 2, 8, 8)), TensorSpec((1,)), TensorSpec((1,), "int64")),
        "",
    ),
    "efficientnet": (
        {**_IMAGES, "scale": 0.1, "depths": (0.25, 0.5), "widths": (0.5, 1.0), "phis": (-6, -4)},
        (1, 2, 8, 8),
        "float32",
    ),
    "text": ({**_TEXTS, "widths": (4, 8), "depths": (1, 2), "head_size": 4}, (1, 7), "int64"),
    "text_cnn": ({**_TEXTS, "widths": (4, 8)}, (1, 7), "int64"),
    "text_encoder": ({**_TEXTS, "depths": (1, 2), "head_size": 4}, (1, 7), "int64"),
    "text_rnn": ({**_TEXTS, "widths": (4, 8)}, (1, 7), "int64"),
    "ft_transformer": (_ROWS, (1, 6), "float32"),
    "table_resnet": (_ROWS, (1, 6), "float32"),
    "tabular": (_ROWS, (1, 6), "float32"),
    "embedder": ({"channels": 1, "height": 8, "width": 8}, (1, 1, 8, 8), "float32"),
    "enas_micro": ({**_IMAGES, **_CELLS}, (1, 2, 8, 8), "float32"),
    "forecaster": ({**_SERIES, "families": ("recurrent",)}, (1, 2, 24), "float32"),
    "gpt": (
        {"vocabulary": 11, "widths": (8, 16), "depths": (1, 2), "heads": (1, 2), "head_size": 8},
        (1, 7),
        "int64",
    ),
    "hrnet": (
        {"channels": 2, "classes": 3, "widths": (4, 8), "counts": (1,)},
        (1, 2, 32, 32),
        "float32",
    ),
    "hybrid": (
        {
            "channels": 2,
            "classes": 4,
            "height": 14,
            "width": 9,
            "stems": (4, 8),
            "widths": ((4, 8), (8,), (8, 16)),
            "depths": ((1,), (1, 2), (1, 2)),
            "head_size": 4,
        },
        (1, 2, 14, 9),
        "float32",
    ),
    "inceptiontime": ({**_SERIES, "filters": (2, 4), "depths": (3, 4)}, (1, 2, 24), "float32"),
    "mlp": ({"features": 13, "outputs": 3}, (1, 13), "float32"),
    "mobilenet": (
        {**_IMAGES, "scale": 0.125, "expansions": (0, 2), "deepest": 1},
        (1, 2, 8, 8),
        "float32",
    ),
    "nasbench101": (
        {"channels": 2, "classes": 4, "width": 4, "stacks": 2, "cells": 1},
        (1, 2, 8, 8),
        "float32",
    ),
    "nasbench201": (
        {"channels": 2, "classes": 4, "width": 4, "cells": 1},
        (1, 2, 8, 8),
        "float32",
    ),
    "nasbench_graph": ({"features": 5, "classes": 3, "width": 8}, (1, 6, 11), "float32"),
    "nasbench_macro": ({"channels": 2, "classes": 4, "width": 2}, (1, 2, 16, 16), "float32"),
    "nasnet": ({**_IMAGES, **_CELLS, "cells": 0}, (1, 2, 8, 8), "float32"),
    "patch_transformer": (
        {**_SERIES, "widths": (8, 16), "depths": (1, 2), "head_size": 8},
        (1, 2, 24),
        "float32",
    ),
    "recurrent": ({**_SERIES, "widths": (4, 6), "depths": (1, 2)}, (1, 2, 24), "float32"),
    "regnet": (
        {**_IMAGES, "depths": (2, 5), "initial": (8, 16), "slopes": (4.0, 8.0)},
        (1, 2, 8, 8),
        "float32",
    ),
    "resnet": ({**_IMAGES, "depths": (1, 2), "widths": (4, 8)}, (1, 2, 8, 8), "float32"),
    "language": (
        {"vocabulary": 11, "length": 8, "widths": (8, 16), "depths": (1, 2), "head_size": 4},
        (1, 7),
        "int64",
    ),
    "darts_rnn": ({"vocabulary": 11, "widths": (4, 8), "nodes": 3}, (1, 5), "int64"),
    "enas_rnn": ({"vocabulary": 11, "widths": (4, 8), "nodes": 3}, (1, 5), "int64"),
    "resnet1d": ({**_SERIES, "widths": (4, 8), "depths": (1, 2)}, (1, 2, 24), "float32"),
    "rnn_cells": (
        {"vocabulary": 11, "embedding": 4, "hidden": 4, "layers": 1},
        (1, 5),
        "int64",
    ),
    "segmenter": (
        {"channels": 2, "classes": 3, "height": 16, "width": 24, "backbones": ("convnet",)},
        (1, 2, 16, 24),
        "float32",
    ),
    "seq2seq": (
        {
            "vocabulary": 11,
            "padding": 10,
            "widths": (8, 16),
            "heads": (1, 2),
            "encoder_depths": (1, 2),
            "decoder_depths": (1, 2),
            "head_size": 8,
        },
        (TensorSpec((1, 7), "int64"), TensorSpec((1, 5), "int64")),
        "",
    ),
    "series": ({**_SERIES, "families": ("recurrent",)}, (1, 2, 24), "float32"),
    "tcn": ({**_SERIES, "widths": (4, 8), "depths": (2, 3)}, (1, 2, 24), "float32"),
    "transnas_macro": ({"channels": 2, "classes": 4, "width": 4}, (1, 2, 32, 32), "float32"),
    "transnas_micro": ({"channels": 2, "classes": 4, "width": 4}, (1, 2, 32, 32), "float32"),
    "unet": (
        {"channels": 2, "classes": 3, "height": 12, "width": 8, "widths": (4, 8), "depths": (1, 2)},
        (1, 2, 12, 8),
        "float32",
    ),
    "vae": (
        {**_IMAGES, "widths": (8, 16), "depths": (0, 1)},
        (TensorSpec((1, 2, 8, 8)), TensorSpec((1, 2, 8, 8)), TensorSpec((1,), "int64")),
        "",
    ),
    "vit": (
        {
            "channels": 2,
            "classes": 4,
            "height": 14,
            "width": 8,
            "widths": (8, 16),
            "depths": (1, 2),
            "heads": (1, 2),
            "ratios": (1.0, 2.5),
            "head_size": 8,
        },
        (1, 2, 14, 8),
        "float32",
    ),
}


def zoo(name: str) -> nas.Space:
    return nas.Space(spaces.get(name), **ZOO[name][0])
