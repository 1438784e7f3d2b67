"""Heatmaps and tags decoded to any number of people by associative embedding (arXiv:1611.05424).

`ae_group` finds candidates and groups them; this module separates the maps, refines, and converts bins to pixels.
"""

from collections.abc import Sequence

import numpy as np

from edge.codecs.ae_group import TAG_STEP, People, find_candidates, group_candidates
from edge.codecs.heatmap import refine_peaks
from edge.types import F32, Keypoints
from runtimes.base import Array
from runtimes.codec_spec import AssociativeEmbeddingCodec
from runtimes.errors import InputError
from runtimes.spec import ModelSpec

# Of the codec's `refine`, what it does beyond that of heatmaps: half a bin for labels that were rounded down.
CENTRES = {"shift-centre": ("shift", 0.5)}


def decode(
    tensors: Sequence[Array], codec: AssociativeEmbeddingCodec, spec: ModelSpec
) -> list[Keypoints]:
    """Return the people of each input, in the order in which they were started; N may be 0.

    tensors: heatmaps (B, K, h, w) and tags (B, T, h, w), or one tensor that holds both, heatmaps first.
    A keypoint that was not found has xy 0 and score 0. Raises InputError where channels and keypoints do not agree.
    """
    joined = np.concatenate(tensors, axis=1) if len(tensors) > 1 else tensors[0]
    points = len(spec.keypoints.names) if spec.keypoints else 0
    if not points or joined.shape[1] <= points:
        raise InputError(
            f"{spec.model}: {points} keypoints and their tags need more than {points} channels, got {joined.shape[1]}; "
            "correct keypoints in artifact.json"
        )
    return [
        decode_one(maps[:points], _tags_by_keypoint(maps[points:], points), codec, spec.image.wh)
        for maps in joined
    ]


def decode_one(
    heatmaps: F32, tags: F32, codec: AssociativeEmbeddingCodec, input_wh: tuple[int, int]
) -> Keypoints:
    """Return the people of one input, in its pixels; heatmaps (K, h, w), tags (K, L, h, w)."""
    people = group_candidates(find_candidates(heatmaps, tags, codec), codec)
    if codec.missing == "fill":
        people = _fill(people, heatmaps, tags)
    _, height, width = heatmaps.shape
    kind, centre = CENTRES.get(codec.refine, (codec.refine, 0.0))
    xy = people.bins.astype(np.float32)
    found = people.scores > 0
    for point, maps in enumerate(heatmaps):
        rows = np.flatnonzero(found[:, point])
        if len(rows):
            own = np.broadcast_to(maps, (len(rows), height, width))
            xy[rows, point] = refine_peaks(kind, xy[rows, point], own, codec.blur_kernel)
    udp = int(codec.refine == "udp")
    xy = (xy + centre) * (
        (np.array(input_wh, np.float32) - udp) / (np.array((width, height)) - udp)
    )
    return Keypoints(np.where(found[..., None], xy, 0).astype(np.float32), people.scores)


def _tags_by_keypoint(tags: F32, points: int) -> F32:
    """(T, h, w) -> (K, L, h, w): channel l * K + k is keypoint k's; T no multiple of K is shared by all keypoints."""
    channels, height, width = tags.shape
    if channels % points:
        return np.broadcast_to(tags, (points, channels, height, width))
    by_keypoint: F32 = tags.reshape(-1, points, height, width).swapaxes(0, 1)
    return by_keypoint


def _fill(people: People, heatmaps: F32, tags: F32) -> People:
    """Give each missing keypoint the bin whose tag rounds to the person's and whose heatmap is highest.

    As in mmpose, but on heatmaps before suppression, as HigherHRNet's authors do. Bins that are not positive are none.
    """
    bins, scores = people.bins.copy(), people.scores.copy()
    width = heatmaps.shape[2]
    for person, point in np.argwhere(people.scores == 0):
        away = np.linalg.norm(tags[point] - people.tags[person][:, None, None], axis=0)
        best = int((np.round(away) * TAG_STEP - heatmaps[point]).argmin())
        y, x = divmod(best, width)
        if heatmaps[point, y, x] > 0:
            bins[person, point], scores[person, point] = (x, y), heatmaps[point, y, x]
    return People(bins, scores, people.tags)
