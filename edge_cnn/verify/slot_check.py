"""Whether a bundle is fit for a slot on this machine: its golden answers, and its accuracy on held-out samples."""

from __future__ import annotations

from pathlib import Path

from edge_cnn.core.errors import AccuracyDropError
from edge_cnn.core.labelled_images import LabelledImages
from edge_cnn.device.classifier import Classifier
from edge_cnn.device.opening import open_classifier
from edge_cnn.verify.replay import verify

BATCH = 32


def check_here(path: Path) -> None:
    """Replay the bundle's golden samples here, each artifact in the preferred runtime for its format.

    Raises:
        BundleError: damaged, or without golden samples.
        ToleranceError: an answer is out of the manifest's tolerance.
        RuntimeUnavailableError: no runtime here loads any of it.
    """
    verify(path, "local").check()


def check_holdout(path: Path, active: Path, samples: LabelledImages) -> tuple[float, float]:
    """Hold a new version against the active one on samples that neither was tuned with.

    Args:
        path, active: bundle files.
        samples: labelled; a class that the active version does not know counts against it.

    Returns the accuracies of the active and of the new version, shares in [0, 1].

    Raises:
        AccuracyDropError: the new one gets fewer right.
        DataError: images of the wrong shape.
    """
    before, after = (_accuracy(open_classifier(file), samples) for file in (active, path))
    if after < before:
        raise AccuracyDropError(
            f"the new version gets {after:.3f} of the held-out samples right, the active one {before:.3f}; nothing "
            "was switched, tune it with more samples or leave --data out"
        )
    return before, after


def _accuracy(classifier: Classifier, samples: LabelledImages) -> float:
    truth = [samples.class_names[int(label)] for label in samples.labels.tolist()]
    right = 0
    for start in range(0, len(samples), BATCH):
        answers = classifier.predict(samples.images[start : start + BATCH]).labels
        right += sum(a == b for a, b in zip(answers, truth[start : start + BATCH], strict=True))
    return right / len(samples)
