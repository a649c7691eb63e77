"""The template of a fold, as a fit reads it."""

from pathlib import Path

import numpy as np

from harmonization.images.nifti import read_image


class Template:
    """Template of a fold, and the warps of its training and validation subjects.

    Parameters
    ----------
    image : Path
    *warps : Path
        Two for each subject: where the template's voxels lie in the head, and the other way round.
    subjects : list of str
    """

    def __init__(self, image: Path, *warps: Path, subjects: list[str]) -> None:
        self.image, _ = read_image(image)
        self._warps = dict(zip(subjects, zip(warps[::2], warps[1::2], strict=True), strict=True))

    def to_head(self, subject: str) -> np.ndarray:
        """Voxel coordinates in a head of each voxel of the template, (x, y, z, 3)."""
        return read_image(self._warps[subject][0])[0]

    def to_template(self, subject: str) -> np.ndarray:
        """Voxel coordinates in the template of each voxel of a head, (x, y, z, 3)."""
        return read_image(self._warps[subject][1])[0]
