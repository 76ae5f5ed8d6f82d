"""The budget of memory holds where it is hardest: 5,000 embeddings of 1,280 features, 100 classes."""

import json
import os
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest

from edge_cnn.core.errors import InputError
from edge_cnn.core.tensor_spec import TensorSpec
from edge_cnn.device.finetuning.memory_budget import batch_size, training_memory, training_threads
from edge_cnn.device.finetuning.result import FinetuneConfig

DRIVER = Path(__file__).with_name("memory_driver.py")
FEATURES, CLASSES, SAMPLES, SIDE = 1280, 100, 5000, 16


@pytest.fixture(scope="module")
def wide(tmp_path_factory):
    """An int8 classifier with random weights, and a folder of noisy images that it can learn to tell apart."""
    keras = pytest.importorskip("keras")
    tf = pytest.importorskip("tensorflow")
    image_module = pytest.importorskip("PIL.Image")
    folder = tmp_path_factory.mktemp("wide")
    keras.utils.set_random_seed(0)
    layers = keras.layers
    image = layers.Input((SIDE, SIDE, 3))
    features = layers.Conv2D(FEATURES, 5, strides=4, activation="relu")(image)
    features = layers.GlobalAveragePooling2D()(features)
    scores = layers.Softmax()(layers.Dense(CLASSES, bias_initializer="normal")(features))
    converter = tf.lite.TFLiteConverter.from_keras_model(keras.Model(image, scores))
    calibration = np.random.default_rng(0).random((20, 1, SIDE, SIDE, 3), np.float32)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: ([sample] for sample in calibration)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = converter.inference_output_type = tf.int8
    with warnings.catch_warnings():
        # The converter tells that it takes the quantization from the samples, and that it will move elsewhere.
        warnings.simplefilter("ignore")
        (folder / "wide.tflite").write_bytes(converter.convert())
    rng = np.random.default_rng(1)
    means = rng.integers(0, 256, (CLASSES, SIDE, SIDE, 3))
    for number in range(SAMPLES):
        label = number % CLASSES
        place = folder / "data" / str(label)
        place.mkdir(parents=True, exist_ok=True)
        pixels = np.clip(means[label] + rng.normal(0, 90, (SIDE, SIDE, 3)), 0, 255).astype(np.uint8)
        image_module.fromarray(pixels).save(place / f"{number}.png")
    return folder


@pytest.mark.slow  # 5,000 images through a network, several times
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc: run it on Linux")
@pytest.mark.parametrize(("budget", "threads"), [(16, 2), (32, 2), (64, 1)])
def test_the_peak_above_the_runtimes_stays_within_the_budget(wide, budget, threads):
    command = [sys.executable, str(DRIVER), str(wide / "wide.tflite"), str(wide / "data"), str(wide / "out.tuning")]
    environment = os.environ | {"OPENBLAS_NUM_THREADS": "1"}
    child = subprocess.run(
        [*command, str(budget), str(threads)], capture_output=True, text=True, env=environment, check=False
    )
    assert child.returncode == 0, child.stderr
    told = json.loads(child.stdout)
    assert told["samples"] == SAMPLES
    assert told["accuracy"] > 0.9
    assert told["peak_mb"] <= budget, told


def test_too_little_memory_is_refused_with_the_least():
    with pytest.raises(InputError, match=r"at least 16 MB of memory, got 4; allow more"):
        FinetuneConfig(memory=2**22)


def test_large_images_are_read_in_small_batches_and_small_ones_in_large():
    small, large = (TensorSpec("image", (1, side, side, 3), "float32") for side in (32, 1024))
    assert batch_size(small, 2**24) > 32
    assert batch_size(large, 2**24) == 1
    assert batch_size(large, 2**30) > batch_size(large, 2**28) > 1


def test_threads_are_fewer_where_their_blocks_would_not_fit_and_what_training_remembers_is_the_same():
    assert [training_threads(mb * 2**20, 8) for mb in (16, 28, 40, 200)] == [1, 2, 3, 8]
    assert training_threads(2**30, 2) == 2
    assert training_memory(2**26) > training_memory(2**25) > training_memory(2**24) > 0
