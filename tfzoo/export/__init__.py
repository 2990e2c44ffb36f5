"""Export to SavedModels that answer in the user's terms, by `tfzoo.export_serving`."""

from __future__ import annotations

from tfzoo.export.endpoint import Endpoint, ServingError, ServingOptions
from tfzoo.export.serving import export_serving

__all__ = ["Endpoint", "ServingError", "ServingOptions", "export_serving"]
