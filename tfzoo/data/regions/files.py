"""Files of region features: one image in memory at a time, in order or by its name.

| file | form |
| x.tsv | the public bottom-up-attention files: one image a line, arrays in base64 |
| a folder | one `<image id>.npz` an image |
| x.h5 | all images in the rows of a few arrays |
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from tfzoo.core.files import replacing
from tfzoo.data.regions.caches import H5Cache, NpzFolder, write_h5, write_npz
from tfzoo.data.regions.features import RegionFeatureError, RegionFeatures
from tfzoo.data.regions.source import RegionFeatureFile
from tfzoo.data.regions.tsv import TsvFile, write_tsv

__all__ = ["RegionFeatureFile", "open_region_features", "write_region_features"]


def open_region_features(path: str | Path, *, index: str | Path | None = None) -> RegionFeatureFile:
    """Open a file of region features.

    Args:
        path: `x.tsv` of bottom-up attention; a folder with one `<image id>.npz` an image, each
            with `features` (N, F), `boxes` (N, 4) in pixels, `height`, `width`; or `x.h5` as
            `write_region_features` makes it.
        index: For a TSV file, where to keep the places of its images; the first access by name
            reads the whole file to find them, later ones use what is kept there.

    Returns:
        A mapping of image ids to `RegionFeatures`.

    Raises:
        RegionFeatureError: There is no such file, or it has another form.

    Example:
        >>> boxes, feats = np.array([[0, 0, 4, 8]], "float32"), np.ones((1, 5), "float32")
        >>> write_region_features("x.tsv", [RegionFeatures("cat", 8, 8, boxes, feats)], force=True)
        1
        >>> with open_region_features("x.tsv") as images:
        ...     print(list(images), images["cat"].boxes, [r.image_id for r in images.records()])
        ['cat'] [[0. 0. 4. 8.]] ['cat']
    """
    path = Path(path).expanduser()
    if path.is_dir():
        return NpzFolder(path)
    if not path.is_file():
        raise RegionFeatureError(f"{path}: no such file or folder")
    if path.suffix == ".tsv":
        return TsvFile(path, None if index is None else Path(index))
    if path.suffix in (".h5", ".hdf5"):
        return H5Cache(path)
    raise RegionFeatureError(
        f"{path}: expected a .tsv or .h5 file, or a folder of .npz files; an .npz file alone "
        "would have to be read whole"
    )


def write_region_features(
    target: str | Path, records: Iterable[RegionFeatures], *, force: bool = False
) -> int:
    """Write region features as they come, one image in memory at a time.

    Args:
        target: `x.tsv`, `x.h5`, or a folder for one `.npz` an image.
        records: The images.
        force: Whether the target may exist, and then be replaced.

    Returns:
        How many images were written.

    Raises:
        FileExistsError: The target exists, and `force` is not given.
        RegionFeatureError: An image cannot be written in this form; nothing is left behind.

    Example:
        >>> boxes, feats = np.array([[0, 0, 4, 8]], "float32"), np.ones((1, 5), "float32")
        >>> write_region_features("cache.h5", [RegionFeatures("cat", 8, 8, boxes, feats)],
        ...                       force=True)
        1
    """
    target = Path(target).expanduser()
    write = {".tsv": write_tsv, ".h5": write_h5, ".hdf5": write_h5}.get(target.suffix)
    with replacing(target, force) as path:
        return (write or write_npz)(path, records)
