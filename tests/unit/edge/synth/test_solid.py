"""Solids against solid geometry: areas, depths, who is in front."""

import numpy as np
import pytest

from edge.synth.linear import f32, turn_x, turn_y, turn_z
from edge.synth.solid import TILE, Ellipsoid, Limb, Loft, Surface, paint

RADIUS, CENTRE = 30.0, f32([60, 50, 7])


def sphere(part: int = 1, centre: np.ndarray = CENTRE, radius: float = RADIUS) -> Ellipsoid:
    return Ellipsoid(part, centre.astype(np.float32), np.eye(3, dtype=np.float32) * radius, 0)


def test_a_sphere_covers_a_disc_and_bulges_by_its_radius() -> None:
    surface = Surface.empty((120, 100))
    paint(surface, sphere())
    assert (surface.part == 1).sum() == pytest.approx(np.pi * RADIUS**2, rel=0.01)
    assert surface.depth[50, 60] == pytest.approx(7 + RADIUS, abs=1e-3)
    # The normal of a sphere points away from its middle.
    assert surface.normal_x[50, 78] == pytest.approx(18 / RADIUS, abs=1e-4)
    assert surface.normal_y[32, 60] == pytest.approx(-18 / RADIUS, abs=1e-4)


def test_a_turned_ellipsoid_reaches_as_far_as_its_matrix_says() -> None:
    turn = turn_z(25) @ turn_x(40) @ turn_y(70)
    axes = (f32([40, 20, 10])[:, None] * turn.T).astype(np.float32)
    surface = Surface.empty((120, 100))
    paint(surface, Ellipsoid(1, CENTRE, axes, 0))
    rows, columns = np.nonzero(surface.part)
    reach = np.sqrt((axes**2).sum(axis=0))
    assert columns.max() - columns.min() == pytest.approx(2 * reach[0], abs=2)
    assert rows.max() - rows.min() == pytest.approx(2 * reach[1], abs=2)
    assert surface.depth.max() == pytest.approx(7 + reach[2], abs=0.5)


def test_a_limb_is_a_capsule() -> None:
    surface = Surface.empty((140, 60))
    radii, materials = np.full(8, 12, np.float32), np.full(8, 2, np.float32)
    paint(surface, Limb(3, f32([30.5, 30.5, 0]), f32([110.5, 30.5, 40]), radii, materials, 0.5))
    assert (surface.part == 3).sum() == pytest.approx(2 * 12 * 80 + np.pi * 12**2, rel=0.02)
    assert surface.depth[30, 70] == pytest.approx(20 + 12, abs=0.4)
    drawn = surface.part == 3
    assert surface.row[drawn].min() >= 2 * TILE
    assert surface.row[drawn].max() < 3 * TILE


def test_a_loft_is_an_elliptic_cylinder_from_any_side() -> None:
    for yaw, half in ((0, 40.0), (90, 15.0), (30, float(np.hypot(40 * np.cos(np.pi / 6), 7.5)))):
        surface = Surface.empty((120, 100))
        side, front = turn_y(yaw) @ f32([1, 0, 0]), turn_y(yaw) @ f32([0, 0, 1])
        widths, depths = np.full(64, 40, np.float32), np.full(64, 15, np.float32)
        loft = Loft(2, f32([60, 90, 0]), f32([60, 10, 0]), side, front, widths, depths, 0)
        paint(surface, loft)
        columns = np.flatnonzero((surface.part == 2).any(axis=0))
        assert columns[-1] - columns[0] == pytest.approx(2 * half, abs=2.1)


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_the_nearer_solid_wins_in_any_order(order: tuple[int, int]) -> None:
    solids = [sphere(1), sphere(2, CENTRE + f32([15, 0, 25]), 20)]
    surface = Surface.empty((120, 100))
    for index in order:
        paint(surface, solids[index])
    assert surface.part[50, 75] == 2
    assert surface.part[50, 45] == 1


def test_what_lies_outside_the_canvas_paints_nothing() -> None:
    surface = Surface.empty((40, 40))
    paint(surface, sphere(1, f32([200, 20, 0])))
    paint(surface, sphere(1, f32([20, -100, 0])))
    assert not surface.part.any()
