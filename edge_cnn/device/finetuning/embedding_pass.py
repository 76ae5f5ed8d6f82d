"""Every sample through the backbone once: images are read one batch ahead, and none is computed twice."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge_cnn.device.finetuning.embedding import Embedder
from edge_cnn.device.finetuning.embedding_store import EmbeddingStore, digest_of
from edge_cnn.device.sample_source import SampleSource


@dataclass(frozen=True)
class EmbeddedSamples:
    """The samples that could be read.

    Attributes:
        rows: int64 (n,), of the source.
        at: int64 (n,), rows of the store's table.
        digests: of the images, one a sample.
    """

    rows: NDArray[np.int64]
    at: NDArray[np.int64]
    digests: tuple[bytes, ...]


def embed(
    embedder: Embedder,
    source: SampleSource,
    store: EmbeddingStore,
    batch: int,
    on_batch: Callable[[int], None] = lambda _: None,
) -> EmbeddedSamples:
    """Embed what the store does not know yet.

    Args:
        embedder: the backbone.
        source: the samples.
        store: takes the embeddings.
        batch: images a call; the next batch is read meanwhile.
        on_batch: told how many samples are done.

    Raises:
        DataError: images of another shape or type than the model takes.
        InputError: the store cannot be written.
    """
    chunks = [np.arange(start, min(start + batch, len(source))) for start in range(0, len(source), batch)]
    rows: list[NDArray[np.int64]] = [np.empty(0, np.int64)]
    at: list[int] = []
    digests: list[bytes] = []
    with ThreadPoolExecutor(1) as reader:
        ahead = reader.submit(source.read, chunks[0]) if chunks else None
        for number, chunk in enumerate(chunks, 1):
            assert ahead is not None, "there is a chunk, so it was asked for"
            images, readable = ahead.result()
            ahead = reader.submit(source.read, chunks[number]) if number < len(chunks) else None
            found = [digest_of(image) for image in images]
            fresh: dict[bytes, int] = {}
            for k, digest in enumerate(found):
                if store.find(digest) is None:
                    fresh.setdefault(digest, k)  # Of equal images in one batch only the first is computed.
            if fresh:
                store.append(list(fresh), embedder.codes(images[list(fresh.values())]))
            for digest in found:
                place = store.find(digest)
                assert place is not None, "it has just been appended"
                at.append(place)
            digests += found
            rows.append(readable)
            on_batch(int(chunk[-1]) + 1)
    return EmbeddedSamples(np.concatenate(rows), np.array(at, np.int64), tuple(digests))
