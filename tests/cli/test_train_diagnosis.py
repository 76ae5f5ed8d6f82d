"""The last words of a training."""

from edge_cnn.cli.train_diagnosis import last_words
from edge_cnn.host.diagnosis import Finding


def test_a_finding_is_the_last_word_and_what_is_over_is_named():
    finding = Finding("learned nothing", "the training loss is 1.5", "--freeze none")
    assert last_words((finding,), "crawling in epoch 3") == (
        "learned nothing: the training loss is 1.5; try --freeze none"
    )
    assert last_words((), "") == "diagnosis: nothing to worry about"
    assert last_words((), "crawling in epoch 3") == (
        "diagnosis: nothing to worry about at the end; crawling in epoch 3 is over"
    )
