"""The pictures of what a method made on its way to the swap of a photo."""

from __future__ import annotations

from pathlib import Path

from sosie.media.image_write import save_photo
from sosie.media.photo import array_photo
from sosie.output import check_output, make_folder
from sosie.swapping.frame import SwappedFrame


def write_stages(swapped: SwappedFrame, folder: Path, overwrite: bool) -> None:
    """Write FACE-NUMBER-STAGE.png of each stage of each face into a folder; both count from 1.

    Raises OutputError where one is there already and `overwrite` is not given, or the folder cannot
    be written.
    """
    pictures = {
        folder / f"{face}-{number}-{name}.png": pixels
        for face, patch in enumerate(swapped.patches, 1)
        for number, (name, pixels) in enumerate(patch.stages.items(), 1)
    }
    make_folder(folder)
    for file in pictures:
        check_output(file, overwrite=overwrite)
    for file, pixels in pictures.items():
        save_photo(array_photo(pixels), file, overwrite=True)
