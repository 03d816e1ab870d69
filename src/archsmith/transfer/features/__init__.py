"""Deep features: what a layer of a model says of inputs, kept, probed, compared and drawn."""

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
