"""One training sample: an augmented crop of a person and the keypoints on it, a function of seed, epoch and row."""

from dataclasses import dataclass

import cv2
import numpy as np

from edge.geometry import Crop, Size
from edge.schema import KeypointSchema
from edge.types import F32, U8, check_shape
from quantize.distill.data.augment import Augmentation, jitter_box, random_view
from quantize.distill.data.crop_view import box_view, view_crop
from quantize.distill.data.patch_cache import Patch, PatchCache
from quantize.distill.data.photometric import distort
from quantize.distill.data.targets import inside
from runtimes.spec import CropSpec


@dataclass(frozen=True, slots=True)
class Sample:
    """One augmented crop.

    image: uint8 BGR (H, W, 3); xy: float32 (K, 2) in input pixels, in the schema's order whether flipped or not;
    weights: float32 (K,), 1 where a keypoint is labelled and on the crop, else 0; crop: frame to input;
    row: the instance's row in the patch cache.
    """

    image: U8
    xy: F32
    weights: F32
    crop: Crop
    row: int
    flipped: bool

    def __post_init__(self) -> None:
        check_shape("Sample.xy", self.xy, (len(self.weights), 2), np.float32)


@dataclass(frozen=True, slots=True)
class Sampler:
    """Samples of a patch cache's instances for one network input; equal for equal seed, epoch and row."""

    patch_cache: PatchCache
    schema: KeypointSchema
    crop: CropSpec
    input_wh: Size
    seed: int = 0

    def sample(self, row: int, epoch: int, augmentation: Augmentation) -> Sample:
        """Return one person's sample of an epoch; raises SourceError where the picture cannot be read."""
        rng = np.random.default_rng((self.seed, epoch, row))
        instance = self.patch_cache.instances[row]
        box = instance.box
        if augmentation.jitter == "detector":
            box = jitter_box(box, rng)
        view = random_view(
            box_view(box, self.crop.padding), instance.keypoints, self.schema, augmentation, rng
        )
        crop = view_crop(view, self.crop, self.input_wh)
        pixels = warp_patch(self.patch_cache.patch(row), crop, self.crop.pad_value)
        image = distort(pixels, augmentation, rng)
        xyv = instance.keypoints
        if view.flipped:
            xyv = xyv[self.schema.flip_order]
        xy = crop.to_input(xyv[:, :2])
        weights = ((xyv[:, 2] > 0) & inside(xy, self.input_wh)).astype(np.float32)
        return Sample(image, xy, weights, crop, row, view.flipped)


def warp_patch(patch: Patch, crop: Crop, pad_value: int) -> U8:
    """Return the crop, uint8 BGR, of the frame that the patch was cut from; padded outside the patch."""
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
