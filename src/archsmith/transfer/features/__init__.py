"""Deep features: the outputs of a model's layers, stored, probed, compared and plotted."""

from .alignment import Similarity, cka, similarity
from .extract import Features
from .files import SavedFeatures, load_features, save_features
from .layers import Layer
from .maps import FeatureMap, feature_map
from .probes import CentroidProbe, LinearProbe, NeighbourProbe, Probe, ProbeScore, probe

__all__ = [
    "CentroidProbe",
    "FeatureMap",
    "Features",
    "Layer",
    "LinearProbe",
    "NeighbourProbe",
    "Probe",
    "ProbeScore",
    "SavedFeatures",
    "Similarity",
    "cka",
    "feature_map",
    "load_features",
    "probe",
    "save_features",
    "similarity",
]
