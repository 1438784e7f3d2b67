"""Window attention of a plain vision transformer: fixed, shifted and pooled windows (ViTPose++, arXiv:2212.04246, 3.3).

The blocks keep their tensors, so windows are part of a size's name and not of a checkpoint. The authors published no
code of it for poses. Windows follow their ViTDet (ViTAE-Transformer/ViTDet, mmdet/models/backbones/vit.py): `interval`
puts full attention into every n-th block. Shifts follow Swin (arXiv:2103.14030): every second block, by half a window,
with a mask between tokens that are no neighbours. Pooling follows the paper's text: the mean token of each window is
a key and a value in all windows.

Every tensor has at most 4 axes with the batch first, because ncnn supports no more.
"""

import re
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn.functional import scaled_dot_product_attention

from export.models.vit_attention import Attention
from runtimes.errors import CheckpointError

Grid = tuple[int, int]  # rows, columns of patches
SPELLED = re.compile(r"-window(\d{1,3})x(\d{1,3})(-shift)?(-pool)?(?:-full(\d{1,2}))?")
# Added to the logits of pairs that do not attend to each other: exp() of it is 0, and float16 holds it.
MASKED = -1e4


@dataclass(frozen=True, slots=True)
class Windows:
    """Windows of `wh` patches, columns first as in every size here.

    shift: blocks 1, 3, 5, ... shift their windows by half. pool: the mean tokens of all windows are keys and values
    too. interval: blocks interval - 1, 2 * interval - 1, ... attend to all patches; 0 for none.
    """

    wh: tuple[int, int]
    shift: bool = False
    pool: bool = False
    interval: int = 0


def parse_windows(text: str) -> Windows | None:
    """Return the windows that a part of a size's name means, such as `-window8x8-shift-pool-full3`; None for others."""
    found = SPELLED.fullmatch(text)
    if found is None or not int(found[1]) or not int(found[2]):
        return None
    wh = int(found[1]), int(found[2])
    return Windows(wh, bool(found[3]), bool(found[4]), int(found[5] or 0))


def spell_windows(windows: Windows | None) -> str:
    """Return the part of a size's name that `parse_windows` reads; empty for full attention."""
    if windows is None:
        return ""
    width, height = windows.wh
    every = f"-full{windows.interval}" if windows.interval else ""
    return f"-window{width}x{height}" + "-shift" * windows.shift + "-pool" * windows.pool + every


def check_windows(windows: Windows | None, grid: Grid) -> None:
    """Raise CheckpointError unless whole windows cover the grid."""
    if windows is None:
        return
    (rows, columns), (width, height) = grid, windows.wh
    if columns % width or rows % height:
        raise CheckpointError(
            f"windows of {width}x{height} patches do not divide a grid of {columns}x{rows}; give an input size, "
            "or windows, that fit"
        )


def attention_of(
    block: int, dim: int, heads: int, windows: Windows | None, grid: Grid
) -> Attention:
    """Return the attention of the block with that index."""
    if windows is None or (windows.interval and (block + 1) % windows.interval == 0):
        return Attention(dim, heads)
    made = WindowAttention(dim, heads, windows, shift=block % 2 if windows.shift else 0)
    made.place(grid)
    return made


class WindowAttention(Attention):
    """Self-attention within windows, on tokens (B, rows * columns, C) in the order of an image.

    shift: 1 for windows moved right and down by half their size, 0 for none.
    """

    def __init__(self, dim: int, heads: int, windows: Windows, shift: int) -> None:
        super().__init__(dim, heads)
        self.windows = windows
        self.shift = shift
        self.grid: Grid = (0, 0)
        self.moved: Grid = (0, 0)
        self.register_buffer("mask", None, persistent=False)

    def place(self, grid: Grid) -> None:
        """Set the grid of the tokens; raises CheckpointError where whole windows do not cover it."""
        check_windows(self.windows, grid)
        width, height = self.windows.wh
        sizes = ((grid[0], height), (grid[1], width))
        rows, columns = (self.shift * (size // 2) * (total > size) for total, size in sizes)
        self.grid, self.moved = grid, (rows, columns)
        self.mask = self._mask() if rows or columns else None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Attend over the windows of (B, N, C)."""
        x = self._partition(self._roll(x, *self.moved))
        query, key, value = (self._by_window(part) for part in self.qkv(x).chunk(3, dim=-1))
        if self.windows.pool:
            key, value = (torch.cat([part, self._pooled(part)], dim=2) for part in (key, value))
        mixed = scaled_dot_product_attention(query, key, value, attn_mask=self.mask)
        tokens, dim = x.shape[1:]
        mixed = mixed.reshape(-1, self.heads, tokens, dim // self.heads).transpose(1, 2)
        mixed = self._assemble(self.proj(mixed.reshape(-1, tokens, dim)))
        rows, columns = self.moved
        return self._roll(mixed, -rows, -columns)

    def _roll(self, x: torch.Tensor, rows: int, columns: int) -> torch.Tensor:
        """Move tokens up and left, around the edges; slices, because ncnn has no roll."""
        tokens, dim = x.shape[1:]
        if rows:
            first = rows * self.grid[1] % tokens
            x = torch.cat([x[:, first:], x[:, :first]], dim=1)
        if columns:
            x = x.reshape(-1, self.grid[0], self.grid[1] * dim)
            first = columns * dim % (self.grid[1] * dim)
            x = torch.cat([x[:, :, first:], x[:, :, :first]], dim=2).reshape(-1, tokens, dim)
        return x

    def _partition(self, x: torch.Tensor) -> torch.Tensor:
        """Reorder tokens (B, N, C) from rows of the image to window after window, a strip of windows at a time."""
        dim = x.shape[2]
        width, height = self.windows.wh
        across = self.grid[1] // width
        strips = [
            strip.reshape(-1, height, across, width * dim)
            .transpose(1, 2)
            .reshape(-1, height * self.grid[1], dim)
            for strip in x.chunk(self.grid[0] // height, dim=1)
        ]
        return torch.cat(strips, dim=1)

    def _assemble(self, x: torch.Tensor) -> torch.Tensor:
        """Reorder tokens back: the inverse of `_partition`."""
        dim = x.shape[2]
        width, height = self.windows.wh
        across = self.grid[1] // width
        strips = [
            strip.reshape(-1, across, height, width * dim)
            .transpose(1, 2)
            .reshape(-1, height * self.grid[1], dim)
            for strip in x.chunk(self.grid[0] // height, dim=1)
        ]
        return torch.cat(strips, dim=1)

    def _by_window(self, x: torch.Tensor) -> torch.Tensor:
        """(B, N, C) -> (B, heads * windows, tokens of a window, C / heads); heads vary slowest."""
        per = self.windows.wh[0] * self.windows.wh[1]
        return self._by_head(x).reshape(
            -1, self.heads * (x.shape[1] // per), per, x.shape[2] // self.heads
        )

    def _pooled(self, x: torch.Tensor) -> torch.Tensor:
        """(B, heads * windows, tokens, c) -> (B, heads * windows, windows, c): every window's mean, for all of them."""
        together, channels = x.shape[1], x.shape[3]
        count = together // self.heads
        means = x.mean(dim=2).reshape(-1, self.heads, count * channels)
        return torch.cat([means] * count, dim=2).reshape(-1, together, count, channels)

    def _mask(self) -> torch.Tensor:
        """Return (1, heads * windows, tokens, keys): MASKED between tokens of which one came around an edge."""
        # of no parameter, it is not loaded: it must hold numbers where the network is built without memory
        device = "cpu" if self.qkv.weight.is_meta else self.qkv.weight.device
        around = [
            torch.arange(total, device=device) >= total - moved
            for total, moved in zip(self.grid, self.moved, strict=True)
        ]
        region = 2 * around[0][:, None] + around[1][None, :].int()
        per = self.windows.wh[0] * self.windows.wh[1]
        by_window = self._partition(region.reshape(1, -1, 1)).reshape(-1, per)
        apart = (by_window[:, :, None] != by_window[:, None, :]).float() * MASKED
        if self.windows.pool:
            apart = nn.functional.pad(apart, (0, len(by_window)))
        return apart.repeat(self.heads, 1, 1)[None]
