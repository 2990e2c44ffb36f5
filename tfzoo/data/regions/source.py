"""What every file of region features can do."""

from __future__ import annotations

import threading
from abc import abstractmethod
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType

from tfzoo.data.regions.features import RegionFeatures

__all__ = ["EXTRAS", "RegionFeatureFile"]

#: Fields of a record that a file may lack.
EXTRAS = ("object_ids", "object_scores", "attribute_ids", "attribute_scores")


class RegionFeatureFile(Mapping[str, RegionFeatures]):
    """An open file (or folder) of region features: image id -> record, read when asked for.

    Iterating gives the ids; `records()` streams through the file without looking for any. A
    context manager; several threads may read from it.

    Args:
        path: The file or folder.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()

    @abstractmethod
    def records(self) -> Iterator[RegionFeatures]:
        """Yield the images in the file's order, one in memory at a time.

        Raises:
            RegionFeatureError: The file is damaged; the message names the image or the line.
        """

    def close(self) -> None:
        """Close the file; what has been read stays valid."""

    def __enter__(self) -> RegionFeatureFile:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
