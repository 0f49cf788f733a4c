"""Sharpness-aware and trust-region fine-tuning as gradient estimators for any PyTorch optimizer."""

from tram.divergences import L2, MMD, ForwardKL, Renyi, ReverseKL, SymmetricKL, distance
from tram.estimator import TRAM
from tram.geometry import Adaptive, Euclidean, Fisher, Released
from tram.kept_logits import KeptLogits
from tram.methods import METHODS, Ascent, Method, Passes, TrustRegion
from tram.optimizer import TRAMOptimizer
from tram.references import NoisyInput, PastWeights
from tram.trainer import TRAMTrainerMixin

__all__ = [
    "L2",
    "METHODS",
    "MMD",
    "TRAM",
    "Adaptive",
    "Ascent",
    "Euclidean",
    "Fisher",
    "ForwardKL",
    "KeptLogits",
    "Method",
    "NoisyInput",
    "Passes",
    "PastWeights",
    "Released",
    "Renyi",
    "ReverseKL",
    "SymmetricKL",
    "TRAMOptimizer",
    "TRAMTrainerMixin",
    "TrustRegion",
    "distance",
]
