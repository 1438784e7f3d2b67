"""Clips of moving people with constant ids: performers wave, squat and jump in place, walkers cross the frame.

Visitors (`edge.synth.visit`) come, stop, go and come back, and leave the frame empty in between.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from edge.synth.backdrop import draw_backdrop
from edge.synth.camera import Sensor, expose, sample_sensor
from edge.synth.motion import MOTIONS, Motion, idle, walk
from edge.synth.scene import (
    Layer,
    Scene,
    SceneSetup,
    cast_shadow,
    check_frame,
    compose,
    sample_setup,
)
from edge.synth.sprite import Stance, draw_sprite
from edge.synth.visit import STRIDE_SHARE, Visitor, posture, sample_visitors
from edge.synth.wardrobe import Look, sample_look
from edge.types import F32, U8
from runtimes.errors import InputError

_CYCLE_S: dict[Motion, float] = {"wave": 2.6, "squat": 2.0, "jump": 1.8, "idle": 2.4}


@dataclass(frozen=True, slots=True)
class _Performer:
    """Stays at `floor_xz` metres (right of the camera, in front of it) and repeats `programme`."""

    look: Look
    floor_xz: tuple[float, float]
    yaw_deg: float
    tempo: float
    programme: tuple[Motion, ...]


@dataclass(frozen=True, slots=True)
class _Walker:
    """Starts at `floor_xz` at 0 s and walks in the direction of `yaw_deg`."""

    look: Look
    floor_xz: tuple[float, float]
    yaw_deg: float
    speed_m_s: float
    phase: float


@dataclass(frozen=True, slots=True)
class _Film:
    """Constants of a clip; the backdrop is `sway_px` wider than the frame on both sides."""

    wh: tuple[int, int]
    setup: SceneSetup
    sensor: Sensor
    backdrop: U8
    sway_px: int
    sway_hz: float
    actors: tuple[_Performer | _Walker | Visitor, ...]


def draw_clip(
    seed: int,
    wh: tuple[int, int] = (640, 480),
    frames: int = 72,
    fps: float = 24.0,
    people: int = 3,
) -> Iterator[Scene]:
    """Draw a clip frame by frame, the same for the same arguments.

    person_id 0 performs in place; the others perform too or walk in and out. In half of the clips the camera sways.
    Raises InputError where the frame is smaller than 32 x 32, a number is negative or fps is not positive.
    """
    _check_clip(seed, wh, frames, fps, people)
    film = _sample_film(np.random.default_rng([seed, 1]), wh, frames / fps, people)
    return _frames(film, seed, frames, fps)


def draw_visits(
    seed: int,
    wh: tuple[int, int] = (640, 480),
    frames: int = 480,
    fps: float = 24.0,
    people: int = 3,
) -> Iterator[Scene]:
    """Draw a clip of people who walk in, cross each other, stop, leave, and come back under the same person_id.

    The frame is empty at the start, in the middle and at the end. The same arguments give the same clip. A visit lasts
    about a third of the clip: in less than 20 s people hurry. Raises InputError as `draw_clip` does.
    """
    _check_clip(seed, wh, frames, fps, people)
    rng = np.random.default_rng([seed, 3])
    setup = sample_setup(rng, wh)
    visitors = sample_visitors(rng, 0.5 * wh[0] / _focal(wh), frames / fps, people)
    backdrop = draw_backdrop(rng, wh, int(setup.horizon_px))
    film = _Film(wh, setup, sample_sensor(rng), backdrop, 0, 0.0, visitors)
    return _frames(film, seed, frames, fps)


def _check_clip(seed: int, wh: tuple[int, int], frames: int, fps: float, people: int) -> None:
    check_frame(seed, wh)
    if frames < 0 or people < 0 or fps <= 0:
        raise InputError(
            f"a clip of {frames} frames at {fps} fps with {people} people cannot be drawn"
        )


def _frames(film: _Film, seed: int, frames: int, fps: float) -> Iterator[Scene]:
    return (
        _frame(film, index / fps, np.random.default_rng([seed, 2, index]))
        for index in range(frames)
    )


def _sample_film(
    rng: np.random.Generator, wh: tuple[int, int], length_s: float, people: int
) -> _Film:
    setup = sample_setup(rng, wh)
    sway_px = int(rng.uniform(0.01, 0.05) * wh[0]) if rng.random() < 0.5 else 0
    wide = (wh[0] + 2 * sway_px, wh[1])
    actors: list[_Performer | _Walker] = []
    for person_id in range(people):
        if person_id == 0 or rng.random() < 0.25:
            actors.append(_sample_performer(rng, wh, setup))
        else:
            actors.append(_sample_walker(rng, wh, length_s))
    backdrop = draw_backdrop(rng, wide, int(setup.horizon_px))
    sway_hz = float(rng.uniform(0.1, 0.3))
    return _Film(wh, setup, sample_sensor(rng), backdrop, sway_px, sway_hz, tuple(actors))


def _focal(wh: tuple[int, int]) -> float:
    return 1.1 * wh[1]


def _sample_performer(
    rng: np.random.Generator, wh: tuple[int, int], setup: SceneSetup
) -> _Performer:
    look = sample_look(rng)
    # between the nearest place with feet in the frame and twice as far
    nearest = _focal(wh) * setup.height_m / (0.95 * wh[1] - setup.horizon_px)
    z = max(nearest, 2.2) * rng.uniform(1.0, 2.0)
    x = rng.uniform(-0.32, 0.32) * wh[0] * z / _focal(wh)
    programme: list[Motion] = ["wave", "squat", "jump", "idle"]
    rng.shuffle(programme)
    yaw_deg, tempo = float(rng.normal(0, 40)), float(rng.uniform(0.85, 1.2))
    return _Performer(look, (float(x), float(z)), yaw_deg, tempo, tuple(programme))


def _sample_walker(rng: np.random.Generator, wh: tuple[int, int], length_s: float) -> _Walker:
    look = sample_look(rng)
    z, way = float(rng.uniform(2.4, 6.5)), float(rng.choice(np.array([-1.0, 1.0])))
    speed = look.body.stature_m * STRIDE_SHARE * rng.uniform(0.75, 1.05)
    yaw_deg = way * float(rng.uniform(65, 105))
    edge = 0.5 * wh[0] * z / _focal(wh) + 0.45
    # at the frame's edge at a random moment of the clip: half of them come in, half go out
    moment, side = rng.uniform(0, 0.7) * length_s, float(rng.choice(np.array([-1.0, 1.0])))
    x = side * way * edge - way * speed * moment
    return _Walker(look, (float(x), z), yaw_deg, float(speed), float(rng.random()))


def _perform(actor: _Performer, time_s: float) -> tuple[F32, float]:
    lengths = [_CYCLE_S[motion] / actor.tempo for motion in actor.programme]
    rest, breath = time_s % sum(lengths), idle(0.3 * time_s)[0]
    for motion, length in zip(actor.programme, lengths, strict=True):
        if rest < length:
            phase = rest / length
            # every motion blends in from standing and out to it
            share = float(np.clip(min(phase, 1 - phase) / 0.15, 0, 1))
            share = share * share * (3 - 2 * share)
            angles, lift_m = MOTIONS[motion](phase)
            return breath + np.float32(share) * (angles - breath), share * lift_m
        rest -= length
    return breath, 0.0


def _stance(
    actor: _Performer | _Walker | Visitor, film: _Film, time_s: float, pan_px: int
) -> Stance | None:
    """Return the actor's stance at a time; None where it is behind the camera or away."""
    if isinstance(actor, Visitor):
        seen = posture(actor, time_s)
        if seen is None:
            return None
        x, z, yaw_deg = seen.x_m, actor.depth_m, seen.yaw_deg
        angles, lift_m = seen.angles, seen.lift_m
    else:
        x, z, yaw_deg = *actor.floor_xz, actor.yaw_deg
        if isinstance(actor, _Walker):
            turn = np.radians(actor.yaw_deg)
            x += actor.speed_m_s * time_s * float(np.sin(turn))
            z -= actor.speed_m_s * time_s * float(np.cos(turn))
            stride_m = STRIDE_SHARE * actor.look.body.stature_m
            angles, lift_m = walk(actor.phase + actor.speed_m_s * time_s / stride_m)
        else:
            angles, lift_m = _perform(actor, time_s)
    if z < 1.2:
        return None
    px_per_m = _focal(film.wh) / z
    return Stance(
        angles=angles,
        lift_m=lift_m,
        yaw_deg=yaw_deg,
        tilt_deg=film.setup.tilt_deg,
        lean_deg=0.0,
        base_xy=(
            0.5 * film.wh[0] + x * px_per_m - pan_px,
            film.setup.horizon_px + film.setup.height_m * px_per_m,
        ),
        px_per_m=px_per_m,
    )


def _frame(film: _Film, time_s: float, rng: np.random.Generator) -> Scene:
    pan_px = round(film.sway_px * float(np.sin(2 * np.pi * film.sway_hz * time_s)))
    left = film.sway_px + pan_px
    backdrop = film.backdrop[:, left : left + film.wh[0]].astype(np.float32)
    placed: list[tuple[float, Layer]] = []
    for person_id, actor in enumerate(film.actors):
        stance = _stance(actor, film, time_s, pan_px)
        if stance is None:
            continue
        cast_shadow(backdrop, stance)
        sprite = draw_sprite(actor.look, stance, film.setup.light, film.wh)
        if sprite is not None:
            placed.append((stance.px_per_m, Layer(sprite, person_id)))
    placed.sort(key=lambda item: item[0])
    composed = compose(backdrop, [layer for _, layer in placed])
    return Scene(expose(composed.image, film.sensor, rng), composed.people)
