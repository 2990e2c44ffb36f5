"""Stand-ins for what is published: small checkpoints and real photos."""

from __future__ import annotations

import pytest

from tests.support.published_checkpoints import write_inputs, write_stand_ins
from tfzoo.modeling.expected import Sources


@pytest.fixture(scope="session")
def stand_ins(tmp_path_factory: pytest.TempPathFactory) -> Sources:
    """Where the small checkpoints and the files lie."""
    folder = tmp_path_factory.mktemp("published")
    return Sources(write_stand_ins(folder / "checkpoints"), write_inputs(folder / "inputs"))
