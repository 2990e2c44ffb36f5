"""The rules of the house: who may import whom, how long things get, what each family must have."""

from __future__ import annotations

import ast
import importlib
import re
import sys
from collections.abc import Iterator
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

from tests.support.paths import ROOT
from tfzoo.registry import families

PRODUCT = sorted([*(ROOT / "tfzoo").rglob("*.py"), *(ROOT / "weights_convert").rglob("*.py")])
MAX_FILE, MAX_FUNCTION = 600, 60  # alarms; lengths follow sense
MAX_LOOSE = 4  # modules that lie in no room

# Lower tiers know nothing of higher ones. Within a tier imports are free but for circles.
TIERS = (
    ("tfzoo.core", "tfzoo.hub", "tfzoo.io", "tfzoo.metrics", "tfzoo.assets"),
    ("weights_convert", "tfzoo.layers", "tfzoo.losses", "tfzoo.preprocessing", "tfzoo.text"),
    ("tfzoo.modeling", "tfzoo.registry"),
    ("tfzoo.models",),
    ("tfzoo.auto", "tfzoo.export", "tfzoo.data", "tfzoo.viz"),
    ("tfzoo.tasks",),
    ("tfzoo.beam", "tfzoo.cli"),
)
SERVING = re.compile(r"tfzoo\.models\.\w+\.serving")  # belongs to `export`, which finds it there
# Packages that only the named parts may import.
ONLY = {
    "tensorflow": ("tfzoo.export", "tfzoo.data", "tfzoo.beam", SERVING),
    "av": tuple(
        f"tfzoo.io.{name}" for name in ("display", "frame_table", "video_reader", "video_writer")
    ),
    "apache_beam": ("tfzoo.beam",),
    "huggingface_hub": ("tfzoo.hub",),
    # A program of its own, which `verify` starts where they are installed; nothing imports it
    # for more than its names.
    "torch": ("weights_convert.reference",),
    "transformers": ("weights_convert.reference",),
}


def module_name(path: Path) -> str:
    """The dotted name of a file."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@cache
def tree(path: Path) -> ast.Module:
    """The parsed file."""
    return ast.parse(path.read_text(encoding="utf-8"))


def imports(path: Path) -> Iterator[str]:
    """Every module that a file imports, inside functions, too."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def product_imports() -> Iterator[tuple[str, str]]:
    """Every file's module with each module that it imports."""
    return ((module_name(path), other) for path in PRODUCT for other in imports(path))


def functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Every function and method of a file."""
    for node in ast.walk(tree(path)):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield node


def tier(name: str) -> int | None:
    """Index of the tier that a module belongs to; the package itself leads to everything."""
    if name == "tfzoo":
        return len(TIERS) - 1
    if SERVING.match(name):
        name = "tfzoo.export"
    for index, parts in enumerate(TIERS):
        if any(name == part or name.startswith(part + ".") for part in parts):
            return index
    return None


def is_inside(name: str, package: str | re.Pattern) -> bool:
    """Whether a dotted name is a package or something in it."""
    if isinstance(package, re.Pattern):
        return package.match(name) is not None
    return name == package or name.startswith(package + ".")


def test_every_module_has_a_tier() -> None:
    lost = [module_name(p) for p in PRODUCT if tier(module_name(p)) is None]
    assert lost == []


def test_imports_point_downwards() -> None:
    wrong = [
        f"{name} imports {other}"
        for name, other in product_imports()
        if is_inside(other, "tfzoo") or is_inside(other, "weights_convert")
        if name != "weights_convert.__main__"  # the one exception; nothing imports it
        if tier(other) is None or tier(other) > tier(name)
    ]
    assert wrong == []


def test_no_circle_of_imports() -> None:
    """Imports inside functions and those for type checkers count as well."""
    names = {module_name(path) for path in PRODUCT} - {"tfzoo"}  # which leads to everything
    graph: dict[str, set[str]] = {name: set() for name in names}
    for name, other in product_imports():
        found = other if other in names else other.rpartition(".")[0]
        if name in names and found in names and found != name:
            graph[name].add(found)
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(f"a circle: {' <- '.join(error.args[1])}")


def test_few_modules_lie_in_no_room() -> None:
    loose = [path.name for path in (ROOT / "tfzoo").glob("*.py") if path.name != "__init__.py"]
    assert len(loose) <= MAX_LOOSE, loose


def test_packages_stay_where_they_belong() -> None:
    wrong = [
        f"{name} imports {other}"
        for name, other in product_imports()
        for package, places in ONLY.items()
        if is_inside(other, package) and not any(is_inside(name, place) for place in places)
    ]
    assert wrong == []


# Parts of tfzoo that need the standard library alone, so that weights_convert may use them.
PLAIN = tuple(f"tfzoo.core.{name}" for name in ("file_system", "files", "replacing", "untrusted"))


def test_weights_convert_needs_numpy_alone() -> None:
    allowed = {*sys.stdlib_module_names, "numpy", "safetensors", "weights_convert"}
    more = {"tf_h5.py": {"h5py"}, "reference.py": {"torch", "transformers"}}
    for path in sorted((ROOT / "weights_convert").rglob("*.py")):
        if path.name != "__main__.py":
            strange = [n for n in imports(path) if not any(is_inside(n, part) for part in PLAIN)]
            others = {name.split(".")[0] for name in strange} - allowed
            others -= more.get(path.name, set())
            assert not others, f"{module_name(path)} imports {others}"


def test_what_weights_convert_uses_of_tfzoo_needs_nothing() -> None:
    allowed = {*sys.stdlib_module_names}
    for path in PRODUCT:
        if module_name(path) in PLAIN:
            strange = [n for n in imports(path) if not any(is_inside(n, part) for part in PLAIN)]
            assert {name.split(".")[0] for name in strange} <= allowed, path


def test_families_do_not_import_families() -> None:
    folder = ROOT / "tfzoo" / "models"
    for path in sorted(folder.glob("*/**/*.py")):
        own = f"tfzoo.models.{path.relative_to(folder).parts[0]}"
        for other in imports(path):
            assert not is_inside(other, "tfzoo.models") or is_inside(other, own), path


def test_files_and_functions_are_short() -> None:
    long = [
        module_name(path)
        for path in PRODUCT
        if len(path.read_text(encoding="utf-8").splitlines()) > MAX_FILE
    ]
    for path in PRODUCT:
        for node in functions(path):
            has_more = ast.get_docstring(node) and len(node.body) > 1
            length = node.end_lineno - node.body[1 if has_more else 0].lineno + 1
            if length > MAX_FUNCTION:
                long.append(f"{module_name(path)}.{node.name}: {length} lines")
    assert long == []


def test_public_functions_have_type_hints() -> None:
    bare = []
    for path in PRODUCT:
        for node in functions(path):
            if node.name.startswith("_"):
                continue
            arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
            missing = [a.arg for a in arguments if not a.annotation and a.arg not in _IMPLICIT]
            if missing or node.returns is None:
                bare.append(f"{module_name(path)}.{node.name}: {missing or 'its result'}")
    assert bare == []


_IMPLICIT = {"self", "cls"}


def test_nothing_is_left_unfinished() -> None:
    marks = ("TODO", "FIXME", "XXX", "NotImplementedError")
    found = [
        f"{module_name(path)}: {mark}"
        for path in PRODUCT
        for mark in marks
        if mark in path.read_text(encoding="utf-8")
    ]
    found += [
        f"{module_name(path)}.{node.name} is empty"
        for path in PRODUCT
        for node in functions(path)
        if isinstance(node.body[-1], ast.Pass)
    ]
    assert found == []


@pytest.mark.parametrize("family", families(), ids=lambda family: family.name)
def test_each_family_has_its_map_its_tests_and_its_benchmark(family: object) -> None:
    name = family.name
    needed = [
        f"tfzoo/models/{name}/config.py",
        f"tfzoo/models/{name}/model.py",
        f"tfzoo/models/{name}/expected.py",
        f"tfzoo/models/{name}/serving.py",
        f"weights_convert/families/{name}.py",
        f"tests/models/{name}/cases.py",
        f"tests/models/{name}/test_model.py",
        f"tests/models/{name}/parity.py",
        f"tests/models/{name}/benchmark.py",
    ]
    assert [path for path in needed if not (ROOT / path).is_file()] == []
    for module, names in family.modules.items():
        public = importlib.import_module(f"{family.package}.{module}").__all__
        assert set(names) <= set(public), f"{family.package}.{module}"


def test_every_map_belongs_to_a_family() -> None:
    maps = {path.stem for path in (ROOT / "weights_convert" / "families").glob("[a-z]*.py")}
    names = {family.name for family in families()}
    assert names <= maps <= names | {t for family in families() for t in family.model_types}


def test_warnings_point_at_the_user() -> None:
    """`warnings.warn` would need the number of frames up to there, which changes with the code."""
    places = {
        module_name(path)
        for path in PRODUCT
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Call) and ast.unparse(node.func).startswith("warnings.warn")
    }
    assert places == {"tfzoo.core.warn"}


def test_repository_stays_small() -> None:
    skipped = {".git", ".mypy_cache", "__pycache__", ".venv", "venv", "build", "dist"}
    files = [
        path
        for path in ROOT.rglob("*")
        if path.is_file() and not skipped & set(path.relative_to(ROOT).parts)
    ]
    large = [str(path) for path in files if path.stat().st_size > 2_000_000]
    assert not large
    assert sum(path.stat().st_size for path in files) < 25_000_000
