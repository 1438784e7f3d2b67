"""Drawing of results on images: skeletons, boxes, labels, banners.

Every function returns a copy and does not modify its input. Images are what a model takes: uint8 BGR (H, W, 3), grey
(H, W), a path or a PIL image. Fonts are OpenCV's own.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.image import as_image
from edge.media.drawing.strokes import (
    FONT,
    OUTLINE,
    blend_segments,
    dashes,
    near,
    paint_box,
    paint_dots,
    paint_label,
    paint_segments,
)
from edge.media.drawing.style import (
    CENTRE,
    LEFT,
    RIGHT,
    Colour,
    SkeletonStyle,
    id_colour,
    style_of,
)
from edge.model import ImageLike
from edge.types import F32, U8, Detections, Poses
from runtimes.errors import InputError

__all__ = ["CENTRE", "LEFT", "RIGHT", "draw_boxes", "draw_poses", "put_banner"]

Indices: TypeAlias = NDArray[np.intp]

BOX: Colour = (60, 220, 250)
WHITE: Colour = (255, 255, 255)

OPAQUE_FROM = 0.7
"""Confidence from which keypoints and limbs are opaque; below, they fade towards the threshold."""
_FAINTEST, _PREDICTED = 0.35, 0.6
_SPACING_PX = 3.5
"""Least mean distance of the points of a face or hand at which they can be seen apart; closer ones are hidden."""


@dataclass(frozen=True, slots=True)
class _Figure:
    """One person to draw: xy float32 (K, 2), alpha float32 (K,), 0 for hidden keypoints, and pixel widths."""

    xy: F32
    alpha: F32
    stroke: int
    rim: int
    colour: Colour
    predicted: bool

    @property
    def shown(self) -> F32:
        """Places of the keypoints that are drawn, float32 (N, 2)."""
        return self.xy[self.alpha > 0]


def draw_poses(
    image: ImageLike,
    poses: Poses,
    keypoint_threshold: float = 0.3,
    *,
    show_boxes: bool = False,
    show_ids: bool = True,
    states: Sequence[str] = (),
) -> U8:
    """Return a copy of the image, uint8 (H, W, 3) BGR, with every person's skeleton.

    Keypoints below the threshold, and their edges, are left out; unsure ones are faint. The person's left is green, the
    right orange; the middle, the label and the box have the colour of the id (blue without one). Strokes scale with
    the person and the frame; faces and hands of whole bodies are thin, and hidden where they are tiny.
    states: one a person, such as `Result.states`; "predicted" people are dashed. Raises InputError for another number
    of states than people.
    """
    canvas = _copy(image)
    if len(states) not in (0, len(poses)):
        raise InputError(f"{len(states)} states of {len(poses)} people; give one a person, or none")
    style = style_of(poses.schema)
    ids = poses.ids.tolist() if show_ids else [-1] * len(poses)
    figures = [
        _figure(canvas, xy, scores, keypoint_threshold, person_id, state)
        for xy, scores, person_id, state in zip(
            poses.xy, poses.scores, ids, states or ("",) * len(poses), strict=True
        )
    ]
    if show_boxes:
        for box, figure in zip(poses.boxes, figures, strict=True):
            if np.isfinite(box).all():
                colour = figure.colour if show_ids else BOX
                paint_box(canvas, near(box), colour, figure.stroke)
    for figure in sorted(figures, key=lambda each: -each.stroke):  # small people stay visible
        _paint(canvas, figure, style)
    for figure, person_id in zip(figures, ids, strict=True):
        if person_id >= 0 and len(figure.shown):
            x, y = figure.shown[int(figure.shown[:, 1].argmin())].tolist()
            place = (int(x), int(y) - 8 * figure.stroke - 2)
            paint_label(canvas, f"#{person_id}", place, figure.colour)
    return canvas


def draw_boxes(image: ImageLike, detections: Detections, classes: Sequence[str] = ()) -> U8:
    """Return a copy of the image, uint8 (H, W, 3) BGR, with every box, its class name if given, and its score."""
    canvas = _copy(image)
    rows = zip(
        near(detections.boxes),
        detections.scores.tolist(),
        detections.labels.tolist(),
        strict=True,
    )
    for box, score, label in rows:
        if not np.isfinite(box).all():
            continue
        name = classes[label] if 0 <= label < len(classes) else ""
        paint_box(canvas, box, BOX, _stroke(box.reshape(2, 2), canvas))
        paint_label(canvas, f"{name} {score:.2f}".strip(), (int(box[0]), int(box[1])), BOX)
    return canvas


def put_banner(image: ImageLike, text: str) -> U8:
    """Return a copy of the image, uint8 (H, W, 3) BGR, with a banner of text along its lower edge, as large as fits."""
    canvas = _copy(image)
    height, width = canvas.shape[:2]
    (natural, _), _ = cv2.getTextSize(text, FONT, 1.0, 1)
    scale = min(0.92 * width / max(natural, 1), height / 400, 1.2)
    (wide, tall), below = cv2.getTextSize(text, FONT, scale, 1)
    top = max(0, height - 2 * (tall + below))
    canvas[top:] = (canvas[top:] * np.float32(0.3)).astype(np.uint8)
    place = ((width - wide) // 2, (top + height + tall) // 2)
    cv2.putText(canvas, text, place, FONT, scale, WHITE, max(1, round(scale)), cv2.LINE_AA)
    return canvas


def _copy(image: ImageLike) -> U8:
    return np.array(as_image(image), order="C")


def _figure(
    canvas: U8, xy: F32, scores: F32, threshold: float, person_id: int, state: str
) -> _Figure:
    shown = (scores >= threshold) & np.isfinite(xy).all(axis=1)
    places = near(xy)
    share = (scores - threshold) / max(OPAQUE_FROM - threshold, 1e-3)
    alpha = np.where(shown, np.clip(_FAINTEST + (1 - _FAINTEST) * share, _FAINTEST, 1), 0)
    predicted = state == "predicted"
    if predicted:
        alpha = np.minimum(alpha, _PREDICTED)
    stroke = _stroke(places[shown], canvas)
    rim = 2 if stroke > 1 else 1
    return _Figure(places, alpha.astype(np.float32), stroke, rim, id_colour(person_id), predicted)


def _stroke(points: F32, canvas: U8) -> int:
    """Return the thickness in pixels for an object of the extent of these points (N, 2) in this frame."""
    side = min(canvas.shape[:2])
    reach = float(np.linalg.norm(np.ptp(points, axis=0))) if len(points) > 1 else 0.0
    return int(np.clip(round(reach / 110), max(1, side // 1400), max(2, side // 120)))


def _paint(canvas: U8, figure: _Figure, style: SkeletonStyle) -> None:
    parts = [
        (group[figure.alpha[group] > 0], edges)
        for group, edges in zip(style.fine, style.fine_edges, strict=True)
    ]
    parts = [(shown, edges) for shown, edges in parts if _spacing(figure.xy[shown]) >= _SPACING_PX]
    if any(style.face[shown[0]] for shown, _ in parts):  # the face itself shows nose and eyes
        figure.alpha[style.in_face] = 0
    _paint_limbs(canvas, figure, style)
    _paint_joints(canvas, figure, style)
    for shown, edges in parts:
        _paint_fine(canvas, figure, shown, edges, style.joint_colours[shown[0]])


def _paint_fine(
    canvas: U8, figure: _Figure, shown: Indices, edges: Indices, colour: Colour
) -> None:
    """Draw a face or a hand: thin lines as faint as its points are on average, and dots where there is room."""
    thin = max(1, round(0.35 * figure.stroke))
    alpha = float(figure.alpha[shown].mean())
    lines = figure.xy[edges[(figure.alpha[edges] > 0).all(axis=1)]]
    blend_segments(canvas, lines, colour, thin, thin + figure.rim, alpha)
    if not len(lines) or _spacing(figure.xy[shown]) >= 2 * _SPACING_PX:
        paint_dots(canvas, figure.xy[shown], colour, 0.5 * thin + 0.4, 0)


def _paint_limbs(canvas: U8, figure: _Figure, style: SkeletonStyle) -> None:
    """Draw edges: the faint ones first, each blended; then the outlines of the others, then their colours."""
    opaque: dict[Colour, list[F32]] = {}
    stroke, outline = figure.stroke, figure.stroke + figure.rim
    limbs = figure.xy[style.edges]
    alphas = figure.alpha[style.edges].min(axis=1).tolist()
    for limb, alpha, own in zip(limbs, alphas, style.edge_colours, strict=True):
        colour = figure.colour if own == CENTRE else own
        if alpha == 1:
            opaque.setdefault(colour, []).append(limb)
        elif alpha:
            lines = dashes(limb, 3.0 * stroke) if figure.predicted else limb[None]
            blend_segments(canvas, lines, colour, stroke, outline, alpha)
    for lines in opaque.values():
        paint_segments(canvas, np.stack(lines), OUTLINE, outline)
    for colour, lines in opaque.items():
        paint_segments(canvas, np.stack(lines), colour, stroke)


def _paint_joints(canvas: U8, figure: _Figure, style: SkeletonStyle) -> None:
    for index in style.body[figure.alpha[style.body] > 0].tolist():
        own = style.joint_colours[index]
        colour = figure.colour if own == CENTRE else own
        paint_dots(canvas, figure.xy[index : index + 1], colour, 0.75 * figure.stroke + 1, 1)


def _spacing(points: F32) -> float:
    """Return about the distance of neighbours among points (N, 2), as if they filled their spread evenly."""
    if len(points) < 3:
        return 0.0
    # an even spread of width w has a deviation of w / sqrt(12)
    wide, tall = (np.sqrt(12) * points.std(axis=0)).tolist()
    return float(np.sqrt(wide * tall / len(points)))
