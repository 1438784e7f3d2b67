"""Drawing of results on images: skeletons, boxes, labels, banners.

Every function returns a copy and does not modify its input. Images are what a model takes: uint8 BGR (H, W, 3), grey
(H, W), a path or a PIL image. Fonts are OpenCV's own.
"""

from collections.abc import Sequence

import cv2
import numpy as np

from edge.image import as_image
from edge.model import ImageLike
from edge.schema import KeypointSchema
from edge.types import F32, U8, Detections, Poses

Colour = tuple[int, int, int]

LEFT: Colour = (80, 220, 60)
RIGHT: Colour = (30, 130, 255)
CENTRE: Colour = (255, 170, 60)
BOX: Colour = (60, 220, 250)
OUTLINE: Colour = (20, 20, 20)
WHITE: Colour = (255, 255, 255)

_SHIFT = 4
"""Fractional bits of OpenCV's drawing coordinates: 1/16 pixel."""
_FONT = cv2.FONT_HERSHEY_SIMPLEX
_FAR_PX = 1 << 20


def draw_poses(
    image: ImageLike,
    poses: Poses,
    keypoint_threshold: float = 0.3,
    *,
    show_boxes: bool = False,
    show_ids: bool = True,
) -> U8:
    """Return a copy of the image, uint8 (H, W, 3) BGR, with every person's skeleton.

    Keypoints below the threshold, and their edges, are left out. The person's left is green, the right orange, the
    middle blue; strokes scale with the person. Ids of -1 are not drawn.
    """
    canvas = _copy(image)
    joints, edges = _joint_colours(poses.schema), _edge_colours(poses.schema)
    places, boxes = _clipped(poses.xy), _clipped(poses.boxes)
    for xy, scores, box, person_id in zip(
        places, poses.scores, boxes, poses.ids.tolist(), strict=True
    ):
        shown = (scores >= keypoint_threshold) & np.isfinite(xy).all(axis=1)
        stroke = _stroke(xy[shown])
        if show_boxes and np.isfinite(box).all():
            _box(canvas, box, BOX, stroke)
        seen = [
            (xy[a], xy[b], colour)
            for (a, b), colour in zip(poses.schema.edges, edges, strict=True)
            if shown[a] and shown[b]
        ]
        for first, second, _ in seen:
            _line(canvas, first, second, OUTLINE, stroke + 2)
        for first, second, colour in seen:
            _line(canvas, first, second, colour, stroke)
        for index in np.flatnonzero(shown):
            _dot(canvas, xy[index], joints[index], 0.75 * stroke + 1)
        if show_ids and person_id >= 0 and shown.any():
            top = xy[shown][int(xy[shown][:, 1].argmin())]
            _label(canvas, f"#{person_id}", (int(top[0]), int(top[1]) - 6 * stroke), WHITE)
    return canvas


def draw_boxes(image: ImageLike, detections: Detections, classes: Sequence[str] = ()) -> U8:
    """Return a copy of the image, uint8 (H, W, 3) BGR, with every box, its class name if given, and its score."""
    canvas = _copy(image)
    boxes = _clipped(detections.boxes)
    rows = zip(boxes, detections.scores.tolist(), detections.labels.tolist(), strict=True)
    for box, score, label in rows:
        if not np.isfinite(box).all():
            continue
        name = classes[label] if 0 <= label < len(classes) else ""
        _box(canvas, box, BOX, _stroke(box.reshape(2, 2)))
        _label(canvas, f"{name} {score:.2f}".strip(), (int(box[0]), int(box[1])), BOX)
    return canvas


def put_banner(image: ImageLike, text: str) -> U8:
    """Return a copy of the image, uint8 (H, W, 3) BGR, with a banner of text along its lower edge, as large as fits."""
    canvas = _copy(image)
    height, width = canvas.shape[:2]
    (natural, _), _ = cv2.getTextSize(text, _FONT, 1.0, 1)
    scale = min(0.92 * width / max(natural, 1), height / 400, 1.2)
    (wide, tall), below = cv2.getTextSize(text, _FONT, scale, 1)
    top = max(0, height - 2 * (tall + below))
    canvas[top:] = (canvas[top:] * np.float32(0.3)).astype(np.uint8)
    place = ((width - wide) // 2, (top + height + tall) // 2)
    cv2.putText(canvas, text, place, _FONT, scale, WHITE, max(1, round(scale)), cv2.LINE_AA)
    return canvas


def _copy(image: ImageLike) -> U8:
    return np.array(as_image(image), order="C")


def _joint_colours(schema: KeypointSchema) -> list[Colour]:
    colours = [CENTRE] * len(schema.names)
    for left, right in schema.left_right:
        colours[left], colours[right] = LEFT, RIGHT
    return colours


def _edge_colours(schema: KeypointSchema) -> list[Colour]:
    """Return a colour for each edge: a side's, where only one side has an end of it."""
    joints = _joint_colours(schema)
    colours = []
    for first, second in schema.edges:
        sides = {joints[first], joints[second]} - {CENTRE}
        colours.append(sides.pop() if len(sides) == 1 else CENTRE)
    return colours


def _stroke(points: F32) -> int:
    """Return the thickness in pixels for an object of the extent of these points (N, 2)."""
    if len(points) < 2:
        return 2
    reach = float(np.linalg.norm(points.max(axis=0) - points.min(axis=0)))
    return int(np.clip(round(reach / 110), 1, 6))


def _clipped(places: F32) -> F32:
    """Return coordinates clipped to what OpenCV's 32-bit fixed point can hold."""
    near: F32 = np.clip(places, -_FAR_PX, _FAR_PX)
    return near


def _fixed(point: F32) -> tuple[int, int]:
    x, y = point.tolist()
    return round(x * (1 << _SHIFT)), round(y * (1 << _SHIFT))


def _line(canvas: U8, first: F32, second: F32, colour: Colour, thickness: int) -> None:
    cv2.line(canvas, _fixed(first), _fixed(second), colour, thickness, cv2.LINE_AA, _SHIFT)


def _dot(canvas: U8, centre: F32, colour: Colour, radius_px: float) -> None:
    for radius, paint in ((radius_px + 1, OUTLINE), (radius_px, colour)):
        size = round(radius * (1 << _SHIFT))
        cv2.circle(canvas, _fixed(centre), size, paint, -1, cv2.LINE_AA, _SHIFT)


def _box(canvas: U8, box: F32, colour: Colour, thickness: int) -> None:
    first, second = _fixed(box[:2]), _fixed(box[2:])
    cv2.rectangle(canvas, first, second, OUTLINE, thickness + 2, cv2.LINE_AA, _SHIFT)
    cv2.rectangle(canvas, first, second, colour, thickness, cv2.LINE_AA, _SHIFT)


def _label(canvas: U8, text: str, corner: tuple[int, int], colour: Colour) -> None:
    """Write text on a dark background whose lower left corner is `corner`, moved into the image if needed."""
    height, width = canvas.shape[:2]
    scale = float(np.clip(height / 1000, 0.4, 1.0))
    (wide, tall), below = cv2.getTextSize(text, _FONT, scale, 1)
    wide, tall = wide + 6, tall + below + 4
    left = int(np.clip(corner[0], 0, max(0, width - wide)))
    bottom = int(np.clip(corner[1], min(tall, height), height))
    cv2.rectangle(canvas, (left, bottom - tall), (left + wide, bottom), OUTLINE, -1)
    place = (left + 3, bottom - below - 2)
    cv2.putText(canvas, text, place, _FONT, scale, colour, 1, cv2.LINE_AA)
