"""English prose from installed packages: paragraphs of their documentation.

Training uses the docstrings of numpy, scipy and scikit-learn (BSD licences), about 0.7 MB; the test
uses paragraphs of the Python language reference (tests/fixtures/prose), which share no author, no
subject and no paragraph with them. A paragraph counts as prose if it is long, ends with a full
stop and consists of words, unlike formulas, code and tables.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path

import numpy as np

from recipes.packages import package_folder

__all__ = ["baselines", "paragraphs", "held_out_prose", "training_prose"]

_PACKAGES = ("numpy", "scipy", "sklearn")
_TEST_FILE = Path(__file__).resolve().parents[1] / "tests/fixtures/prose/python_reference.txt"
_LEAST, _SHARE = 160, 0.96  # characters, and the share of them that are of words
_CODE = (">>>", "::", "``", "|", "http")


def paragraphs(text: str) -> list[str]:
    """The paragraphs of prose in a docstring, each in one line.

    Example:
        >>> paragraphs("Short.")
        []
    """
    found = []
    for part in re.split(r"\n\s*\n", text):
        line = " ".join(part.split())
        words = sum(sign.isalpha() or sign in " ,." for sign in line)
        is_prose = len(line) >= _LEAST and line.isascii() and words >= _SHARE * len(line)
        if is_prose and line[0].isupper() and line[-1] == ".":
            found.append(line)
    return [line for line in found if not any(sign in line for sign in _CODE)]


def training_prose(packages: tuple[str, ...] = _PACKAGES) -> list[str]:
    """All different paragraphs in the docstrings of the packages, none of which is imported.

    Raises:
        FileNotFoundError: A package is not installed.
    """
    found: dict[str, None] = {}
    for name in packages:
        root = package_folder(name, "documentation in English")
        for path in sorted(root.rglob("*.py")):
            if "tests" not in path.parts:
                found.update(dict.fromkeys(_docstrings(path)))
    return list(found)


def _docstrings(path: Path) -> list[str]:
    tree = ast.parse(path.read_text("utf-8"))
    kinds = (ast.Module, ast.ClassDef, ast.FunctionDef)
    texts = [ast.get_docstring(node) for node in ast.walk(tree) if isinstance(node, kinds)]
    return [line for text in texts if text for line in paragraphs(text)]


def held_out_prose() -> list[str]:
    """The held-out paragraphs."""
    return _TEST_FILE.read_text("utf-8").splitlines()


def baselines(training: list[str], windows: np.ndarray, masked: np.ndarray) -> dict[str, float]:
    """Accuracy on the masked bytes without a model, from counts in the training text.

    Args:
        training: Paragraphs.
        windows: (n, N) uint8, the bytes.
        masked: (n, N) booleans, which of them are masked; never the first or the last.

    Returns:
        Accuracies of the most frequent byte (`unigram`), of the most frequent one after the true
        byte before (`bigram`), and of the most frequent one between the true bytes before and
        after (`between`), which sees neighbours that are masked for the model.
    """
    text = np.frombuffer("\n".join(training).encode("ascii"), np.uint8).astype(int)
    pairs, between = np.zeros((128, 128)), np.zeros((128, 128, 128), np.int32)
    np.add.at(pairs, (text[:-1], text[1:]), 1)
    np.add.at(between, (text[:-2], text[2:], text[1:-1]), 1)
    rows, places = np.nonzero(masked)
    truth, left, right = (windows[rows, places + shift].astype(int) for shift in (0, -1, 1))
    return {
        "unigram": float(np.mean(truth == np.bincount(text).argmax())),
        "bigram": float(np.mean(truth == pairs[left].argmax(-1))),
        "between": float(np.mean(truth == between[left, right].argmax(-1))),
    }
