"""How good is a GAN: measures of two sets of features, one real and one made.

All but the nets are functions of NumPy arrays: features (N, D) as any net gives them, logits (N, K), or classes (N,).
No one of them tells the whole: give several, with N, beside what real images reach against other real images.
"""

from minigan.metrics.classes import class_histogram, classifier_score, mode_coverage, stacked_modes
from minigan.metrics.frechet import GaussianStatistics, frechet_distance, gaussian_frechet_distance
from minigan.metrics.kernel import kernel_distance, polynomial_mmd
from minigan.metrics.neighbours import Neighbours, density_coverage, nearest, neighbours, precision_recall, two_sample
from minigan.metrics.prd import f_scores, prd, prd_curve
from minigan.metrics.report import MEASURES, Seen, measure

__all__ = [
    "GaussianStatistics", "MEASURES", "Neighbours", "Seen", "class_histogram", "classifier_score", "density_coverage",
    "f_scores", "frechet_distance", "gaussian_frechet_distance", "kernel_distance", "measure", "mode_coverage",
    "nearest", "neighbours", "polynomial_mmd", "prd", "prd_curve", "precision_recall", "stacked_modes", "two_sample",
]  # fmt: skip
