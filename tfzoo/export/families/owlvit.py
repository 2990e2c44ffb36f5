"""What OWL-ViT serves: the same as OWLv2, whose detector it shares."""

from __future__ import annotations

from tfzoo.export.families.owlv2 import OPTIONS, endpoints

__all__ = ["OPTIONS", "endpoints"]
