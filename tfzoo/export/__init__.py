"""SavedModels that answer in the user's terms; the one place below data pipelines with tensorflow.

`tfzoo.export_serving` is the entrance.
"""

from __future__ import annotations

from tfzoo.export.endpoint import Endpoint, ServingError
from tfzoo.export.options import ServingOptions
from tfzoo.export.serving import export_serving

__all__ = ["Endpoint", "ServingError", "ServingOptions", "export_serving"]
