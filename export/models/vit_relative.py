"""Relative positions of attention: learned offsets of rows and of columns between a query and a key.

After ViTAE-Transformer/ViTDet (mmdet/models/backbones/vit.py), by ViTPose's authors: tensors `rel_pos_h` and
`rel_pos_w` (2 * side - 1, channels of a head), multiplied with the scaled query. Both have as many rows as the longer
side needs. Detectron2's and SAM's tables look alike, but are multiplied with the query before it is scaled.

The offsets of a row of queries are a slice of the table, and a constant matrix spreads them over the keys: there is no
gather, and no tensor has more than 4 axes, because ncnn supports neither.
"""

import torch

Size = tuple[int, int]  # width, height of a window, in patches


def table_rows(window_wh: Size) -> int:
    """Return the rows of each table."""
    return 2 * max(window_wh) - 1


def side_of(table: torch.Tensor) -> int:
    """Return the longer side of the window that a table is for."""
    return (table.shape[0] + 1) // 2


def relative_logits(
    query: torch.Tensor, tables: tuple[torch.Tensor, torch.Tensor], spread: torch.Tensor, wh: Size
) -> torch.Tensor:
    """Return what is added to logits: (B, G, height * width, keys) of scaled queries (B, G, height * width, c).

    tables: of rows and columns. spread: `spread_over_keys`.
    """
    width, height = wh
    groups, tokens, channels = query.shape[1:]
    rows = torch.cat(
        [
            torch.matmul(
                query[:, :, y * width : (y + 1) * width], tables[0][y : y + height].transpose(0, 1)
            )
            for y in range(height)
        ],
        dim=2,
    )
    lines = query.reshape(-1, groups, height, width * channels)
    columns = torch.cat(
        [
            torch.matmul(
                lines[..., x * channels : (x + 1) * channels],
                tables[1][x : x + width].transpose(0, 1),
            )
            for x in range(width)
        ],
        dim=3,
    ).reshape(-1, groups, tokens, width)
    return torch.matmul(torch.cat([rows, columns], dim=3), spread)


def spread_over_keys(wh: Size, others: int = 0) -> torch.Tensor:
    """Return 0 and 1, float32 (height + width, keys): which offsets each key of a window takes.

    The offsets of a query run from the last row (column) of the window to the first. others: keys without a place,
    behind those of the window, which take none.
    """
    width, height = wh
    places = torch.arange(height * width, device="cpu")
    of_row = torch.arange(height, device="cpu").flip(0)[:, None] == places // width
    of_column = torch.arange(width, device="cpu").flip(0)[:, None] == places % width
    return torch.nn.functional.pad(torch.cat([of_row, of_column]).float(), (0, others))
