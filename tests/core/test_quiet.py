"""TensorFlow starts without its log lines."""

from __future__ import annotations

import os
import subprocess
import sys
from functools import cache

import pytest

from tests.support.paths import ROOT
from tfzoo.core import quiet
from tfzoo.core.quiet import quiet_start

CHATTER = b"""WARNING: All log messages before absl::InitializeLog() is called are written to STDERR
I0000 00:00:1796052209.708922   14710 port.cc:153] oneDNN custom operations are on.
E0000 00:00:1796052209.708922   14710 cuda_dnn.cc:8310] Unable to register cuDNN factory
2025-11-30 15:23:29.123456: E external/xla/cuda_fft.cc:477] Unable to register cuFFT factory
"""
NEWS = b"Import of something went wrong\nI say so\n"


@pytest.fixture
def before_tensorflow(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that has not imported it, and has no opinion about its log."""
    monkeypatch.setattr(quiet, "start_keras", cache(lambda: None))
    monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", "1")


@pytest.mark.usefixtures("before_tensorflow")
def test_all_but_its_log_is_shown(capfd: pytest.CaptureFixture[str]) -> None:
    with quiet_start():
        os.write(2, CHATTER + NEWS)
        assert capfd.readouterr().err == ""
    os.write(2, CHATTER)
    assert capfd.readouterr().err == (NEWS + CHATTER).decode()


@pytest.mark.usefixtures("before_tensorflow")
def test_all_is_shown_where_it_fails(capfd: pytest.CaptureFixture[str]) -> None:
    def fail() -> None:
        with quiet_start():
            os.write(2, CHATTER)
            raise ImportError("broken")

    with pytest.raises(ImportError, match="broken"):
        fail()
    assert capfd.readouterr().err == CHATTER.decode()


@pytest.mark.usefixtures("before_tensorflow")
def test_all_is_shown_where_it_is_asked_for(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", "0")
    with quiet_start():
        os.write(2, CHATTER)
        assert capfd.readouterr().err == CHATTER.decode()


def test_a_model_in_a_fresh_process_says_nothing() -> None:
    code = "import tfzoo; tfzoo.TFTimesformerModel.from_pretrained(tfzoo.default_checkpoint())"
    settings = {k: v for k, v in os.environ.items() if k != "TF_CPP_MIN_LOG_LEVEL"}
    run = subprocess.run(
        [sys.executable, "-c", code],
        env=settings | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert run.stdout + run.stderr == ""
