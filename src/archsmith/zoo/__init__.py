"""Ready search spaces: plain builder functions."""

from __future__ import annotations

from .._support.registry import Registry

#: Builders by name. Plug-ins register in the entry-point group ``archsmith.spaces``.
spaces = Registry(
    "space",
    "archsmith.spaces",
    {
        "channel_bench": "archsmith.zoo.channel_bench:channel_bench",
        "classifier": "archsmith.zoo.classifier:classifier",
        "convnet": "archsmith.zoo.convnet:convnet",
        "convnext": "archsmith.zoo.convnext:convnext",
        "darts": "archsmith.zoo.darts:darts",
        "darts_rnn": "archsmith.zoo.rnn_trees:darts_rnn",
        "detector": "archsmith.zoo.detector:detector",
        "diffusion": "archsmith.zoo.diffusion:diffusion",
        "efficientnet": "archsmith.zoo.efficientnet:efficientnet",
        "embedder": "archsmith.zoo.embedder:embedder",
        "enas_micro": "archsmith.zoo.enas:enas_micro",
        "enas_rnn": "archsmith.zoo.rnn_trees:enas_rnn",
        "forecaster": "archsmith.zoo.series:forecaster",
        "ft_transformer": "archsmith.zoo.tabular:ft_transformer",
        "gpt": "archsmith.zoo.gpt:gpt",
        "hrnet": "archsmith.zoo.hrnet:hrnet",
        "hybrid": "archsmith.zoo.hybrid:hybrid",
        "inceptiontime": "archsmith.zoo.inceptiontime:inceptiontime",
        "language": "archsmith.zoo.language:language",
        "mlp": "archsmith.zoo.mlp:mlp",
        "mobilenet": "archsmith.zoo.mobilenet:mobilenet",
        "nasbench101": "archsmith.zoo.nasbench101:nasbench101",
        "nasbench201": "archsmith.zoo.nasbench201:nasbench201",
        "nasbench_graph": "archsmith.zoo.nasbench_graph:nasbench_graph",
        "nasbench_macro": "archsmith.zoo.nasbench_macro:nasbench_macro",
        "nasnet": "archsmith.zoo.nasnet:nasnet",
        "patch_transformer": "archsmith.zoo.patches:patch_transformer",
        "recurrent": "archsmith.zoo.recurrent:recurrent",
        "regnet": "archsmith.zoo.regnet:regnet",
        "resnet": "archsmith.zoo.resnet:resnet",
        "resnet1d": "archsmith.zoo.resnet1d:resnet1d",
        "rnn_cells": "archsmith.zoo.rnn_cells:rnn_cells",
        "segmenter": "archsmith.zoo.segmenter:segmenter",
        "seq2seq": "archsmith.zoo.seq2seq:seq2seq",
        "series": "archsmith.zoo.series:series",
        "table_resnet": "archsmith.zoo.tabular:table_resnet",
        "tabular": "archsmith.zoo.tabular:tabular",
        "tcn": "archsmith.zoo.tcn:tcn",
        "text": "archsmith.zoo.text:text",
        "text_cnn": "archsmith.zoo.text_cnn:text_cnn",
        "text_encoder": "archsmith.zoo.text_encoder:text_encoder",
        "text_rnn": "archsmith.zoo.text_rnn:text_rnn",
        "transnas_macro": "archsmith.zoo.transnas:transnas_macro",
        "transnas_micro": "archsmith.zoo.transnas:transnas_micro",
        "unet": "archsmith.zoo.unet:unet",
        "vae": "archsmith.zoo.vae:vae",
        "vit": "archsmith.zoo.vit:vit",
    },
)

__all__ = ["spaces"]
