"""The package as a whole: imports are light, names resolve, examples in docstrings run."""

from __future__ import annotations

import doctest
import importlib
import inspect
import pkgutil
import shutil
import warnings
from dataclasses import replace
from importlib import resources
from pathlib import Path
from types import FunctionType
from typing import Any

import keras
import numpy as np
import pytest

import tfzoo
from tests.support.lxmert_checkpoint import write_lxmert_checkpoint, write_regions
from tests.support.owlv2_checkpoint import write_owlv2_checkpoint
from tests.support.paths import FIXTURES, ROOT
from tests.support.perceiver_checkpoint import write_perceiver_checkpoint
from tests.support.processes import run_python
from tests.support.stub import stubs
from tests.support.tvp_checkpoint import write_tvp_checkpoint
from tests.support.xclip_checkpoint import write_xclip_checkpoint
from tfzoo.registry import families, family_of, public_names

PERCEIVERS = (
    "language-perceiver",
    "vision-perceiver-conv",
    "optical-flow-perceiver",
    "multimodal-perceiver",
)
MODULES = sorted(  # those of tfzoo.beam, which need Apache Beam, have tests/beam
    info.name
    for info in pkgutil.walk_packages(tfzoo.__path__, "tfzoo.")
    if not info.name.endswith("__main__") and not info.name.startswith("tfzoo.beam")
)


def test_import_is_light() -> None:
    code = """
import sys, time
start = time.perf_counter()
import tfzoo
print(time.perf_counter() - start)
heavy = {"tensorflow", "keras", "av", "numpy", "PIL", "huggingface_hub", "tokenizers"}
print(sorted(heavy & set(sys.modules)))
"""
    runs = [run_python(code).split("\n") for _ in range(3)]
    assert min(float(run[0]) for run in runs) <= 0.2
    assert runs[0][1] == "[]"


def test_listing_families_is_light() -> None:
    code = """
import sys
from tfzoo.registry import families
print([family.name for family in families()], "keras" in sys.modules)
"""
    assert "timesformer" in (said := run_python(code))
    assert said.strip().endswith("False")


def test_public_names_resolve() -> None:
    for name in [*tfzoo._SHARED, *public_names()]:
        assert getattr(tfzoo, name) is not None
        assert name in dir(tfzoo)
    with pytest.raises(AttributeError, match="no attribute 'Nonsense123'.*tfzoo list"):
        tfzoo.Nonsense123  # noqa: B018


@pytest.mark.parametrize(
    ("name", "meant"),
    {
        "AutoModel": "TFAutoModel",
        "XCLIPModel": "TFXCLIPModel",
        "AutoModelForVideoClassification": "TFAutoModelForVideoClassification",
        "TFOwlV2Model": "TFOwlv2Model",
        "read_vidoe": "read_video",
    }.items(),
)
def test_names_that_are_nearly_right(name: str, meant: str) -> None:
    with pytest.raises(AttributeError, match=f"no attribute '{name}': did you mean {meant}\\?"):
        getattr(tfzoo, name)


def test_every_public_name_can_be_had_at_once() -> None:
    scope: dict[str, Any] = {}
    exec("from tfzoo import *", scope)
    assert {*tfzoo._SHARED, *tfzoo._PACKAGES, *public_names()} <= set(scope)


def test_families_resolve_their_own_names() -> None:
    family = family_of("timesformer")
    module = importlib.import_module(family.package)
    for name in family.classes:
        assert getattr(module, name).__name__ == name
    with pytest.raises(AttributeError, match="nonsense"):
        module.nonsense  # noqa: B018
    with pytest.raises(ValueError, match="Unknown model_type 'bert'. tfzoo has: .*timesformer"):
        family_of("bert")
    assert all(family.title and family.paper and family.checkpoints for family in families())


def test_a_name_of_two_families_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    one = family_of("timesformer")
    other = replace(family_of("tvp"), aliases={"TimesformerConfig": "TvpConfig"})
    monkeypatch.setattr("tfzoo.registry.families", lambda: (one, other))
    with pytest.raises(ValueError, match=r"timesformer and .*tvp both declare 'TimesformerConfig'"):
        public_names.__wrapped__()


@pytest.fixture(scope="module")
def playground(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the files that the examples speak of."""
    folder = tmp_path_factory.mktemp("examples")
    shutil.copy(FIXTURES / "videos" / "nasa_13013.mp4", folder / "clip.mp4")
    shutil.copy(FIXTURES / "photos" / "coffee.jpg", folder / "photo.jpg")
    shutil.copytree(tfzoo.default_checkpoint(), folder / "checkpoint")
    write_xclip_checkpoint(folder / "xclip")
    write_owlv2_checkpoint(folder / "owlv2")
    write_tvp_checkpoint(folder / "tvp")
    write_lxmert_checkpoint(folder / "lxmert")
    for name in PERCEIVERS:
        write_perceiver_checkpoint(folder / name, name)
    (folder / "frames").mkdir()
    for i in range(2):
        shutil.copy(FIXTURES / "photos" / "coffee.jpg", folder / "frames" / f"{i}.jpg")
    return folder


def room_of(module: str) -> str:
    """The package that a module lies in: a family's, or the one below `tfzoo`."""
    return ".".join(module.split(".")[: 3 if module.startswith("tfzoo.models.") else 2])


def loads_models(room: str) -> bool:
    """Whether the examples of a room take seconds."""
    return room.split(".")[1] in ("export", "modeling", "models", "tasks")


@pytest.mark.parametrize(
    "room",
    [
        pytest.param(room, marks=[pytest.mark.slow] if loads_models(room) else [])
        for room in sorted(set(map(room_of, MODULES)))
    ],
)
def test_examples_in_docstrings_run(
    room: str, playground: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(playground)
    failed = []
    for name in MODULES:
        if room_of(name) != room:
            continue
        module = importlib.import_module(name)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # examples may show the warnings that users get
            result = doctest.testmod(
                module, extraglobs={"np": np}, optionflags=doctest.NORMALIZE_WHITESPACE
            )
        failed += [name] if result.failed else []
    assert failed == []


@pytest.mark.usefixtures("without_xla")
@pytest.mark.slow
def test_examples_of_the_readme_run(
    tmp_path: Path, playground: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    codes = [block.split("```")[0] for block in text.split("```python\n")[1:]]
    (tmp_path / "tests" / "fixtures").mkdir(parents=True)
    for kind in ("videos", "photos"):
        (tmp_path / "tests" / "fixtures" / kind).symlink_to(FIXTURES / kind)
    monkeypatch.chdir(tmp_path)
    write_regions(tmp_path / "regions.tsv", "kitchen")
    for code in codes:  # no hub in tests: a small checkpoint stands for the published one
        code = code.replace("microsoft/xclip-base-patch32", str(playground / "xclip"))
        code = code.replace("google/owlv2-base-patch16-ensemble", str(playground / "owlv2"))
        code = code.replace("Intel/tvp-base", str(playground / "tvp"))
        code = code.replace("unc-nlp/lxmert-vqa-uncased", str(playground / "lxmert"))
        for name in PERCEIVERS:
            code = code.replace(f"deepmind/{name}", str(playground / name))
        exec(compile(code, "README.md", "exec"), {})
    made = {path.name for path in tmp_path.iterdir()} - {"tests", "regions.tsv"}
    pictures = {f"{name}.png" for name in ("answer", "found", "flow", "moment")}
    assert made == {"tuned", "tuned.keras", "served", *pictures}


def test_types_are_declared() -> None:
    """Type checkers read the hints of an installed package only where it says so."""
    for package in ("tfzoo", "weights_convert"):
        assert (resources.files(package) / "py.typed").is_file()


def test_stubs_are_up_to_date() -> None:
    """`python -m tests.support.stub` writes them, and so does `tests.support.record`."""
    written = stubs()
    assert set((ROOT / "tfzoo").rglob("*.pyi")) == set(written)
    for path, text in written.items():
        assert path.read_text(encoding="utf-8") == text, path


def test_public_methods_are_documented() -> None:
    """Those that override others may leave it to the docstring of their base."""
    known, bare = {*dir(keras.Model), *dir(keras.losses.Loss), *dir(keras.metrics.Metric)}, []
    for module in MODULES:
        for cls in vars(importlib.import_module(module)).values():
            if not inspect.isclass(cls) or cls.__module__ != module or cls.__name__[0] == "_":
                continue
            for name, member in vars(cls).items():
                if name[0] == "_" or name in known:
                    continue
                is_method = isinstance(member, (FunctionType, classmethod, staticmethod, property))
                if is_method and not inspect.getdoc(getattr(cls, name)):
                    bare.append(f"{module}.{cls.__name__}.{name}")
    assert bare == []


def test_all_is_complete() -> None:
    for name in MODULES:
        module = importlib.import_module(name)
        assert module.__doc__, name
        for public in getattr(module, "__all__", ()):
            assert getattr(module, public) is not None, f"{name}.{public}"
