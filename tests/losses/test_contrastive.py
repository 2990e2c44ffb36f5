"""The contrastive loss by hand."""

from __future__ import annotations

import numpy as np
import pytest

from tfzoo.losses.contrastive import contrastive_loss


def test_devices_share_the_pairs_of_a_contrastive_loss() -> None:
    """Each compares its rows with all columns; the mean of the shares is the loss of the batch."""
    scores = np.random.default_rng(0).normal(size=(4, 4)).astype("float32")
    log_p = [s - np.log(np.exp(s).sum(-1, keepdims=True)) for s in (scores, scores.T)]
    expected = -np.mean([np.diag(p) for p in log_p])
    assert float(contrastive_loss(scores)) == pytest.approx(expected, rel=1e-5)
    shares = (np.array([0, 1]), np.array([2, 3]))
    found = [float(contrastive_loss(scores[own], scores.T[own], own)) for own in shares]
    assert found[0] != pytest.approx(found[1])
    assert np.mean(found) == pytest.approx(expected, rel=1e-5)
