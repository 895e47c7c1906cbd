"""Pairwise products of two feature sets in blocks: nothing of size N x M is ever held."""

from collections.abc import Iterator

import torch
from torch import Tensor

BLOCK_ELEMENTS = 2**22  # float64: 32 MiB, and as much for each temporary
ROUNDING = 1e-12  # of a product of some thousand float64 values, relative to the squared norms


def row_blocks(num_rows: int, num_columns: int) -> Iterator[slice]:
    """Slices of rows whose block of num_columns stays small."""
    step = max(1, min(num_rows, BLOCK_ELEMENTS // max(1, num_columns)))
    for first in range(0, num_rows, step):
        yield slice(first, min(first + step, num_rows))


def squared_distances(rows: Tensor, columns: Tensor) -> Tensor:
    """Squared Euclidean distances (N, M) of rows (N, D) and columns (M, D), both float64.

    Of equal vectors exactly 0: more copies than neighbours have balls of radius 0.
    """
    products = rows @ columns.T
    norms = rows.square().sum(1)[:, None] + columns.square().sum(1)[None]
    distances = torch.sub(norms, products, alpha=2)
    return distances.masked_fill_(distances < norms.mul_(ROUNDING), 0)
