import subprocess
import sys

import pytest

from edge_cnn.core.errors import UnavailableError
from edge_cnn.host.tensorflow_import import import_tensorflow

TRAIN_AND_SAVE = """
import sys, numpy as np
from edge_cnn.host.tensorflow_import import import_tensorflow
_, keras = import_tensorflow()
layers = keras.layers
model = keras.Sequential([keras.Input((8, 8, 1)), layers.Conv2D(2, 3), layers.Flatten(), layers.Dense(2)])
model.compile("sgd", "mse")
model.fit(np.zeros((4, 8, 8, 1)), np.zeros((4, 2)), verbose=0)
model.save(sys.argv[1])
"""


@pytest.mark.slow
def test_importing_training_and_saving_write_nothing(tmp_path):
    run = subprocess.run(
        [sys.executable, "-c", TRAIN_AND_SAVE, str(tmp_path / "m.keras")],
        capture_output=True,
        text=True,
        check=True,
        env={"PATH": "/usr/bin"},
    )
    assert run.stdout == ""
    assert run.stderr == ""
    assert (tmp_path / "m.keras").exists()


@pytest.mark.parametrize("missing", ["tensorflow", "keras"])
def test_a_missing_framework_is_told_with_the_command_that_installs_it(monkeypatch, missing):
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(UnavailableError, match=r"pip install 'edge-cnn\[host\]'") as caught:
        import_tensorflow()
    assert caught.value.exit_status == 3


def test_another_backend_of_keras_is_refused(monkeypatch):
    _, keras = import_tensorflow()
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    with pytest.raises(UnavailableError, match="unset KERAS_BACKEND"):
        import_tensorflow()
