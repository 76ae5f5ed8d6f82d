import numpy as np

from edge_cnn.core.labelled_images import LabelledImages
from edge_cnn.host.evaluation import confusion_counts, evaluate


def test_the_confusion_counts_are_those_of_scikit_learn():
    from sklearn.metrics import confusion_matrix

    rng = np.random.default_rng(0)
    labels, answers = rng.integers(0, 4, 200), rng.integers(0, 5, 200)
    counts = confusion_counts(labels, answers, 6)
    assert counts.dtype == np.int64
    assert np.array_equal(counts, confusion_matrix(labels, answers, labels=range(6)))


def test_an_evaluation_counts_its_answers_against_the_truth():
    samples = LabelledImages(np.zeros((3, 8, 8, 1), np.uint8), np.array([0, 1, 1]), ("a", "b"))
    evaluation = evaluate(np.array([[0.9, 0.1], [0.8, 0.2], [0.3, 0.7]]), samples)
    assert evaluation.confusion.tolist() == [[1, 0], [1, 1]]
    assert evaluation.accuracy == 2 / 3
    assert evaluation.worst_mistakes(5).tolist() == [1]
