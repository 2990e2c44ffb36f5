"""Small checkpoints of LXMERT: for the published one, and to be served."""

from __future__ import annotations

from tests.support.cases import Head
from tests.support.lxmert_checkpoint import write_lxmert_checkpoint

__all__ = ["PUBLISHED", "SERVED"]

PUBLISHED = {"unc-nlp/lxmert-base-uncased": write_lxmert_checkpoint}
SERVED = {"lxmert": Head(write_lxmert_checkpoint)}
