import re
from types import SimpleNamespace

from edge_cnn.host.search.records import SearchResult, Trial
from edge_cnn.host.training import TrainConfig
from edge_cnn.host.training_report.trials import trials

TRIALS = (
    Trial(1, "complete", 0.4, 5, 1.0, {"optimizer": "adam", "weight decay": 1e-3, "batch size": 16}, 0.003),
    Trial(2, "pruned", 0.9, 2, 0.4, {"optimizer": "sgd", "weight decay": 1e-5, "batch size": 32}, 0.05),
    Trial(3, "diverged", None, 0, 0.1, {"optimizer": "sgd", "weight decay": 0.1, "batch size": 32}, 0.5),
    Trial(4, "complete", 0.2, 5, 1.0, {"optimizer": "adam", "weight decay": 1e-6, "batch size": 16}, 0.001),
    Trial(5, "complete", 0.3, 5, 1.0, {"optimizer": "adam", "batch size": 25}, 0.002, True),
)


def story(**changes):
    found = SearchResult(TRIALS, 4, TrainConfig(), {"weight decay": 0.75, "optimizer": 0.25, "batch size": 0.0}, {})
    return SimpleNamespace(**({"search": found} | changes))


def test_a_search_is_told_in_charts_and_words():
    section = trials(story())
    labels = re.findall(r'aria-label="(Validation [^"]+)"', section.pictures)
    names = ("weight decay", "optimizer", "batch size")  # by importance
    assert labels == ["Validation loss of each trial", *(f"Validation loss by {name}" for name in names)]
    assert "weight decay, 75% of the variance" in section.pictures
    assert "5 trials: 3 complete, 1 stopped as worse than the median at the same epoch, 1 diverged" in section.text
    assert "Trial 4, the best of 5, had optimizer adam, weight decay 1e-06, batch size 16" in section.text
    assert "a validation loss of 0.2; trial 5, the training without a search, came to 0.3" in section.text


def test_where_nothing_was_better_than_no_search_the_words_say_so():
    found = SearchResult(TRIALS, 5, TrainConfig(), {}, {})
    assert "a validation loss of 0.3; it is the training without a search." in trials(story(search=found)).text


def test_letters_are_at_least_eleven_pixels_high_where_charts_stand_side_by_side():
    pictures = trials(story()).pictures
    least = 16 * float(re.search(r"minmax\(min\(100%,([\d.]+)rem\)", pictures)[1])
    width = float(re.search(r'viewBox="0 0 ([\d.]+) ', pictures)[1])
    assert min(map(float, re.findall(r"font-size: ([\d.]+)px", pictures))) * least / width > 11


def test_without_a_search_there_is_no_section():
    assert trials(story(search=None)) is None
