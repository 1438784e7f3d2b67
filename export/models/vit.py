"""The plain vision transformer (arXiv:2010.11929) under ViTPose and Sapiens: no class token, positions learned.

Parameter names are mmpretrain's, the keys of official state dicts. Attention has tensors of at most 4 axes, because
ncnn supports no more.
"""

import copy

import torch
from torch import nn
from torch.nn.functional import interpolate, scaled_dot_product_attention

from export.models.vit_sizes import VitSize

PATCH = 16
PADDING = 2
LN_EPS = 1e-6
Grid = tuple[int, int]  # rows, columns of patches


def grid_of(input_wh: tuple[int, int], padding: int = PADDING) -> Grid:
    """Return the rows and columns of 16x16 patches of an input padded by `padding` pixels on each side."""
    width, height = ((side + 2 * padding - PATCH) // PATCH + 1 for side in input_wh)
    return height, width


def fits_positions(input_wh: tuple[int, int] | None, tokens: int) -> bool:
    """Return whether an input of that size has as many patches as there are positions; False for None."""
    if input_wh is None or any(side < PATCH or side % PATCH for side in input_wh):
        return False
    rows, columns = grid_of(input_wh)
    return rows * columns == tokens


def resize_positions(positions: torch.Tensor, grid: Grid, wanted: Grid) -> torch.Tensor:
    """Interpolate learned positions (1, rows * columns, C) to another grid, bicubic as in mmpretrain."""
    plane = positions.unflatten(1, grid).permute(0, 3, 1, 2)
    plane = interpolate(plane, size=wanted, mode="bicubic", align_corners=False)
    return plane.flatten(2).transpose(1, 2).contiguous()


class Attention(nn.Module):
    """Multi-head self-attention with one matrix for q, k and v."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(dim, 3 * dim)
        self.proj = nn.Linear(dim, dim)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Attend over the tokens of (B, N, C)."""
        query, key, value = (self._by_head(part) for part in self.qkv(x).chunk(3, dim=-1))
        mixed = scaled_dot_product_attention(query, key, value)
        return self.proj(mixed.transpose(1, 2).reshape(-1, x.shape[1], x.shape[2]))

    def _by_head(self, x: torch.Tensor) -> torch.Tensor:
        tokens, dim = x.shape[1:]
        return x.reshape(-1, tokens, self.heads, dim // self.heads).transpose(1, 2)


class FeedForward(nn.Module):
    """Two linear layers with an exact GELU between; the nesting is that of mmcv's FFN."""

    def __init__(self, dim: int, hidden: int) -> None:
        super().__init__()
        first = nn.Sequential(nn.Linear(dim, hidden), nn.GELU())
        self.layers = nn.Sequential(first, nn.Linear(hidden, dim))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Run both layers on the last axis."""
        return self.layers(x)


class Block(nn.Module):
    """Attention and feed-forward, each after a layer norm and beside a skip connection."""

    def __init__(self, dim: int, heads: int, hidden: int) -> None:
        super().__init__()
        self.ln1 = nn.LayerNorm(dim, eps=LN_EPS)
        self.attn = Attention(dim, heads)
        self.ln2 = nn.LayerNorm(dim, eps=LN_EPS)
        self.ffn = FeedForward(dim, hidden)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Run the block on (B, N, C)."""
        x = x + self.attn(self.ln1(x))
        return x + self.ffn(self.ln2(x))


class PatchEmbed(nn.Module):
    """One strided convolution from pixels to patches."""

    def __init__(self, dim: int, padding: int) -> None:
        super().__init__()
        self.projection = nn.Conv2d(3, dim, PATCH, PATCH, padding=padding)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Return (B, C, rows, columns)."""
        return self.projection(image)


class Vit(nn.Module):
    """A normalised image, float32 (B, 3, H, W) of exactly `input_wh`, to features (B, C, rows, columns).

    tokens: number of knowledge tokens (ViTPose++, arXiv:2212.04246, section 3.4), learned vectors that go through the
    blocks after the patches and are dropped before the features.
    """

    def __init__(
        self,
        size: VitSize,
        input_wh: tuple[int, int],
        *,
        padding: int = PADDING,
        mlp_ratio: int = 4,
        tokens: int = 0,
    ) -> None:
        super().__init__()
        self.padding = padding
        self.grid = grid_of(input_wh, padding)
        self.patch_embed = PatchEmbed(size.dim, padding)
        self.pos_embed = nn.Parameter(torch.zeros(1, self.grid[0] * self.grid[1], size.dim))
        self.token = nn.Parameter(torch.zeros(1, tokens, size.dim)) if tokens else None
        hidden = mlp_ratio * size.dim
        self.layers = nn.Sequential(
            *(Block(size.dim, size.heads, hidden) for _ in range(size.depth))
        )
        self.ln1 = nn.LayerNorm(size.dim, eps=LN_EPS)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Return the tokens of the last block, normalised, in the layout of an image."""
        tokens = self.patch_embed(image).flatten(2).transpose(1, 2) + self.pos_embed
        if self.token is not None:
            beside = self.token.expand(tokens.shape[0], -1, -1)
            tokens = self.layers(torch.cat([tokens, beside], dim=1))
            tokens = self.ln1(tokens[:, : self.grid[0] * self.grid[1]])
        else:
            tokens = self.ln1(self.layers(tokens))
        return tokens.transpose(1, 2).reshape(-1, tokens.shape[2], *self.grid)

    def stretch(self, input_wh: tuple[int, int]) -> None:
        """Interpolate the positions for inputs of another size, in place."""
        wanted = grid_of(input_wh, self.padding)
        if wanted != self.grid:
            stretched = resize_positions(self.pos_embed.detach(), self.grid, wanted)
            self.pos_embed = nn.Parameter(stretched, requires_grad=self.pos_embed.requires_grad)
            self.grid = wanted


def at_input(module: nn.Module, input_wh: tuple[int, int]) -> nn.Module:
    """Return the network for another input size; it shares every weight but the positions of its transformers.

    A network without a transformer is returned itself.
    """
    if not any(isinstance(part, Vit) for part in module.modules()):
        return module
    shared = {id(tensor): tensor for tensor in (*module.parameters(), *module.buffers())}
    resized = copy.deepcopy(module, dict(shared))
    for part in resized.modules():
        if isinstance(part, Vit):
            part.stretch(input_wh)
    return resized
