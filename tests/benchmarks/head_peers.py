"""The sides that need no file of their own, and the table of all sides of the benchmark of head training."""

from __future__ import annotations

import numpy as np
from head_peer_tflite import convert, tflite_side
from head_peer_torch import torch_side
from head_shapes import Embeddings
from head_side import L2, Fit, Setting, Side

CORAL_BATCH, CORAL_RATE = 100, 0.01


def edge_cnn_side(embeddings: Embeddings, threads: int, setting: Setting) -> Fit:
    """From the codes, under the default memory budget: those that do not fit in it as floats are streamed."""
    from edge_cnn.core.quantization import QuantizationParams
    from edge_cnn.device.training.embedding_rows import open_rows
    from edge_cnn.device.training.head_training import TrainingConfig, train_head
    from edge_cnn.device.training.optimizers.optimizer import OptimizerSettings
    from edge_cnn.device.training.problem import HeadProblem
    from edge_cnn.device.training.standardization import fit_standardization

    del setting  # the steps are chosen by a line search
    standardization = fit_standardization(embeddings.codes)
    memory = OptimizerSettings().memory
    rows = open_rows(embeddings.codes, QuantizationParams((1.0,), (0,)), standardization, memory)
    zero = np.zeros((embeddings.classes, rows.width), np.float32)

    def fit(iterations: int) -> np.ndarray:
        problem = HeadProblem(rows, embeddings.labels, zero, L2, threads=threads)
        # A tolerance of nearly nothing: the iterations are given.
        config = TrainingConfig("quasi-newton", OptimizerSettings(iterations, tolerance=1e-9), patience=None)
        return train_head(problem, zero, config, np.random.default_rng(0)).parameters

    return fit


def logistic_regression(embeddings: Embeddings, threads: int, setting: Setting) -> Fit:
    """scikit-learn; the column of ones is its intercept, with the same L2 on it."""
    from sklearn.linear_model import LogisticRegression

    del threads, setting  # its products take what OPENBLAS_NUM_THREADS says
    z = embeddings.inputs()
    c = 1 / (L2 * len(z))

    def fit(iterations: int) -> np.ndarray:
        return (
            LogisticRegression(C=c, fit_intercept=False, tol=1e-12, max_iter=iterations).fit(z, embeddings.labels).coef_
        )

    return fit


def sgd_classifier(embeddings: Embeddings, threads: int, setting: Setting) -> Fit:
    """scikit-learn, one classifier a class."""
    from sklearn.linear_model import SGDClassifier

    del setting
    z = embeddings.inputs()

    def fit(iterations: int) -> np.ndarray:
        model = SGDClassifier(
            loss="log_loss",
            alpha=L2,
            fit_intercept=False,
            max_iter=iterations,
            tol=None,
            random_state=0,
            n_jobs=threads,
        )
        return model.fit(z, embeddings.labels).coef_

    return fit


def coral_recipe(embeddings: Embeddings, threads: int, setting: Setting) -> Fit:
    """Coral's SoftmaxRegression (pycoral, learn/backprop): random batches of 100, learning rate 0.01, no decay."""
    del threads, setting
    z = embeddings.inputs()
    targets = np.eye(embeddings.classes, dtype=np.float32)[embeddings.labels]

    def fit(iterations: int) -> np.ndarray:
        rng = np.random.default_rng(0)
        weights = (0.01 * rng.normal(size=(embeddings.classes, z.shape[1]))).astype(np.float32)
        for _ in range(iterations):
            chosen = rng.integers(0, len(z), CORAL_BATCH)
            batch = z[chosen]
            logits = batch @ weights.T
            logits -= logits.max(axis=1, keepdims=True)
            np.exp(logits, out=logits)
            logits /= logits.sum(axis=1, keepdims=True)
            logits -= targets[chosen]
            weights -= np.float32(CORAL_RATE) * (logits.T @ batch / CORAL_BATCH + L2 * weights)
        return weights

    return fit


EVERY = (*range(1, 31), 35, 40, 50, 60, 80, 100, 150, 200, 300)
STEPS = tuple(sorted({round(1.06**power) for power in range(110)}))
"""1 to 573; beyond 16 a step more is 6 % more, so little is lost by not trying every number."""

ADAM = tuple(Setting(batch, rate) for batch in (100, 256, 0) for rate in (0.01, 0.003, 0.03, 0.001))
"""The likely ones first: what takes longer than the best so far is not pursued."""

SIDES = {
    "edge_cnn": Side(edge_cnn_side, EVERY, for_loss=True),
    "LogisticRegression": Side(
        logistic_regression, EVERY, for_loss=True, imports=("sklearn",), install="pip install scikit-learn"
    ),
    "SGDClassifier": Side(
        sgd_classifier, (1, 2, 3, 5, 8, 12, 20), imports=("sklearn",), install="pip install scikit-learn"
    ),
    "Coral's recipe": Side(coral_recipe, (*range(5, 100, 5), *range(100, 501, 20))),
    "PyTorch": Side(torch_side, STEPS, settings=ADAM, imports=("torch",), install="pip install torch"),
    "TFLite": Side(
        tflite_side,
        STEPS,
        settings=ADAM,
        imports=("tensorflow", "ai_edge_litert.interpreter"),
        install="pip install tensorflow ai-edge-litert",
        convert=convert,
    ),
}
"""The project's own first; of the others, each that is installed is a peer."""
