"""Recognition of a ViTPose from its tensors: transformer, stride, decoder, keypoints and input size.

Windows and, of some networks, the stride leave no trace in the tensors: then the size is spelled out by the user
(`--size`), or by a student's card.
"""

import math
from collections.abc import Mapping
from dataclasses import replace

import torch

from edge.catalog.specs import SCHEMA_OF_COUNT
from export.models.checks import keypoint_schema
from export.models.vit import PATCH, fits_positions, grid_of, padding_of
from export.models.vit_relative import side_of
from export.models.vit_sizes import read_depth, read_size
from export.models.vit_windows import Grid, Windows, check_windows
from export.models.vitpose_decoders import BOTTOM_UP
from export.models.vitpose_sizes import PUBLISHED, STRIDES, Plan, plan_of, spell_plan
from export.registry import Hints, Variant
from runtimes.errors import CheckpointError

State = Mapping[str, torch.Tensor]
FINAL = "head.final_layer.weight"
FIRST_DECONV, SECOND_DECONV = (f"head.deconv_layers.{index}.weight" for index in (0, 3))
MARKS = ("backbone.pos_embed", "backbone.patch_embed.projection.weight", FINAL)
TABLE = "backbone.layers.{}.attn.rel_pos_h"
# Of Sapiens, which has the same backbone.
SAPIENS_MARK = "head.conv_layers.0.weight"


def read_variant(state: State, hints: Hints) -> Variant | None:
    """Return the network; None where the tensors are not ViTPose's.

    Raises CheckpointError where they are, but blocks, heads or the aspect are unknown, or where they are not of the
    size that `hints` spells out.
    """
    if any(key not in state for key in MARKS) or SAPIENS_MARK in state:
        return None
    positions, patches, final = (state[key] for key in MARKS)
    if (positions.ndim, patches.ndim, final.ndim) != (3, 4, 4):
        return None
    if patches.shape[2:] != (PATCH, PATCH):
        return None
    plan = _spelled(state, hints) if hints.size else _plan(state, hints)
    keypoints = final.shape[0]
    if plan.decoder == "-pixelshuffle":
        keypoints //= plan.upscale**2
    elif plan.is_bottom_up:
        keypoints //= 2
    input_wh = _input_wh(spell_plan(plan), positions.shape[1], hints.input_wh, plan.stride)
    grid = grid_of(input_wh, padding_of(plan.stride), plan.stride)
    if not hints.size:
        plan = replace(plan, windows=_windows(state, plan.backbone.depth, grid))
    check_windows(plan.windows, grid)
    return Variant("vitpose", spell_plan(plan), input_wh, schema=keypoint_schema(keypoints))


def _plan(state: State, hints: Hints) -> Plan:
    """Return what the tensors show, with full attention."""
    dim = state[MARKS[1]].shape[0]
    table = state.get(TABLE.format(0))
    if table is not None and table.ndim == 2 and table.shape[1]:  # as wide as a head
        hints = replace(hints, heads=hints.heads or dim // table.shape[1])
    backbone = read_size("vitpose", state, dim, PUBLISHED, hints)
    stride = _stride(state, hints)
    # two deconvolutions on features of stride 8 give heatmaps of stride 2
    map_stride = 2 if stride == 8 and SECOND_DECONV in state else 4
    plan = Plan(backbone, "", int("backbone.token" in state), stride, map_stride)
    return replace(plan, decoder=_decoder(state, hints, plan.upscale))


def _windows(state: State, depth: int, grid: Grid) -> Windows | None:
    """Return the windows that tables of relative positions show: square ones, of which some blocks may have none.

    None without tables. Whether windows are shifted or pooled is not shown. Raises CheckpointError where the tables
    are those of no interval of full attention.
    """
    tables = [state.get(TABLE.format(block)) for block in range(depth)]
    sides = [0 if table is None else side_of(table) for table in tables]
    if not any(sides):
        return None
    side, full = sides[0], max(grid)
    interval = next((block + 1 for block, each in enumerate(sides) if each != side), 0)
    wanted = [full if interval and (block + 1) % interval == 0 else side for block in range(depth)]
    if sides != wanted:
        raise CheckpointError(
            f"looks like vitpose, but its blocks have relative positions for windows of {sides} patches; "
            "give --size, or --input WxH, the size that it was trained at"
        )
    return Windows(
        None if side == full and not interval else (side, side), interval=interval, relative=True
    )


def _spelled(state: State, hints: Hints) -> Plan:
    """Return the user's plan; raises CheckpointError where the tensors have another width or depth."""
    plan = plan_of(hints.size)
    dim, depth = state[MARKS[1]].shape[0], read_depth("vitpose", state)
    if (dim, depth) != (plan.backbone.dim, plan.backbone.depth):
        raise CheckpointError(
            f"is {dim}x{depth} (channels x blocks), but --size says {hints.size}; correct --size"
        )
    return plan


def _stride(state: State, hints: Hints) -> int:
    """Return the stride that a config says, or 8 for a lone deconvolution, which then ends at maps of stride 4.

    The input size does not tell: 96x128 at stride 8 has as many patches as 192x256 at stride 16.
    """
    if hints.stride in STRIDES:
        return hints.stride
    return 8 if FIRST_DECONV in state and SECOND_DECONV not in state else PATCH


def _decoder(state: State, hints: Hints, upscale: int) -> str:
    """Return the decoder; a 1x1 convolution has a channel a keypoint, or one a bin of the enlarged maps (eq. 4).

    Tags double the channels after deconvolutions, which shows only where the keypoints are named.
    """
    channels, _, kernel, _ = state[FINAL].shape
    if FIRST_DECONV in state:
        return BOTTOM_UP if hints.keypoint_count == channels / 2 else ""
    if kernel > 1:
        return "-simple"
    known = (hints.keypoint_count,) if hints.keypoint_count else tuple(SCHEMA_OF_COUNT)
    shuffled = channels not in known and channels / upscale**2 in known
    return "-pixelshuffle" if shuffled else "-minimal"


def _input_wh(
    size: str, tokens: int, hinted: tuple[int, int] | None, stride: int
) -> tuple[int, int]:
    """Return the input size with `tokens` patches: the hinted one, else aspect 3:4 (all that is published) or 1:1.

    Tensors show only that number; for other sizes the positions are interpolated after loading.
    """
    if hinted is not None and fits_positions(hinted, tokens, stride):
        return hinted
    for columns, rows in ((3, 4), (1, 1)):
        unit = math.isqrt(tokens // (columns * rows))
        sides = columns * unit * stride, rows * unit * stride
        if unit and columns * rows * unit**2 == tokens and not any(s % PATCH for s in sides):
            return sides
    raise CheckpointError(
        f"looks like vitpose-{size}, but {tokens} positions are no grid of aspect 3:4 or 1:1; "
        "give --input WxH, the size that it was trained at"
    )
