"""Embeddings of people's appearance, weighted by their poses (AlphaPose, section 4.1)."""

import numpy as np

from edge.geometry import Crop, solid_boxes
from edge.image import crop_batch
from edge.model import Model
from edge.pipeline.options import TrackOptions
from edge.pipeline.tracking.affinity import visible
from edge.schema import KeypointSchema
from edge.types import F32, U8, DenseMap, Mask, Poses

ON_LIMB = (0.0, 0.25, 0.5, 0.75, 1.0)  # places on a limb that get attention
REACH = 0.07  # standard deviation of the attention around them, as a share of the crop's height


def appearance(model: Model, image: U8, poses: Poses, options: TrackOptions) -> F32:
    """Return the embedding of each person, float32 (N, D) of length 1; zeros for a box without area.

    model: of task embedding. image: uint8 BGR (H, W, 3). Attention m_A is 1 on the limbs between confident keypoints
    and falls to 0 around them. A feature map m_id is weighted by eq. 20, m_wid = m_id * m_A + m_id, and averaged; for a
    network that ends in a vector, its input is weighted so instead, relative to the mean colour and halved.
    """
    usable = np.flatnonzero(solid_boxes(poses.boxes))
    if not len(usable):
        return np.zeros((len(poses), 0), np.float32)
    people = poses[usable]
    crops = model.crops(image, people.boxes)
    inputs = crop_batch(image, crops, model.spec.crop)
    attention = [
        _attention(crop.to_input(xy), seen, people.schema, crop)
        for crop, xy, seen in zip(crops, people.xy, visible(people, options), strict=True)
    ]
    if len(model.spec.outputs[0].shape) != 4:
        inputs = _weighted_inputs(inputs, np.stack(attention))
        pooled = [found.values.mean(axis=(1, 2)) for found in model.features(inputs)]
    else:
        pooled = [
            _pooled(found, each)
            for found, each in zip(model.features(inputs), attention, strict=True)
        ]
    embeddings = np.zeros((len(poses), len(pooled[0])), np.float32)
    lengths = np.maximum(np.linalg.norm(pooled, axis=1, keepdims=True), 1e-12)
    embeddings[usable] = np.stack(pooled) / lengths
    return embeddings


def _attention(xy: F32, seen: Mask, schema: KeypointSchema, crop: Crop) -> F32:
    """Return the attention to each pixel of a crop, float32 (H, W), 0 to 1; xy: (K, 2) in its pixels."""
    width, height = crop.wh
    limbs = [(a, b) for a, b in schema.edges if seen[a] and seen[b]]
    places = [xy[np.flatnonzero(seen)]]
    if limbs:
        one, other = xy[[a for a, _ in limbs]], xy[[b for _, b in limbs]]
        places += [one + share * (other - one) for share in ON_LIMB[1:-1]]
    points = np.concatenate(places).astype(np.float32)
    if not len(points):
        return np.zeros((height, width), np.float32)
    spread = -0.5 / (REACH * height) ** 2
    across = np.exp(spread * np.square(np.arange(width) - points[:, :1])).astype(np.float32)
    down = np.exp(spread * np.square(np.arange(height) - points[:, 1:])).astype(np.float32)
    nearest: F32 = (down[:, :, None] * across[:, None]).max(axis=0)
    return nearest


def _pooled(features: DenseMap, attention: F32) -> F32:
    """Return the mean of m_id * m_A + m_id, float32 (D,); the attention is averaged over the map's cells."""
    _, height, width = features.values.shape
    cells = _averaged(attention, height, width)
    mean: F32 = (features.values * (1 + cells)).mean(axis=(1, 2))
    return mean


def _averaged(values: F32, rows: int, columns: int) -> F32:
    """Return the means of `values` (H, W) in rows x columns cells."""
    height, width = values.shape
    row_starts = np.arange(rows) * height // rows
    column_starts = np.arange(columns) * width // columns
    sums = np.add.reduceat(np.add.reduceat(values, row_starts, axis=0), column_starts, axis=1)
    heights = np.diff(np.append(row_starts, height))
    widths = np.diff(np.append(column_starts, width))
    means: F32 = (sums / (heights[:, None] * widths)).astype(np.float32)
    return means


def _weighted_inputs(inputs: U8, attention: F32) -> U8:
    """Return inputs uint8 (B, H, W, 3) that fade to their mean colour away from the person."""
    colour = inputs.mean(axis=(1, 2), keepdims=True, dtype=np.float32)
    weighted = (inputs - colour) * ((1 + attention[..., None]) / 2) + colour
    faded: U8 = np.rint(weighted).astype(np.uint8)
    return faded
