"""Appearance of the people of one source: an embedding of each id."""

import numpy as np

from edge.types import F32, I32

KEPT = 0.9  # share of an embedding that a new one leaves, as in JDE, whose association AlphaPose follows


class Gallery:
    """One embedding an id, of length 1: the mean of all that were seen, recent ones counting most."""

    def __init__(self) -> None:
        self._embeddings: dict[int, F32] = {}

    def distances(self, embeddings: F32, ids: I32) -> F32:
        """Return the cosine distance of embeddings (N, D) from those of ids (T,), float32 (N, T); 1 without one."""
        known = np.zeros((len(ids), embeddings.shape[1]), np.float32)
        for row, track in enumerate(ids.tolist()):
            known[row] = self._embeddings.get(track, 0)
        cosine: F32 = _normalised(embeddings) @ known.T
        return 1 - cosine

    def remember(self, embeddings: F32, ids: I32) -> None:
        """Add embeddings (N, D) to those of ids (N,); -1 is no id, and an embedding of zeros is none."""
        fresh = _normalised(embeddings)
        for track, new in zip(ids.tolist(), fresh, strict=True):
            if track < 0 or not new.any():
                continue
            old = self._embeddings.get(track)
            both = new if old is None else KEPT * old + (1 - KEPT) * new
            self._embeddings[track] = _normalised(both[None])[0]

    def keep(self, ids: I32) -> None:
        """Forget all but these ids."""
        kept = set(ids.tolist())
        self._embeddings = {
            track: each for track, each in self._embeddings.items() if track in kept
        }


def _normalised(embeddings: F32) -> F32:
    lengths = np.linalg.norm(embeddings, axis=1, keepdims=True)
    scaled: F32 = np.where(lengths > 0, embeddings / np.where(lengths > 0, lengths, 1), 0)
    return scaled.astype(np.float32)
