"""A person and a seed -> what a network is shown and where the keypoints then lie. Plain numpy; no network here."""

from dataclasses import dataclass

import cv2
import numpy as np

from edge.geometry import Crop, Size
from edge.schema import KeypointSchema
from edge.types import F32, U8, check_shape
from quantize.distill.data.augment import Strength, as_detected, stray
from quantize.distill.data.crop_view import crop_of, view_of_box
from quantize.distill.data.patch_cache import Album, Patch
from quantize.distill.data.photometric import disturb
from quantize.distill.data.targets import inside
from runtimes.spec import CropSpec


@dataclass(frozen=True, slots=True)
class Sample:
    """One crop to learn from.

    image: uint8 BGR (H, W, 3); xy: float32 (K, 2) in input pixels, in the schema's order whether mirrored or not;
    weights: float32 (K,), 1 where a keypoint is labelled and on the crop, else 0; crop: frame to input;
    row: the person's number in the album.
    """

    image: U8
    xy: F32
    weights: F32
    crop: Crop
    row: int
    mirrored: bool

    def __post_init__(self) -> None:
        check_shape("Sample.xy", self.xy, (len(self.weights), 2), np.float32)


@dataclass(frozen=True, slots=True)
class Sampler:
    """Samples of an album's people as a student takes them; the same for the same seed, epoch and row."""

    album: Album
    schema: KeypointSchema
    crop: CropSpec
    input_wh: Size
    seed: int = 0

    def sample(self, row: int, epoch: int, strength: Strength) -> Sample:
        """Return one person as seen in that epoch; raises SourceError where the picture cannot be read."""
        rng = np.random.default_rng((self.seed, epoch, row))
        person = self.album.people[row]
        box = as_detected(person.box, rng) if strength.jitter == "detector" else person.box
        view = stray(
            view_of_box(box, self.crop.padding), person.keypoints, self.schema, strength, rng
        )
        crop = crop_of(view, self.crop, self.input_wh)
        image = disturb(warp(self.album.patch(row), crop, self.crop.pad_value), strength, rng)
        xyv = person.keypoints
        if view.mirrored:
            xyv = xyv[self.schema.flip_order]
        xy = crop.to_input(xyv[:, :2])
        weights = ((xyv[:, 2] > 0) & inside(xy, self.input_wh)).astype(np.float32)
        return Sample(image, xy, weights, crop, row, view.mirrored)


def warp(patch: Patch, crop: Crop, pad_value: int) -> U8:
    """Return the crop of the frame that the patch is a part of, uint8 BGR; what the patch lacks is padding."""
    corner = np.eye(3)
    corner[:2, 2] = patch.corner
    matrix = (np.vstack([crop.matrix, (0, 0, 1)]) @ corner)[:2]
    warped = cv2.warpAffine(
        patch.image,
        matrix,
        crop.wh,
        flags=cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_CONSTANT,
        borderValue=(pad_value,) * 3,
    )
    return np.asarray(warped, np.uint8)
