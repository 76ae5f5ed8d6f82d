"""What fine-tuning brings on spoiled images: the table of docs/finetuning.md.

The MLPerf Tiny ResNet-8 (int8) is tuned with the first 2,000 CIFAR-10 training images under each corruption and tested
on the 10,000 test images under the same one. "after" is what the merged int8 file answers. scikit-learn's heads learn
from the same embeddings of the same 2,000 images and stay in float: LogisticRegression on standardized and on raw
features for fourteen strengths of L2, the best of each by 5-fold cross-validation, and the better of the two on the
test images.
"""

from __future__ import annotations

import argparse
import sys

import numpy as np
from corrupted_cifar import CORRUPTIONS, corrupt, load_images, open_resnet8

from edge_cnn.device.finetuning.embedding import Embedder
from edge_cnn.device.finetuning.finetuning import finetune
from edge_cnn.device.finetuning.result import FinetuneConfig

TRAINING, HOLDOUT = 2000, 0.05
MARGIN = 0.003
"""Share by which the int8 file may be behind the best float head."""


def best_of_scikit_learn(train: np.ndarray, labels: np.ndarray, test: np.ndarray, test_labels: np.ndarray) -> float:
    """Test accuracy of the best head on real embeddings."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GridSearchCV
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import FunctionTransformer, StandardScaler

    accuracies = []
    for features in (StandardScaler(), FunctionTransformer()):
        pipeline = make_pipeline(features, LogisticRegression(max_iter=3000))
        search = GridSearchCV(pipeline, {"logisticregression__C": 10.0 ** np.arange(-5.5, 1.5, 0.5)})
        accuracies.append(search.fit(train, labels).score(test, test_labels))
    return max(accuracies)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=0)
    seed = parser.parse_args().seed
    classifier = open_resnet8()
    embedder = Embedder(classifier)
    (images, labels), (test, test_labels) = load_images("train", TRAINING), load_images("test", 10_000)
    config = FinetuneConfig(holdout=HOLDOUT, seed=seed)
    rows = [["corruption", "before", "predicted", "after", "scikit-learn's best", "l2", "steps", ""]]
    for name in CORRUPTIONS:
        sys.stderr.write(f"tuning on {name}\n")
        spoiled, spoiled_test = corrupt(name, images, seed=0), corrupt(name, test, seed=1)
        before = np.mean(classifier.predict(spoiled_test).indices == test_labels)
        result = finetune(classifier, spoiled, labels, config=config)
        after = np.mean(result.classifier.predict(spoiled_test).indices == test_labels)
        train_z, test_z = (embedder.to_real(embedder.codes(part)) for part in (spoiled, spoiled_test))
        peer = best_of_scikit_learn(train_z, labels, test_z, test_labels)
        low, high = result.predicted.interval
        rows.append(
            [
                name,
                f"{100 * before:.2f} %",
                f"{100 * result.predicted.accuracy:.1f} ({100 * low:.1f} to {100 * high:.1f}) %",
                f"{100 * after:.2f} %",
                f"{100 * peer:.2f} %",
                f"{result.optimizer['l2']:g}",
                str(result.steps),
                "" if after >= peer - MARGIN else "behind",
            ]
        )
    for number, cells in enumerate(rows):
        sys.stdout.write("| " + " | ".join(cells) + " |\n" + ("|---" * len(cells) + "|\n" if number == 0 else ""))
    return 0


if __name__ == "__main__":
    sys.exit(main())
