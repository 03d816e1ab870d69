"""Proxies by name."""

from __future__ import annotations

from .._support.registry import Registry

#: Proxies by name. Plug-ins register in the entry-point group ``archsmith.proxies``.
proxies = Registry(
    "proxy",
    "archsmith.proxies",
    {
        "az-nas": "archsmith.proxy.vote:AZNAS",
        "epe-nas": "archsmith.proxy.jacobian:EPENAS",
        "expressivity": "archsmith.proxy.blocks:Expressivity",
        "fisher": "archsmith.proxy.gradients:Fisher",
        "flops": "archsmith.proxy.size:Flops",
        "grad_norm": "archsmith.proxy.gradients:GradNorm",
        "grasp": "archsmith.proxy.grasp:Grasp",
        "jacov": "archsmith.proxy.jacobian:JacobianCovariance",
        "l2_norm": "archsmith.proxy.size:L2Norm",
        "meco": "archsmith.proxy.meco:MeCo",
        "naswot": "archsmith.proxy.activations:NASWOT",
        "params": "archsmith.proxy.size:Params",
        "plain": "archsmith.proxy.gradients:Plain",
        "progressivity": "archsmith.proxy.blocks:Progressivity",
        "snip": "archsmith.proxy.gradients:Snip",
        "swap": "archsmith.proxy.activations:SWAP",
        "synflow": "archsmith.proxy.synflow:SynFlow",
        "trainability": "archsmith.proxy.blocks:Trainability",
        "vote": "archsmith.proxy.vote:Vote",
        "zen": "archsmith.proxy.zen:Zen",
        "zico": "archsmith.proxy.zico:ZiCo",
    },
)
