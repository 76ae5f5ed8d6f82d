import numpy as np

from edge_cnn.host.insight.confused_pairs import confused_pairs

CONFUSION = np.array([[50, 0, 1], [0, 40, 2], [0, 5, 60]])


def test_both_ways_count_together_and_the_more_frequent_stands_first():
    pairs = confused_pairs(CONFUSION, ("cat", "four", "nine"), 5)
    assert [pair.in_words() for pair in pairs] == [
        "nine and four, 7 times (nine taken for four: 5, four for nine: 2)",
        "cat and nine, once (cat taken for nine: 1)",
    ]


def test_no_more_than_asked_for_and_none_without_a_mistake():
    assert len(confused_pairs(CONFUSION, "abc", 1)) == 1
    assert confused_pairs(np.diag([3, 4]), "ab", 3) == ()
