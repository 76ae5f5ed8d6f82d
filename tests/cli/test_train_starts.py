import json
import signal
from types import SimpleNamespace

import numpy as np
import pytest

from edge_cnn.cli.main import main

CLASSES = ("upright", "lying")
QUICK = ("--epochs", "2", "--batch-size", "16", "--augment", "none")


def write_bars(path, names=CLASSES):
    """120 samples: an upright or a lying bar."""
    rng = np.random.default_rng(0)
    labels = np.arange(120) % 2
    images = rng.integers(0, 90, (120, 10, 10, 1))
    for image, label, place in zip(images, labels, rng.integers(2, 8, 120), strict=True):
        image[:, place] += 150 * (label == 0)
        image[place] += 150 * (label == 1)
    np.savez(path, x=images.astype(np.uint8), y=labels, labels=np.array(names))
    return path


@pytest.fixture(scope="module")
def npz(tmp_path_factory):
    return write_bars(tmp_path_factory.mktemp("data") / "bars.npz")


@pytest.fixture(scope="module")
def features_file(tmp_path_factory):
    """A network of somebody else: colour images of 12x12, seven classes, no training.json beside it."""
    import keras

    keras.utils.set_random_seed(0)
    layers = keras.layers
    image = keras.Input((12, 12, 3))
    features = layers.BatchNormalization(name="norm")(layers.Conv2D(8, 3, activation="relu", name="conv")(image))
    scores = layers.Dense(7, activation="softmax", name="old")(layers.Flatten()(features))
    path = tmp_path_factory.mktemp("models") / "other.keras"
    keras.Model(image, scores).save(path)
    return path


@pytest.fixture
def train(npz, tmp_path, capsys):
    """Runs the command; gives its document, what it said, and the folder."""

    def run(*words, data=npz, out="o"):
        out = tmp_path / out
        assert main(["train", "--data", str(data), "--out", str(out), *QUICK, *map(str, words), "--json"]) == 0
        captured = capsys.readouterr()
        return json.loads(captured.out), captured.err, out

    return run


@pytest.fixture
def refused(npz, tmp_path, capsys):
    """Runs the command, which must fail and write nothing; gives its last line."""

    def run(*words, status=2):
        assert main(["train", "--data", str(npz), "--out", str(tmp_path / "o"), *QUICK, *map(str, words)]) == status
        captured = capsys.readouterr()
        assert captured.out == ""
        assert not (tmp_path / "o").exists()
        return captured.err.splitlines()[-1]

    return run


def json_of(path):
    return json.loads(path.read_text(encoding="utf-8"))


def test_restarts_keep_the_best_and_tell_of_all(train, small_network):
    document, said, out = train("--arch", small_network, "--restarts", "3")
    losses = [row["val_loss"] for row in document["restarts"]]
    assert len(losses) == 3
    assert document["val_loss"] == min(losses)
    assert [row["kept"] for row in document["restarts"]] == [loss == min(losses) for loss in losses]
    assert "restart 3 of 3" in said
    record = json_of(out / "training.json")
    assert record["restarts"] == document["restarts"]
    assert record["barrier"] >= 0
    best = json_of(out / "history.json")[document["best_epoch"]]
    assert best["val_loss"] == min(losses)
    kept = document["restarts"][losses.index(min(losses))]["initial_seed"]
    assert record["config"]["initial_seed"] in (kept, None)
    page = (out / "report.html").read_text(encoding="utf-8")
    assert "What the start was worth" in page
    assert "Between the two best minima" in page


def test_ctrl_c_in_the_third_restart_keeps_the_best_of_the_first_two(train, small_network, monkeypatch):
    from edge_cnn.cli import train_live

    on_epoch, told = train_live.Live.on_epoch, []

    def press(self, record):
        on_epoch(self, record)
        told.append(record)
        if len(told) == 8:  # 0, 1, 2 of the first two, then 0 and 1
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(train_live.Live, "on_epoch", press)
    document, said, _ = train("--arch", small_network, "--restarts", "5")
    assert [row["ended"] for row in document["restarts"]] == ["finished", "finished", "interrupted"]
    assert document["val_loss"] == min(row["val_loss"] for row in document["restarts"][:2])
    assert document["interrupted"]
    assert "interrupted in restart 3 of 5; the best of those that ended is kept" in said


def test_restarts_that_never_began_are_counted():
    from edge_cnn.cli.train_restarts import restarts_table

    runs = [
        SimpleNamespace(initial_seed=seed, best_epoch=2, val_loss=0.5, val_accuracy=0.9, ended=ended)
        for seed, ended in enumerate(("finished", "interrupted"))
    ]
    several = SimpleNamespace(asked=5, runs=runs, kept=0, line=None, val_losses=lambda: np.array([0.5]))
    assert "\n3 of 5 never began\n" in restarts_table(several)
    several.asked = 2
    assert "never began" not in restarts_table(several)


def test_identical_weights_are_held_against_random_ones(train):
    _, said, out = train("--init", "identical", "--epochs", "3", data="spiral")
    units = json_of(out / "training.json")["units"]
    assert [(row["layer"], row["distinct"], row["units"]) for row in units[:2]] == [
        ("hidden1", 1, 32),
        ("hidden2", 1, 32),
    ]
    assert "from random weights" in said
    page = (out / "report.html").read_text(encoding="utf-8")
    assert "What identical initial weights come to" in page
    assert "hidden2 1 of 32" in page


def test_class_weights_by_name_are_recorded(train, small_network):
    _, _, out = train("--arch", small_network, "--class-weights", "lying=2.5")
    assert json_of(out / "training.json")["config"]["class_weights"] == {"lying": 2.5}


def test_a_class_weight_of_no_class_is_refused(refused, small_network):
    said = refused("--arch", small_network, "--class-weights", "cow=2")
    assert said == "error: class weights: no class is called 'cow'; the classes are upright, lying"


def test_a_network_of_somebody_else_gets_a_new_head(train, features_file):
    import hashlib

    import keras

    document, said, out = train("--from", features_file, "--input-range", "-1,1")
    assert "from other.keras, with a new last layer, 2 of 3 layers frozen" in said
    assert document["architecture"] == "from:other.keras"
    record = json_of(out / "training.json")
    assert record["config"]["origin"] == {
        "name": "other.keras",
        "sha256": hashlib.sha256(features_file.read_bytes()).hexdigest(),
        "head": "new",
        "frozen": ["conv", "norm"],
    }
    assert record["preprocessing"] == {"height": 12, "width": 12, "channels": 3, "mean": [127.5], "std": [127.5]}
    before, after = (keras.models.load_model(path, compile=False) for path in (features_file, out / "model.keras"))
    for name in ("conv", "norm"):
        pairs = zip(before.get_layer(name).get_weights(), after.get_layer(name).get_weights(), strict=True)
        assert all(np.array_equal(a, b) for a, b in pairs)
    assert after.output_shape == (None, 2)


def test_the_network_that_is_started_from_is_not_written_over(train, features_file, tmp_path, capsys):
    _, _, first = train("--from", features_file, "--input-range", "-1,1", out="first")
    before = {path: path.read_bytes() for path in first.iterdir()}
    (tmp_path / "link").symlink_to(first)
    for out in (first, tmp_path / "link"):
        assert main(["train", "--data", "digits", "--from", str(first / "model.keras"), "--out", str(out)]) == 2
        assert "would be written over by what is trained from it" in capsys.readouterr().err
    assert {path: path.read_bytes() for path in first.iterdir()} == before


def test_what_train_left_goes_on_with_its_preprocessing_and_its_head(train, features_file, tmp_path):
    _, _, first = train("--from", features_file, "--input-range", "-1,1", out="first")
    words = ("--from", first / "model.keras", "--freeze", "none", "--learning-rate", "1e-9")
    _, said, out = train(*words)
    assert "its last layer kept, as it has the same classes, 0 of 3 layers frozen" in said
    assert json_of(out / "training.json")["preprocessing"] == json_of(first / "training.json")["preprocessing"]
    # At such a rate nothing is learned, so nothing but what was there can be so good.
    losses = [json_of(folder / "history.json") for folder in (first, out)]
    best = json_of(first / "training.json")["best_epoch"]
    assert losses[1][0]["val_loss"] == pytest.approx(losses[0][best]["val_loss"], rel=1e-3)

    others = write_bars(tmp_path / "others.npz", ("a", "b"))
    assert "with a new last layer" in train("--from", first / "model.keras", data=others)[1]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--from", "{file}"], "there is no training.json beside"),
        (["--from", "{file}", "--arch", "lenet"], "--arch lenet and --from {file} are two networks; give one"),
        (["--from", "{file}", "--init", "zeros"], "--init zeros has no meaning with --from"),
        (["--from", "{file}", "--weights", "w.h5"], "--weights goes with --from keras:NAME"),
        (["--from", "{file}", "--image-size", "64x64"], "takes images of one size, to which others are brought; leave"),
        (["--from", "keras:MobileNetV2", "--input-range", "0,1"], "keras:MobileNetV2 has its own; leave --input-range"),
        (["--from", "keras:MobileNetV2", "--image-size", "64x64x1"], "takes RGB images; give --image-size 64x64"),
        (["--from", "keras:VGG16"], "unknown Keras application 'VGG16'"),
        (["--from", "keras:MobileNetV2", "--weights", "none.h5"], "no weights at none.h5"),
        (
            ["--from", "none.keras"],
            "no model at none.keras; give a .keras or .h5 file, which alone can be trained, or keras:",
        ),
        (["--from", __file__], "is not a model that --from reads; give a .keras or .h5 file, which alone can be"),
        (["--from", "."], ". is a folder without saved_model.pb; give a .keras or .h5 file, which alone can be"),
        (["--from", "{file}", "--input-range", "-1,1", "--freeze", "3"], "freeze 3: the network has 3 layers"),
        (["--from", "{file}", "--input-range", "-1,1", "--freeze", "most"], "freeze 'most': give all-but-head"),
        (["--freeze", "none"], "--freeze goes with --from; give that too"),
        (["--new-head"], "--new-head goes with --from; give that too"),
        (["--arch", "lenet", "--init", "identical", "--restarts", "2"], "would be the same training again"),
        (["--arch", "lenet", "--init", "ones"], "unknown initialization 'ones'"),
        (["--arch", "lenet", "--restarts", "0"], "restarts 0: there must be 1 to 1000"),
    ],
)
def test_starts_that_cannot_be_are_one_line(refused, features_file, words, said):
    line = refused(*(word.format(file=features_file) for word in words))
    assert said.format(file=features_file) in line


def test_text_that_is_called_keras_is_no_network(refused, tmp_path):
    (tmp_path / "text.keras").write_text("no network at all")
    assert "text.keras is not a whole .keras file" in refused("--from", tmp_path / "text.keras")


@pytest.mark.slow
def test_an_application_is_trained_exported_as_int8_and_tuned(train, tmp_path, capsys):
    import keras

    # One picture in many brightnesses: of noise, a deep network with random weights makes nothing but more noise.
    labels = np.arange(120) % 2
    brightness = np.random.default_rng(0).integers(0, 40, 120) + 160 * labels
    pixels = brightness[:, None, None, None] + np.tile(np.arange(32)[:, None], (32, 1, 3))
    data = tmp_path / "data.npz"
    np.savez(data, x=pixels.astype(np.uint8), y=labels)

    keras.utils.set_random_seed(0)
    application = keras.applications.MobileNetV2(
        (32, 32, 3), alpha=0.35, include_top=False, weights=None, pooling="avg"
    )
    # Statistics that fit the random weights, as a trained network has them: its momentum takes thousands of steps.
    for layer in application.layers:
        layer.momentum = 0.0
    application(pixels.astype(np.float32) / 127.5 - 1, training=True)
    application.save_weights(tmp_path / "w.weights.h5")
    words = ("--from", "keras:MobileNetV2-0.35", "--image-size", "32x32", "--weights", tmp_path / "w.weights.h5")
    document, _, out = train(*words, "--epochs", "20", data=data)
    assert document["test_accuracy"] > 0.7  # above chance, which is all that random features promise
    assert document["architecture"] == "keras:MobileNetV2-0.35"
    bundle, tuned = tmp_path / "m.edgecnn", tmp_path / "tuned.edgecnn"
    export = ["--target", "rpi5", "--scheme", "int8", "--calibration", str(data), "--golden", "4", "--max-drop", "1"]
    assert main(["export", str(out / "model.keras"), *export, "--out", str(bundle), "--json"]) == 0
    exported = json.loads(capsys.readouterr().out)
    assert exported["host_accuracy"] == json_of(out / "training.json")["test_accuracy"]
    assert main(["finetune", str(bundle), "--data", str(data), "--out", str(tuned), "--json"]) == 0
    assert tuned.is_file()
