"""A server that starts `edge-cnn train` in forks of itself, and kills them: importing TensorFlow is paid once.

Reads JSON lines {"words": [...], "kill": SECONDS or null} and answers {"status": ..., "checkpoint": SECONDS or null,
"seconds": ...}: exit status, negative for a signal; when the checkpoint was first seen; when it ended. `kill` counts
from when the checkpoint was first seen.
"""

import json
import os
import signal
import sys
import time
from pathlib import Path


def serve():
    os.environ |= {"TF_CPP_MIN_LOG_LEVEL": "3", "KERAS_BACKEND": "tensorflow"}
    import keras

    # Nothing may be computed before the fork: TensorFlow's threads would stay behind.
    import edge_cnn.cli.train_command  # noqa: F401  # so that every fork has it
    from edge_cnn.host.architectures import ARCHITECTURES
    from edge_cnn.host.architectures.architecture import LOGITS, SCORES, Architecture
    from edge_cnn.host.training import checkpointing, files, loop

    def build(image_shape, classes):
        layers = keras.layers
        image = features = keras.Input(image_shape, name="image")
        features = layers.Conv2D(4, 3, strides=2, name="conv")(features)
        features = layers.ReLU(name="relu")(layers.BatchNormalization(name="norm")(features))
        features = layers.Dropout(0.3, name="dropout")(layers.Flatten(name="flatten")(features))
        return keras.Model(image, layers.Softmax(name=SCORES)(layers.Dense(classes, name=LOGITS)(features)))

    ARCHITECTURES["small"] = Architecture("small", "one convolution", 8, build)
    files.training_report = lambda *_arguments, **_named: ""  # takes longer than all the rest
    checkpointing.SHARE, loop.SECONDS_A_CALL = 1.0, 0.01  # so that a kill meets many checkpoints, some half written
    for line in sys.stdin:
        asked = json.loads(line)
        sys.stdout.write(json.dumps(run(asked["words"], asked["kill"])) + "\n")
        sys.stdout.flush()


def run(words, kill):
    checkpoint = Path(words[words.index("--out") + 1]) / "checkpoint.npz"
    begun = time.monotonic()
    pid = os.fork()
    if pid == 0:
        from edge_cnn.cli.main import main

        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        os._exit(main(words))
    seen = None
    while True:
        ended, status = os.waitpid(pid, os.WNOHANG)
        now = time.monotonic() - begun
        if ended:
            return {"status": os.waitstatus_to_exitcode(status), "checkpoint": seen, "seconds": now}
        if seen is None and checkpoint.exists():
            seen = now
        if kill is not None and seen is not None and now >= seen + kill:
            os.kill(pid, signal.SIGKILL)
            kill = None
        time.sleep(0.002)


if __name__ == "__main__":
    serve()
