"""Every planted fault."""

from __future__ import annotations

from tests.planted_faults import files, models, rooms

FAULTS = (*models.FAULTS, *rooms.FAULTS, *files.FAULTS)
