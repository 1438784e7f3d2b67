"""Multi-head self-attention of vision transformers, over all tokens of an image.

Tensors have at most 4 axes, because ncnn supports no more.
"""

import torch
from torch import nn
from torch.nn.functional import scaled_dot_product_attention


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
