"""Rotary tables that are computed once a picture: positions are the same in each of its passes."""

from typing import Any

import torch

_KEPT = 3  # tables: of the image, and of two texts of guidance that are not as long

_Tables = tuple[torch.Tensor, torch.Tensor]  # cosines, sines


class KeptTables(torch.nn.Module):
    """Tables (tokens, head size) by another module, known by the tensor of their positions, which may not change."""

    def __init__(self, tables: torch.nn.Module) -> None:
        super().__init__()
        self.tables = tables
        self._kept: list[tuple[torch.Tensor, _Tables]] = []

    def forward(self, ids: torch.Tensor) -> _Tables:
        for positions, tables in self._kept:
            if positions is ids:
                return tables
        made: _Tables = self.tables(ids)
        self._kept = [*self._kept[1 - _KEPT :], (ids, made)]
        return made


def keep_tables(transformer: Any) -> None:
    """In place, whichever module computes them."""
    transformer.pos_embed = KeptTables(transformer.pos_embed)
