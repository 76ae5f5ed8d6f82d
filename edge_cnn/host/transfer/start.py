"""From a trained network to the one that a training starts with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from edge_cnn.core.errors import InputError, ModelError
from edge_cnn.host.architectures.architecture import LOGITS, SCORES
from edge_cnn.host.tensorflow_import import import_tensorflow
from edge_cnn.host.training.origin import KEPT, NEW, Origin
from edge_cnn.host.transfer.embedding import find_embedding
from edge_cnn.host.transfer.freezing import Freeze, freeze_layers
from edge_cnn.host.transfer.pretrained import Pretrained


@dataclass(frozen=True)
class Start:
    """A trained network, made ready for other classes.

    Attributes:
        pretrained: the network.
        classes: names of those to learn.
        freeze: layers that stay as they are.
        new_head: whether the last layer starts at random even where its classes are those to learn.
    """

    pretrained: Pretrained
    classes: Sequence[str]
    freeze: Freeze
    new_head: bool = False

    @property
    def head(self) -> str:
        """`KEPT` where the network's last layer already tells the same classes in the same order, else `NEW`."""
        names = [layer.name for layer in self.pretrained.model.layers]
        same = self.pretrained.labels == tuple(self.classes) and names[-2:] == [LOGITS, SCORES]
        return KEPT if same and not self.new_head else NEW

    def make(self, seed: int) -> tuple[Any, Origin]:
        """A network of its own, `LOGITS` and `SCORES` last, and where it came from.

        Args:
            seed: of a new head's weights; sets the global random state of Python, NumPy and TensorFlow.

        Raises:
            ModelError: the network has no flat features, or cannot be copied.
            InputError: fewer than two classes, or more layers to freeze than there are.
        """
        _, keras = import_tensorflow()
        if len(self.classes) < 2:
            raise InputError(f"a classifier needs at least two classes, got {len(self.classes)}; add another class")
        keras.utils.set_random_seed(seed)
        model = keras.models.clone_model(self.pretrained.model)
        model.set_weights(self.pretrained.model.get_weights())
        if self.head == NEW:
            model = self._with_head(keras, model)
        frozen = freeze_layers(model, self.freeze)
        return model, Origin(self.pretrained.name, self.pretrained.sha256, self.head, frozen)

    def _with_head(self, keras: Any, model: Any) -> Any:
        embedding = find_embedding(model, self.pretrained.name)
        logits = keras.layers.Dense(len(self.classes), name=LOGITS)(embedding)
        try:
            # The tensor, not the list of one: Keras warns where a network is called otherwise than it was built.
            return keras.Model(model.inputs[0], keras.layers.Softmax(name=SCORES)(logits), name=_plain_name(model.name))
        except ValueError as error:
            # The only thing that Keras can have against it: two layers of one name.
            raise ModelError(
                f"{self.pretrained.name} cannot get a new head: {str(error)[:200]}; rename its layer"
            ) from error


def _plain_name(name: str) -> str:
    return "".join(letter if letter.isalnum() or letter == "_" else "_" for letter in name)
