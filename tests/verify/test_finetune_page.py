import base64
import io
import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest
from scipy import stats

from edge_cnn.core.artifact import Artifact
from edge_cnn.core.preprocessing import Preprocessing
from edge_cnn.core.tensor_spec import TensorSpec
from edge_cnn.device.classifier import Classifier
from edge_cnn.device.finetuning.result import Accuracies, FinetuneResult, HeldOutAnswers
from edge_cnn.device.head.softmax_head import SoftmaxHead
from edge_cnn.device.training.certificate import Certificate
from edge_cnn.device.training.head_training import Ended, EpochLoss
from edge_cnn.device.training.linear_probe import PredictedGain
from edge_cnn.verify.class_gains import class_gains
from edge_cnn.verify.paired_answers import PairedAnswers
from edge_cnn.verify.report.axis import Axis, tick_texts
from edge_cnn.verify.report.confusion import MOST_PAIRS, confused_pairs
from edge_cnn.verify.report.finetune_page import finetune_html
from edge_cnn.verify.report.flip_images import MAX_FLIPS

VOID = {"meta", "br", "img"}


class Page(HTMLParser):
    """Checks that tags close in order; collects tags, text, and rows of lists and tables as texts of their cells."""

    def __init__(self, html):
        super().__init__()
        self.open, self.tags, self.text, self.rows = [], [], "", []
        self.feed(html)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)
        if tag in ("tr", "li"):
            self.rows.append([])
        is_cell = tag in ("td", "th") or (tag == "span" and not {"td", "th"} & set(self.open))
        if is_cell and {"tr", "li"} & set(self.open):
            self.rows[-1].append("")

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if "style" in self.open:
            return
        self.text += data
        if self.rows and self.rows[-1] and {"tr", "li"} & set(self.open):
            self.rows[-1][-1] += data

    def all(self, tag, style=None):
        return [a for t, a in self.tags if t == tag and (style is None or style in a.get("class", "").split())]


def page_of(result, images=None, **options):
    return Page(finetune_html(result, "model.tflite", images, **options))


@pytest.fixture
def result_of(fakes):
    """A function from class names, labels and answers to a result."""

    def make(names, labels, before, after, *, passes=6, chosen=4, replay=(0.97, 0.95), held_rows=None):
        labels, before, after = (np.array(part) for part in (labels, before, after))
        was, now = float(np.mean(before == labels)), float(np.mean(after == labels))
        spec = TensorSpec("scores", (1, len(names)), "float32", None)
        runtime = replace(fakes.Runtime(None), outputs=(spec,), name="litert", version="2.3.0")
        classifier = Classifier(
            Artifact("model.tflite", "tflite", b"tuned"),
            runtime,
            tuple(names),
            Preprocessing(4, 4, 1),
            preprocessing_source="from the manifest",
            is_probability=True,
        )
        old = replay if replay else (None, None)
        rows = np.arange(len(labels)) * 3 if held_rows is None else np.array(held_rows)
        return FinetuneResult(
            classifier=classifier,
            before=Accuracies(was, old[0]),
            after=Accuracies(now, old[1]),
            held_out=HeldOutAnswers(rows, labels, before, after),
            float_head_accuracy=now,
            predicted=PredictedGain(0.5, 0.75, (0.7, 0.8), 321, 0.03),
            certificate=Certificate(0.00123, 0.456),
            head=SoftmaxHead(np.zeros((len(names), 3), np.float32), np.zeros(len(names), np.float32)),
            seed=77,
            order={"generator": "numpy PCG64", "holdout": rows.tolist(), "batch_size": 32, "epochs": passes},
            optimizer={"name": "quasi-newton", "passes": 100, "l2": 0.03, "patience": None},
            steps=passes,
            history=tuple(EpochLoss(i, 2.0 / i, 1.5 / i + 0.1, 0.5 + 0.05 * i) for i in range(1, passes + 1)),
            chosen_pass=chosen,
            ended=Ended.OPTIMUM if chosen == passes else Ended.PATIENCE,
            replay_held_out=40 if replay else 0,
            provenance={"base_sha256": "ba5e" * 16, "samples": 900, "samples_sha256": "5a" * 32, "holdout": 0.2},
            log={},
        )

    return make


@pytest.fixture
def animals(result_of):
    """60 samples of three classes: 8 lost, 25 won, one wrong in another way."""
    rng = np.random.default_rng(3)
    labels = np.repeat([0, 1, 2], 20)
    before, after = labels.copy(), labels.copy()
    before[rng.permutation(60)[:25]] += 1
    right = np.flatnonzero(before == labels)
    after[rng.permutation(right)[:8]] += 2
    wrong = np.flatnonzero(before != labels)[0]
    after[wrong] = labels[wrong] + 2
    return result_of(("cat", "dog", "<script>alert(1)</script>"), labels, before % 3, after % 3)


def images_of(rows):
    """uint8 (k, 4, 4, 1): the row's number in every pixel."""
    return np.broadcast_to(np.asarray(rows, np.uint8)[:, None, None, None], (len(rows), 4, 4, 1)).copy()


def test_the_page_is_well_formed_and_needs_nothing_from_elsewhere(animals):
    html = finetune_html(animals, "my <model>.edgecnn", images_of, data="a&b/", saved="out <1>.edgecnn")
    page = Page(html)
    assert not {"script", "link", "iframe", "object"} & {tag for tag, _ in page.tags}
    assert all(a["src"].startswith("data:image/png;base64,") for a in page.all("img"))
    assert not any("href" in a or "xlink:href" in a for _, a in page.tags)
    assert not re.search(r"url\(|@import|https?:", html)
    ids = [a["id"] for _, a in page.tags if "id" in a]
    assert len(ids) == len(set(ids))
    assert ("meta", {"name": "viewport", "content": "width=device-width, initial-scale=1"}) in page.tags
    assert not any(key.startswith("on") for _, attributes in page.tags for key in attributes)
    assert "my <model>.edgecnn" in page.text
    assert "saved as out <1>.edgecnn" in page.text


def test_names_of_classes_and_files_are_text_wherever_they_stand(animals):
    sources = [f"data/cat/<b>{i}.png" for i in range(900)]
    page = page_of(animals, images_of, name_of=sources.__getitem__)
    assert page.text.count("<script>alert(1)</script>") > 4
    assert re.search(r"<b>\d+\.png", page.text)
    titles = [a["title"] for _, a in page.tags if "title" in a]
    assert any("<script>alert(1)</script> taken for" in title for title in titles)


def test_the_verdict_has_the_figures_of_the_result(animals):
    held = animals.held_out
    page = page_of(animals, saved="tuned.tflite")
    hits = [int(np.sum(answers == held.labels)) for answers in (held.before, held.after)]
    for count in hits:
        low, high = stats.binomtest(count, 60).proportion_ci(0.95, method="wilson")
        assert f"{100 * count / 60:.1f}\u202f% ({100 * low:.1f} to {100 * high:.1f})" in page.text
    was, now = held.before == held.labels, held.after == held.labels
    lost, won = int(np.sum(was & ~now)), int(np.sum(now & ~was))
    p = stats.binomtest(lost, lost + won).pvalue
    assert f"{lost} right answers were lost and {won} won (McNemar's exact p = {p:.2g}" in page.text
    assert "Held-out accuracy rose from" in page.text
    assert "Old samples: 97.0\u202f% before, 95.0\u202f% after (40 held out)" in page.text


def test_a_fall_says_that_nothing_was_saved(result_of):
    page = page_of(result_of("ab", [0, 1, 0, 1], [0, 1, 0, 1], [1, 1, 0, 1]))
    assert "Held-out accuracy fell from 100.0" in page.text
    assert "the tuned file was not saved" in page.text
    assert "which may be chance" in page.text
    assert len(page.all("div", "fell")) == 1


def test_curves_pass_through_the_history_and_the_chosen_pass_is_marked(animals):
    page = page_of(animals)
    circles = [a for a in page.all("circle") if a["class"] in ("training", "heldout")]
    history = animals.history
    assert len(circles) == 3 * len(history)
    for at, values in enumerate(
        ([e.loss for e in history], [e.holdout_loss for e in history], [e.holdout_accuracy for e in history])
    ):
        drawn = circles[at * len(history) : (at + 1) * len(history)]
        xs, ys = (np.array([float(c[key]) for c in drawn]) for key in ("cx", "cy"))
        np.testing.assert_allclose(np.diff(xs), xs[1] - xs[0], atol=0.11)
        slope, start = np.polyfit(values, ys, 1)
        assert slope < 0
        np.testing.assert_allclose(start + slope * np.array(values), ys, atol=0.11)
        line = page.all("line", "chosen")[at // 2]
        assert float(line["x1"]) == xs[animals.chosen_pass - 1]
    assert page.text.count("pass 4, chosen") == 2
    assert ["4", "0.5000", "0.4750", "70.0\u202f%"] in page.rows
    assert "The held-out samples also chose the pass" in page.text
    assert "also chose the pass" not in page_of(replace(animals, chosen_pass=6)).text


def test_what_the_last_layer_can_reach_is_a_band_among_the_ticks(animals):
    page = page_of(animals)
    assert "what the last layer can reach: 75.0\u202f% (70.0 to 80.0)" in page.text
    (band,) = page.all("rect", "band")
    top, bottom = float(band["y"]), float(band["y"]) + float(band["height"])
    # Held-out accuracies go up by 5 points a pass: passes 4 and 6 lie on the band's ends.
    drawn = [a for a in page.all("circle") if a["class"] == "heldout"][len(animals.history) :]
    assert (float(drawn[5]["cy"]), float(drawn[3]["cy"])) == pytest.approx((top, bottom), abs=0.11)


def test_confusion_matrices_count_every_held_out_sample(animals):
    page = page_of(animals)
    held, names = animals.held_out, animals.classifier.labels
    assert len(page.all("table", "confusion")) == 2
    rows = [row for row in page.rows if row and row[0] in names and len(row) == 4]
    assert len(rows) == 6
    for answers, part in ((held.before, rows[:3]), (held.after, rows[3:])):
        expected = np.zeros((3, 3), int)
        np.add.at(expected, (held.labels, answers), 1)
        np.testing.assert_array_equal([[int(cell or 0) for cell in row[1:]] for row in part], expected)


def test_many_classes_have_a_list_of_confused_pairs_instead(result_of):
    rng = np.random.default_rng(0)
    names = [f"class {i}" for i in range(100)]
    labels, before, after = (rng.integers(0, 100, 500) for _ in range(3))
    before[:30], labels[:30] = 7, 3
    result = result_of(names, labels, before, np.where(rng.random(500) < 0.7, labels, after))
    page = page_of(result)
    assert not page.all("table", "confusion")
    assert len(page.all("table", "pairs")) == 1
    rows = [row for row in page.rows if row and " taken for " in row[0]]
    assert len(rows) == MOST_PAIRS
    assert rows[0][0] == "class 3 taken for class 7"
    at = (labels == 3) & (before == 7)
    assert rows[0][1] == f"{at.sum()}{np.sum((labels == 3) & (result.held_out.after == 7))}"
    pairs = {(a, b) for given in (before, result.held_out.after) for a, b in zip(labels, given, strict=True) if a != b}
    assert f"and {len(pairs) - MOST_PAIRS} more pairs of classes" in page.text
    assert len(page.all("li")) < 150


def test_confused_pairs_by_hand():
    pair = PairedAnswers((0, 0, 0, 1, 2), (1, 1, 0, 1, 0), (0, 1, 2, 1, 2))
    found = [(p.label, p.answer, p.before, p.after) for p in confused_pairs(pair)]
    assert found == [(0, 1, 2, 1), (0, 2, 0, 1), (2, 0, 1, 0)]


def test_changed_answers_show_their_images_lost_ones_first(animals):
    from PIL import Image

    asked = []

    def images(rows):
        asked.append(np.array(rows))
        return images_of(rows)

    page = page_of(animals, images)
    held = animals.held_out
    changed = int(np.sum(held.before != held.after))
    assert [len(rows) for rows in asked] == [MAX_FLIPS]
    assert f"and {changed - MAX_FLIPS} more" in page.text
    rows = [int(a["alt"].removeprefix("sample ")) for a in page.all("img")]
    assert rows == asked[0].tolist()
    places = [held.rows.tolist().index(row) for row in rows]
    lost = [held.before[i] == held.labels[i] != held.after[i] for i in places]
    assert lost == [True] * 8 + [False] * (MAX_FLIPS - 8)
    for attributes, row in zip(page.all("img"), rows, strict=True):
        shown = np.asarray(Image.open(io.BytesIO(base64.b64decode(attributes["src"].partition(",")[2]))))
        assert (shown == np.uint8(row)).all()


@pytest.mark.parametrize("images", [None, lambda rows: np.zeros((len(rows), 4, 4, 1), np.float32)])
def test_samples_that_are_no_images_are_told_by_number(animals, images):
    page = page_of(animals, images)
    assert not page.all("img")
    assert len(page.all("figcaption")) == MAX_FLIPS + 2
    assert re.search(r"sample \d+", page.text)


def test_class_gains_are_recalls_and_their_difference(animals):
    held = animals.held_out
    page = page_of(animals)
    rows = {row[0].split(" n = ")[0]: row for row in page.rows if row and " n = 20: " in row[0] + row[1]}
    assert len(rows) == 3
    for label, name in enumerate(animals.classifier.labels):
        of = held.labels == label
        was, now = (np.mean(answers[of] == label) for answers in (held.before, held.after))
        text = "".join(rows[next(key for key in rows if key.startswith(name))])
        assert f"n = 20: {was:.0%} → {now:.0%}" in text
        assert f"{100 * (now - was):+.1f} (" in text
        right = held.before[of] == label, held.after[of] == label
        lost, won = int(np.sum(right[0] & ~right[1])), int(np.sum(right[1] & ~right[0]))
        assert f"p = {stats.binomtest(lost, lost + won).pvalue:.2g}" in text


def test_class_gains_stand_with_the_largest_loss_first_and_count_every_sample():
    rng = np.random.default_rng(5)
    labels, before, after = (tuple(rng.integers(0, 7, 200).tolist()) for _ in range(3))
    gains = class_gains(PairedAnswers(labels, before, after))
    assert [g.difference for g in gains] == sorted(g.difference for g in gains)
    for gain in gains:
        members = [
            (b == label, a == label) for label, b, a in zip(labels, before, after, strict=True) if label == gain.label
        ]
        assert gain.samples == len(members)
        assert (gain.lost, gain.won) == (members.count((True, False)), members.count((False, True)))
        assert (gain.before, gain.after) == tuple(sum(side) for side in zip(*members, strict=True))
    assert class_gains(PairedAnswers((), (), ())) == ()


def test_whiskers_lie_where_the_figures_say(animals):
    page = page_of(animals)
    dots = [a for a in page.all("path", "dot") if not {"before", "after", "reach"} & set(a["class"].split())]
    wins = [g.difference for g in class_gains(PairedAnswers(*(tuple(p.tolist()) for p in _answers(animals))))]
    overall = animals.after.holdout_accuracy - animals.before.holdout_accuracy
    places = [float(a["d"][1:].split()[0]) for a in dots]
    slope, start = np.polyfit([overall, *wins], places, 1)
    np.testing.assert_allclose(start + slope * np.array([overall, *wins]), places, atol=0.11)
    assert slope > 0


def _answers(result):
    return result.held_out.labels, result.held_out.before, result.held_out.after


@pytest.mark.parametrize("after", [0, 1])
def test_one_held_out_sample_makes_a_page(result_of, after):
    page = page_of(result_of("ab", [1], [0], [after], passes=1, chosen=1), images_of)
    assert "on 1 new sample;" in page.text
    assert ("No held-out sample got another answer." in page.text) == (after == 0)
    assert "Without held-out samples: a." in page.text


def test_without_replay_nothing_is_said_of_old_samples(result_of):
    page = page_of(result_of("ab", [0, 1], [0, 0], [0, 1], replay=None))
    assert "Old samples" not in page.text
    assert "old, before" not in page.text
    assert "held-out new and old" not in page.text
    assert "old, before" in page_of(result_of("ab", [0, 1], [0, 0], [0, 1])).text


def test_the_settings_are_all_that_redoes_the_run(animals):
    text = page_of(animals, data="samples/").text
    artifact = animals.classifier.artifact
    for value in ("ba5e" * 16, artifact.sha256, "5a" * 32, "900 from samples/", "77 (numpy PCG64)", "quasi-newton"):
        assert value in text
    assert "l20.03" in text
    assert "runtimelitert 2.3.0" in text
    assert f"numpy{'.'.join(map(str, __import__('sys').version_info[:3]))}, {np.__version__}" in text


def test_the_certificate_is_told_in_words_and_a_useless_bound_as_one(animals):
    text = page_of(animals).text
    assert "loss_gap_bound is 0.00123 nats: the training loss" in text
    assert "max_logit_error is 0.456" in text
    assert "closer than 0.912" in text
    text = page_of(replace(animals, certificate=Certificate(37.0, 0.1))).text
    assert "loss_gap_bound is 37 nats, which says nothing of use here" in text


def test_a_history_with_gaps_and_of_one_value_is_drawn(animals):
    nan = float("nan")
    flat = tuple(EpochLoss(i, 0.0, nan, 1.0) for i in range(1, 4))
    page = page_of(replace(animals, history=flat, chosen_pass=0))
    assert "the start, chosen" in page.text
    drawn = [a for tag in ("circle", "text", "polyline") for a in page.all(tag)]
    assert not any("nan" in value for a in drawn for key, value in a.items() if key != "class")


def test_many_passes_are_a_line_without_dots(animals):
    long = tuple(EpochLoss(i, 1 / i, 1 / i, 0.9) for i in range(1, 1001))
    page = page_of(replace(animals, history=long, chosen_pass=1000))
    assert not [a for a in page.all("circle") if a["class"] in ("training", "heldout")]
    assert len(page.all("polyline")) == 3


@pytest.mark.parametrize(
    ("axis", "texts"),
    [
        (Axis(0, 1), ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]),
        (Axis(0.12, 0.46), ["0.2", "0.3", "0.4"]),
        (Axis(-3, 45), ["0", "10", "20", "30", "40"]),
        (Axis(0.9991, 0.9999), ["0.9992", "0.9994", "0.9996", "0.9998"]),
    ],
)
def test_ticks_are_round_numbers(axis, texts):
    assert tick_texts(axis.ticks()) == texts


def test_passes_have_whole_ticks():
    assert Axis(0, 3).ticks(8, least_step=1) == [0, 1, 2, 3]
    assert Axis(0, 1000).ticks(8, least_step=1) == [0, 200, 400, 600, 800, 1000]


def test_the_same_result_gives_the_same_bytes(animals):
    first, second = (finetune_html(animals, "m", images_of, saved="x") for _ in range(2))
    assert first == second
