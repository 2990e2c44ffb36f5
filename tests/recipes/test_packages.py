"""Where the recipes look for their data."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from recipes.packages import package_folder


def test_the_folder_of_a_package_that_is_there() -> None:
    before = set(sys.modules)
    assert package_folder("numpy", "arrays") == Path(np.__file__).parent
    assert set(sys.modules) == before, "nothing is imported"


@pytest.mark.parametrize("name", ["no_such_package", "ast"])
def test_a_package_that_is_not_there_is_named_with_the_remedy(name: str) -> None:
    message = f"package '{name}', which holds the photos, is not installed; .* 'train' extra"
    with pytest.raises(FileNotFoundError, match=message):
        package_folder(name, "the photos")
