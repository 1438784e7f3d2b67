"""The plain vision transformer (arXiv:2010.11929) under ViTPose and Sapiens: no class token, positions learned.

Parameter names are mmpretrain's, the keys of official state dicts.
"""

import copy

import torch
from torch import nn
from torch.nn.functional import interpolate

from export.models.vit_attention import Attention
from export.models.vit_sizes import VitSize
from export.models.vit_windows import Grid, WindowAttention, Windows, attention_of

PATCH = 16
PADDING = 2
LN_EPS = 1e-6


def grid_of(input_wh: tuple[int, int], padding: int = PADDING, stride: int = PATCH) -> Grid:
    """Return the rows and columns of 16x16 patches, `stride` pixels apart, of an input padded on each side."""
    width, height = ((side + 2 * padding - PATCH) // stride + 1 for side in input_wh)
    return height, width


def padding_of(stride: int) -> int:
    """Return the padding with which patches `stride` apart give H / stride rows: 2, 4 and 6 for 16, 8 and 4.

    The authors' `ratio` (ViTAE-Transformer/ViTPose, mmpose/models/backbones/vit.py) is 16 / stride.
    """
    return 4 + 2 * (PATCH // stride // 2 - 1)


def fits_positions(input_wh: tuple[int, int] | None, tokens: int, stride: int = PATCH) -> bool:
    """Return whether an input of that size has as many patches as there are positions; False for None."""
    if input_wh is None or any(side < PATCH or side % PATCH for side in input_wh):
        return False
    rows, columns = grid_of(input_wh, padding_of(stride), stride)
    return rows * columns == tokens


def resize_positions(positions: torch.Tensor, grid: Grid, wanted: Grid) -> torch.Tensor:
    """Interpolate learned positions (1, rows * columns, C) to another grid, bicubic as in mmpretrain."""
    plane = positions.unflatten(1, grid).permute(0, 3, 1, 2)
    plane = interpolate(plane, size=wanted, mode="bicubic", align_corners=False)
    return plane.flatten(2).transpose(1, 2).contiguous()


class FeedForward(nn.Module):
    """Two linear layers with an exact GELU between; the nesting is that of mmcv's FFN."""

    def __init__(self, dim: int, hidden: int) -> None:
        super().__init__()
        # the authors' weights need GELU, where equation 10 of ViTPose++ (arXiv:2212.04246) has a ReLU
        first = nn.Sequential(nn.Linear(dim, hidden), nn.GELU())
        self.layers = nn.Sequential(first, nn.Linear(hidden, dim))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Run both layers on the last axis."""
        return self.layers(x)


class Block(nn.Module):
    """Attention and feed-forward, each after a layer norm and beside a skip connection."""

    def __init__(self, dim: int, attention: Attention, hidden: int) -> None:
        super().__init__()
        self.ln1 = nn.LayerNorm(dim, eps=LN_EPS)
        self.attn = attention
        self.ln2 = nn.LayerNorm(dim, eps=LN_EPS)
        self.ffn = FeedForward(dim, hidden)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Run the block on (B, N, C)."""
        x = x + self.attn(self.ln1(x))
        return x + self.ffn(self.ln2(x))


class PatchEmbed(nn.Module):
    """One strided convolution from pixels to patches; they overlap where the stride is below their side."""

    def __init__(self, dim: int, padding: int, stride: int) -> None:
        super().__init__()
        self.projection = nn.Conv2d(3, dim, PATCH, stride, padding=padding)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Return (B, C, rows, columns)."""
        return self.projection(image)


class Vit(nn.Module):
    """A normalised image, float32 (B, 3, H, W) of exactly `input_wh`, to features (B, C, rows, columns).

    tokens: number of knowledge tokens (ViTPose++, arXiv:2212.04246, section 3.4), learned vectors that go through the
    blocks after the patches and are dropped before the features. stride: pixels from patch to patch, 16, 8 or 4.
    windows: of the attention (3.3); None for all patches. Raises CheckpointError where they do not divide the grid.
    """

    def __init__(
        self,
        size: VitSize,
        input_wh: tuple[int, int],
        *,
        padding: int = PADDING,
        mlp_ratio: int = 4,
        tokens: int = 0,
        stride: int = PATCH,
        windows: Windows | None = None,
    ) -> None:
        super().__init__()
        self.padding = padding
        self.stride = stride
        self.grid = grid_of(input_wh, padding, stride)
        self.patch_embed = PatchEmbed(size.dim, padding, stride)
        self.pos_embed = nn.Parameter(torch.zeros(1, self.grid[0] * self.grid[1], size.dim))
        self.token = nn.Parameter(torch.zeros(1, tokens, size.dim)) if tokens else None
        hidden = mlp_ratio * size.dim
        self.layers = nn.Sequential(
            *(
                Block(size.dim, attention_of(i, size.dim, size.heads, windows, self.grid), hidden)
                for i in range(size.depth)
            )
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
        wanted = grid_of(input_wh, self.padding, self.stride)
        if wanted != self.grid:
            for part in self.layers.modules():
                if isinstance(part, WindowAttention):
                    part.place(wanted)
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
