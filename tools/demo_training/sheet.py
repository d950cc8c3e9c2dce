"""Pictures side by side in one PNG, to look at while something trains. Knows nothing of what they show."""

from pathlib import Path

import torch
from PIL import Image
from torch import Tensor


def save_sheet(pictures: Tensor, columns: int, path: Path) -> None:
    """`pictures` (n, 3, h, w), 0 to 1, row by row with a margin of two pixels."""
    height, width = (side + 4 for side in pictures.shape[2:])
    rows = -(-len(pictures) // columns)
    sheet = torch.ones(3, rows * height, columns * width)
    for index, picture in enumerate(pictures.cpu()):
        top, left = index // columns * height + 2, index % columns * width + 2
        sheet[:, top : top + height - 4, left : left + width - 4] = picture.clamp(0, 1)
    Image.fromarray((sheet.permute(1, 2, 0) * 255).round().byte().numpy()).save(path)
