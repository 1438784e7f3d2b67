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
from export.models.vit_relative import relative_logits, spread_over_keys, table_rows
from runtimes.errors import CheckpointError

Grid = tuple[int, int]  # rows, columns of patches
SPELLED = re.compile(
    r"(?:-window(\d{1,3})x(\d{1,3})(-shift)?(-pool)?(?:-full(\d{1,2}))?)?(-relpos)?"
)
# Added to the logits of pairs that do not attend to each other: exp() of it is 0, and float16 holds it.
MASKED = -1e4


@dataclass(frozen=True, slots=True)
class Windows:
    """Windows of `wh` patches, columns first as in every size here; None: one over all patches.

    shift: blocks 1, 3, 5, ... shift their windows by half. pool: the mean tokens of all windows are keys and values
    too. interval: blocks interval - 1, 2 * interval - 1, ... attend to all patches; 0 for none. relative: each block
    has relative positions (`vit_relative`).
    """

    wh: tuple[int, int] | None
    shift: bool = False
    pool: bool = False
    interval: int = 0
    relative: bool = False

    @property
    def keeps_grid(self) -> bool:
        """Whether some block has relative positions of the whole grid, which fit no other."""
        return self.relative and (self.wh is None or self.interval > 0)


def parse_windows(text: str) -> Windows | None:
    """Return the windows that a part of a size's name means, such as `-window8x8-shift-pool-full3`; None for others."""
    found = SPELLED.fullmatch(text)
    if found is None or not text or "0" in {found[1], found[2]}:
        return None
    wh = (int(found[1]), int(found[2])) if found[1] else None
    return Windows(wh, bool(found[3]), bool(found[4]), int(found[5] or 0), bool(found[6]))


def spell_windows(windows: Windows | None) -> str:
    """Return the part of a size's name that `parse_windows` reads; empty for full attention."""
    if windows is None:
        return ""
    relative = "-relpos" if windows.relative else ""
    if windows.wh is None:
        return relative
    width, height = windows.wh
    every = f"-full{windows.interval}" if windows.interval else ""
    kinds = "-shift" * windows.shift + "-pool" * windows.pool
    return f"-window{width}x{height}{kinds}{every}{relative}"


def check_windows(windows: Windows | None, grid: Grid) -> None:
    """Raise CheckpointError unless whole windows cover the grid."""
    if windows is None or windows.wh is None:
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
    if windows is None:
        return Attention(dim, heads)
    if windows.wh is None or (windows.interval and (block + 1) % windows.interval == 0):
        if not windows.relative:
            return Attention(dim, heads)
        windows = Windows((grid[1], grid[0]), relative=True)
    made = WindowAttention(dim, heads, windows, shift=block % 2 if windows.shift else 0)
    made.place(grid)
    return made


class WindowAttention(Attention):
    """Self-attention within windows, on tokens (B, rows * columns, C) in the order of an image.

    shift: 1 for windows moved right and down by half their size, 0 for none.
    """

    def __init__(self, dim: int, heads: int, windows: Windows, shift: int) -> None:
        super().__init__(dim, heads)
        if windows.wh is None:
            raise ValueError("windows of attention have a size")
        self.wh = windows.wh
        self.pool = windows.pool
        self.shift = shift
        self.grid: Grid = (0, 0)
        self.moved: Grid = (0, 0)
        for name in ("rel_pos_h", "rel_pos_w"):
            table = torch.zeros(table_rows(self.wh), dim // heads) if windows.relative else None
            self.register_parameter(name, None if table is None else nn.Parameter(table))
        for name in ("mask", "spread"):
            self.register_buffer(name, None, persistent=False)

    def place(self, grid: Grid) -> None:
        """Set the grid of the tokens; raises CheckpointError where whole windows do not cover it."""
        check_windows(Windows(self.wh), grid)
        width, height = self.wh
        sizes = ((grid[0], height), (grid[1], width))
        rows, columns = (self.shift * (size // 2) * (total > size) for total, size in sizes)
        self.grid, self.moved = grid, (rows, columns)
        self.mask = self._mask() if rows or columns else None
        if self.rel_pos_h is not None:
            count = grid[0] * grid[1] // (width * height) if self.pool else 0
            self.spread = spread_over_keys(self.wh, count).to(self._device())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Attend over the windows of (B, N, C)."""
        x = self._partition(self._roll(x, *self.moved))
        query, key, value = (self._by_window(part) for part in self.qkv(x).chunk(3, dim=-1))
        if self.pool:
            key, value = (torch.cat([part, self._pooled(part)], dim=2) for part in (key, value))
        mixed = scaled_dot_product_attention(query, key, value, attn_mask=self._added(query))
        tokens, dim = x.shape[1:]
        mixed = mixed.reshape(-1, self.heads, tokens, dim // self.heads).transpose(1, 2)
        mixed = self._assemble(self.proj(mixed.reshape(-1, tokens, dim)))
        rows, columns = self.moved
        return self._roll(mixed, -rows, -columns)

    def _added(self, query: torch.Tensor) -> torch.Tensor | None:
        """Return what is added to the logits: relative positions and the mask; None for neither."""
        if self.rel_pos_h is None:
            return self.mask
        scaled = query * query.shape[3] ** -0.5
        added = relative_logits(scaled, (self.rel_pos_h, self.rel_pos_w), self.spread, self.wh)
        return added if self.mask is None else added + self.mask

    def _device(self) -> torch.device:
        """Return the device of what is computed, not loaded: it holds numbers where weights have no memory yet."""
        return torch.device("cpu") if self.qkv.weight.is_meta else self.qkv.weight.device

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
        """Reorder tokens (B, N, C) from rows of the image to window after window."""
        width, height = self.wh
        return self._transpose(x, height, self.grid[1] // width)

    def _assemble(self, x: torch.Tensor) -> torch.Tensor:
        """Reorder tokens back: the inverse of `_partition`."""
        width, height = self.wh
        return self._transpose(x, self.grid[1] // width, height)

    def _transpose(self, x: torch.Tensor, first: int, second: int) -> torch.Tensor:
        """Exchange two axes of the tokens (first, second, window's width) of each strip of windows."""
        dim = x.shape[2]
        width, height = self.wh
        if self.grid[1] == width:
            return x
        count = self.grid[0] // height
        # of one strip there is nothing to split: litert-torch does not convert that
        strips = [
            strip.reshape(-1, first, second, width * dim)
            .transpose(1, 2)
            .reshape(-1, height * self.grid[1], dim)
            for strip in (x.chunk(count, dim=1) if count > 1 else [x])
        ]
        return torch.cat(strips, dim=1) if count > 1 else strips[0]

    def _by_window(self, x: torch.Tensor) -> torch.Tensor:
        """(B, N, C) -> (B, heads * windows, tokens of a window, C / heads); heads vary slowest."""
        per = self.wh[0] * self.wh[1]
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
        device = self._device()
        around = [
            torch.arange(total, device=device) >= total - moved
            for total, moved in zip(self.grid, self.moved, strict=True)
        ]
        region = 2 * around[0][:, None] + around[1][None, :].int()
        per = self.wh[0] * self.wh[1]
        by_window = self._partition(region.reshape(1, -1, 1)).reshape(-1, per)
        apart = (by_window[:, :, None] != by_window[:, None, :]).float() * MASKED
        if self.pool:
            apart = nn.functional.pad(apart, (0, len(by_window)))
        return apart.repeat(self.heads, 1, 1)[None]
