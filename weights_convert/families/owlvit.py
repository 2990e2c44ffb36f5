"""OWL-ViT's map: OWLv2's under another name."""

from __future__ import annotations

from dataclasses import replace

from weights_convert.families import owlv2

__all__ = ["MAP"]

MAP = replace(owlv2.MAP, base_prefix="owlvit")
