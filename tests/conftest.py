"""What all tests share."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from typing import Any

import pytest

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")  # numbers are compared on the CPU
# XLA compiles a program for each test that runs it once or thrice: good code is not worth its
# making. Said here, for all tests, so that a test compiles the same program alone and in the suite.
os.environ.setdefault("XLA_FLAGS", "--xla_backend_optimization_level=0")
if "PYTEST_XDIST_WORKER" in os.environ:  # one core for each worker and what it starts
    for name in ("TF_NUM_INTRAOP_THREADS", "OMP_NUM_THREADS"):
        os.environ.setdefault(name, "1")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A class of checks runs each of them on its `cases`, or on those that the check chooses."""
    cases = getattr(metafunc.cls, "cases", None)
    if cases and "case" in metafunc.fixturenames:
        choose = getattr(metafunc.function, "choose_cases", list)
        metafunc.parametrize("case", choose(cases), ids=lambda case: case.name, scope="class")


@pytest.hookimpl(tryfirst=True)  # before tests are chosen by their marks
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what compares with the living reference."""
    for item in items:
        if item.path.name.startswith("parity"):
            item.add_marker("parity")


def pytest_collection_finish() -> None:
    """The modules and thousands of tests stay: whenever garbage is collected, they are left out.

    That is done seldom, for looking takes time and most of what a test makes is no cycle.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 20, 20)


@pytest.fixture(scope="module")
def unfrozen() -> Iterator[None]:
    """Nothing is left out when garbage is collected, as in a user's process.

    For tests of what drops variables: each would be followed by a collection where something is
    left out, see `tfzoo.core.keras_compat.collected_once`.
    """
    gc.unfreeze()
    yield
    pytest_collection_finish()


@pytest.fixture
def without_xla(monkeypatch: pytest.MonkeyPatch) -> None:
    """Examples that leave the choice to Keras train without XLA.

    It takes longer to start than all their steps together, and the checks of every family take a
    step of `fit` under it.
    """
    from tfzoo.modeling.base import TFPreTrainedModel

    own = TFPreTrainedModel.compile

    def compile_(self: Any, *args: Any, **how: Any) -> None:
        own(self, *args, **{"jit_compile": False, **how})

    monkeypatch.setattr(TFPreTrainedModel, "compile", compile_)


@pytest.fixture(scope="class")
def shared(case: Any) -> Any:
    """A case's model, loaded once for all checks that leave it as it is."""
    return case.load()
