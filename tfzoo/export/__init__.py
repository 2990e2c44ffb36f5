"""SavedModels that answer in the user's terms; the one place below data pipelines with tensorflow.

`tfzoo.export_serving` is the entrance.
"""

from __future__ import annotations

from tfzoo.export.endpoint import Endpoint, ServingError
from tfzoo.export.options import ServingOptions

__all__ = ["Endpoint", "ServingError", "ServingOptions"]
