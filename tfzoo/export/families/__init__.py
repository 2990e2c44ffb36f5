"""What each family serves: one file per folder of `tfzoo/models`, found by its name.

Each declares `OPTIONS`, the fields of `ServingOptions` that it takes, and
`endpoints(model, processor, options)`, its signatures.
"""

from __future__ import annotations

__all__: list[str] = []
