"""How far a head's own confidence is to be believed on new data (temperature scaling: Guo et al. 2017)."""

from __future__ import annotations

import numpy as np

from edge_cnn.device.training.optimizers.line_search import least_along
from edge_cnn.device.training.problem import HeadProblem, Parameters


def trusted_share(problem: HeadProblem, head: Parameters) -> float:
    """The factor in [0, 1] by which the logits of `head` are multiplied for the least cross-entropy on the problem.

    A head that meets a shifted domain is as sure as ever and wrong: pulling towards it at full size would keep that.
    0 says that it knows nothing about these samples.
    """
    logits = problem.logits(head)
    nothing = np.zeros_like(logits)
    return min(least_along(problem.cross_entropy, nothing, logits), 1.0)
