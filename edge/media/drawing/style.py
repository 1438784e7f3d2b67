"""Colours and parts of a keypoint set for drawing: sides, body joints, and the fine points of face and hands."""

import functools
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from edge.schema import KeypointSchema, common_names, load_schema

Colour = tuple[int, int, int]
"""Blue, green, red."""

LEFT: Colour = (80, 220, 60)
RIGHT: Colour = (30, 130, 255)
CENTRE: Colour = (255, 170, 60)
FACE: Colour = (235, 235, 235)

# Neighbours in the list differ most. Not among them: the green and orange of the sides.
ID_COLOURS: tuple[Colour, ...] = (
    (255, 150, 50),
    (165, 70, 255),
    (70, 230, 255),
    (240, 90, 140),
    (215, 235, 40),
    (80, 75, 245),
    (160, 250, 215),
    (225, 180, 255),
    (95, 145, 200),
    (255, 255, 255),
    (255, 205, 160),
    (205, 45, 190),
)

FINE_FROM = 60
"""Keypoint sets of at least this size have fine points: everything that is no joint of the 26-point body."""

_FINGERS = ("thumb", "forefinger", "middle_finger", "ring_finger", "pinky", "hand_root")
_IN_FACE = ("nose", "left_eye", "right_eye")
_IBUG = 68
# The outlines of the 68 points of a face (iBUG 300-W): first and last point, and whether they are joined.
_OUTLINES = (
    (0, 16, False),
    (17, 21, False),
    (22, 26, False),
    (27, 30, False),
    (31, 35, False),
    (36, 41, True),
    (42, 47, True),
    (48, 59, True),
    (60, 67, True),
)


@dataclass(frozen=True, slots=True)
class SkeletonStyle:
    """Drawing of one keypoint set.

    joint_colours: one a keypoint; edges int (E, 2) with edge_colours; body: the joints drawn large, int (J,);
    fine: groups of points drawn small, each hidden as a whole where it is small, int (N,);
    fine_edges: for each group the pairs of keypoints that are joined, int (M, 2).
    """

    joint_colours: tuple[Colour, ...]
    edges: NDArray[np.intp]
    edge_colours: tuple[Colour, ...]
    body: NDArray[np.intp]
    fine: tuple[NDArray[np.intp], ...]
    fine_edges: tuple[NDArray[np.intp], ...]
    face: NDArray[np.bool_]
    in_face: NDArray[np.intp]


@functools.lru_cache(maxsize=64)
def style_of(schema: KeypointSchema) -> SkeletonStyle:
    """Return the drawing style of a keypoint set."""
    colours = _joint_colours(schema)
    groups = _fine_groups(schema)
    fine = {index for group in groups for index in group}
    for index in groups[0]:
        colours[index] = FACE
    pairs = [*schema.edges, *_face_outlines(schema)]
    edges = [pair for pair in schema.edges if not fine.intersection(pair)]
    return SkeletonStyle(
        joint_colours=tuple(colours),
        edges=_pairs(edges),
        edge_colours=tuple(_edge_colour(colours[a], colours[b]) for a, b in edges),
        body=np.array([k for k in range(len(schema)) if k not in fine], np.intp),
        fine=tuple(np.array(group, np.intp) for group in groups),
        fine_edges=tuple(
            _pairs([pair for pair in pairs if set(group).intersection(pair)]) for group in groups
        ),
        face=np.isin(np.arange(len(schema)), groups[0]),
        in_face=np.array(
            [k for k in range(len(schema)) if schema.names[k] in _IN_FACE and k not in fine],
            np.intp,
        ),
    )


def id_colour(person_id: int) -> Colour:
    """Return the colour of an id; `CENTRE` for -1."""
    return ID_COLOURS[person_id % len(ID_COLOURS)] if person_id >= 0 else CENTRE


def text_colour(background: Colour) -> Colour:
    """Return black or white, whichever is easier to read (WCAG 2: relative luminance above or below .179)."""
    linear = [
        value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4
        for value in (part / 255 for part in background)
    ]
    luminance = 0.0722 * linear[0] + 0.7152 * linear[1] + 0.2126 * linear[2]
    return (0, 0, 0) if luminance > 0.179 else (255, 255, 255)


def _joint_colours(schema: KeypointSchema) -> list[Colour]:
    colours = [CENTRE] * len(schema)
    for left, right in schema.left_right:
        colours[left], colours[right] = LEFT, RIGHT
    return colours


def _edge_colour(first: Colour, second: Colour) -> Colour:
    """Return a side's colour where only one side has an end of the edge."""
    sides = {first, second} - {CENTRE}
    return sides.pop() if len(sides) == 1 else CENTRE


def _fine_groups(schema: KeypointSchema) -> tuple[list[int], list[int], list[int], list[int]]:
    """Return the keypoints of the face, of the left and the right hand, and single points of the body."""
    groups: tuple[list[int], list[int], list[int], list[int]] = ([], [], [], [])
    if len(schema) < FINE_FROM:
        return groups
    joints = set(load_schema("body26").names)
    paired = {index for pair in schema.left_right for index in pair}
    for index, name in enumerate(common_names(schema)):
        if name in joints:
            continue
        if any(part in name for part in _FINGERS):
            groups[1 if name.startswith("left") else 2].append(index)
        elif index in paired and name.startswith(("left_", "right_")):
            groups[3].append(index)
        else:
            groups[0].append(index)
    return groups


def _face_outlines(schema: KeypointSchema) -> list[tuple[int, int]]:
    """Return the pairs of neighbours on the outlines of a face of 68 points, where the set has them."""
    places = {name: place for place, name in enumerate(schema.names)}
    if sum(name.startswith("face-") for name in places) != _IBUG:
        return []
    pairs = []
    for first, last, closed in _OUTLINES:
        around = [*range(first, last + 1), *([first] if closed else [])]
        pairs += [(places[f"face-{a}"], places[f"face-{b}"]) for a, b in pairwise(around)]
    return pairs


def _pairs(edges: list[tuple[int, int]]) -> NDArray[np.intp]:
    return np.array(edges, np.intp).reshape(-1, 2)
