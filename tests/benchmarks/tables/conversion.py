"""The table of conversions, docs/conversion.md: every model class, there and back.

    python -m tests.benchmarks.tables.conversion --wait 3600
    python -m tests.benchmarks.tables.conversion TFLxmertModel --rounds 1 --busy

For each class the reference writes a checkpoint of a published size with random weights. Then
tfzoo and PyTorch load it in turn, each time in a process of its own, and compute the same inputs;
tfzoo writes the checkpoint again, which is compared bit by bit and loaded by PyTorch.

The reference is the release of the parity tests (`pip install -e ".[parity]"`), in this Python. The
towers of later ones name their tensors differently: 5.23's `XCLIPTextModel` reads neither a whole
checkpoint of X-CLIP nor a tower that 4.57 wrote.

- Load: `from_pretrained` and reading each weight once, since PyTorch maps the file and reads it
  only then; after all imports, the file in the page cache. The fastest round.
- Memory: the process's peak (VmHWM) less the peak right after the imports, mapped pages included;
  the median round.
- Difference: the largest of all outputs, in parts of each one's largest magnitude.

Figures of each class are kept as soon as they are there (`--results`), so an interrupted run goes
on where it stopped; `--again` measures anew. Nothing is measured on a busy machine, see
`python -m tests.benchmarks --help`; with `--busy` it is, but the table says so and the next run
without measures those classes again. Linux only.

Exit codes: 0 done; 1 a checkpoint does not come back bit-equal, outputs differ or a worker failed;
2 wrong arguments; 3 the machine was busy.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tests.benchmarks.harness.benchmark import Benchmark
from tests.benchmarks.harness.environment import reference_python, worker_env
from tests.benchmarks.harness.quiet import BusyError, Quiet
from tests.benchmarks.harness.rounds import WorkerError
from tests.benchmarks.tables.published_sizes import NESTED, SIZES
from tests.support.paths import ROOT
from tfzoo.core.files import read_json, write_json
from weights_convert.checkpoint import open_checkpoint

__all__ = ["differing_tensors", "largest_difference", "main", "page"]

WORKERS = Path(__file__).parents[1] / "workers"
DOCS = ROOT / "docs" / "conversion.md"
BOUND = 1e-5
_SIDES = ("tfzoo", "torch")
_THREADS = 2
Record = dict[str, Any]


def largest_difference(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> float:
    """Largest difference of outputs, in parts of each one's largest magnitude.

    Raises:
        ValueError: They are not the same outputs, of the same shapes.

    Example:
        >>> largest_difference({"a": np.array([1.0, 2.0])}, {"a": np.array([1.0, 4.0])})
        0.5
    """
    if sorted(ours) != sorted(theirs):
        raise ValueError(f"tfzoo computed {sorted(ours)}, PyTorch {sorted(theirs)}.")
    largest = 0.0
    for name in ours:
        have, want = (np.asarray(side[name], "float64") for side in (ours, theirs))
        if have.shape != want.shape:
            raise ValueError(f"{name}: tfzoo's shape is {have.shape}, PyTorch's {want.shape}.")
        if not np.isfinite(have).all() or not np.isfinite(want).all():
            raise ValueError(f"{name}: values that are not finite.")
        scale = float(np.abs(want).max(initial=0.0)) or 1.0
        largest = max(largest, float(np.abs(have - want).max(initial=0.0)) / scale)
    return largest


def differing_tensors(one: Path, two: Path) -> list[str]:
    """Names of the tensors that two checkpoints do not have alike, to the last bit."""
    with open_checkpoint(one) as before, open_checkpoint(two) as after:
        missing = sorted(set(before) ^ set(after))
        return missing + [
            name
            for name in sorted(set(before) & set(after))
            if before[name] != after[name]
            or before.read_raw(name).tobytes() != after.read_raw(name).tobytes()
        ]


# ---- measuring
class _Measurement:
    """One class: a folder with its checkpoint, inputs and what the workers write."""

    def __init__(self, size: Benchmark, python: Path, folder: Path) -> None:
        self.size, self.folder = size, folder
        self.pythons = {"tfzoo": Path(sys.executable), "torch": python}
        np.savez(folder / "inputs.npz", **size.arrays(train=False))
        self.job = {
            "model": size.model,
            "config": dict(size.config),
            "checkpoint": str(folder / "checkpoint"),
            "back": str(folder / "back"),
            "inputs": str(folder / "inputs.npz"),
            "dtype": "float32",
            "train": False,
            "threads": _THREADS,
            "inter_op_threads": _THREADS,
            "text_bank": False,
            "nested": NESTED,
        }

    def run(self, worker: str, side: str, **more: Any) -> Record:
        """Run a worker in a process of its own; returns its figures."""
        task, figures = self.folder / "job.json", self.folder / "figures.json"
        outputs = self.folder / f"{side}.npz"
        figures.unlink(missing_ok=True)
        job = {**self.job, "figures": str(figures), "outputs": str(outputs), **more}
        task.write_text(json.dumps(job))
        env = worker_env(ROOT if side == "tfzoo" else None, _THREADS)
        command = [str(self.pythons[side]), str(WORKERS / f"{worker}.py"), str(task)]
        done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
        if done.returncode:
            raise WorkerError(
                f"{self.size.model}: {worker} ended with {done.returncode}:\n{done.stderr[-3000:]}"
            )
        return json.loads(figures.read_text()) if figures.is_file() else {}

    def turn(self, side: str, compare: bool) -> Record:
        """One turn of a side, with the checkpoint in the page cache."""
        for path in Path(self.job["checkpoint"]).iterdir():
            with path.open("rb") as file:
                while file.read(1 << 24):
                    continue
        return self.run(f"convert_with_{side}", side, compare=compare)

    def checks(self) -> Record:
        """What is compared: outputs, bits, and what PyTorch says of the checkpoint."""
        with (
            np.load(self.folder / "tfzoo.npz") as ours,
            np.load(self.folder / "torch.npz") as theirs,
        ):
            difference = largest_difference(dict(ours), dict(theirs))
        reloaded = self.run("reload_with_torch", "torch")
        changed = differing_tensors(Path(self.job["checkpoint"]), Path(self.job["back"]))
        return {
            "difference": difference,
            "changed": sorted({*changed, *reloaded["differing"]}),
            "problems": reloaded["problems"],
        }


def _measure(size: Benchmark, python: Path, rounds: int, quiet: Quiet | None) -> Record:
    """Figures of one class.

    Raises:
        BusyError: Something else ran.
        WorkerError: A side failed.
        ValueError: The sides computed different outputs.
    """
    with tempfile.TemporaryDirectory(prefix="tfzoo-conversion-") as name:
        measurement = _Measurement(size, python, Path(name))
        measurement.run("make_torch_checkpoint", "torch")
        facts: Record = {}
        for side in _SIDES:  # not timed: computing and writing would disturb what comes after
            facts[side] = measurement.turn(side, compare=True)
        checks = measurement.checks()
        os.sync()
        runs: dict[str, list[Record]] = {side: [] for side in _SIDES}
        for _ in range(rounds):
            for side in _SIDES:

                def turn(side: str = side) -> Record:
                    return measurement.turn(side, compare=False)

                runs[side].append(quiet.undisturbed(turn)[0] if quiet else turn())
    record = {name: facts["tfzoo"][name] for name in ("tensors", "parameters", "architectures")}
    versions = {**facts["tfzoo"]["versions"], **facts["torch"]["versions"]}
    sides = {
        side: {
            "load_s": min(run["load_s"] for run in runs[side]),
            "load_bytes": statistics.median(run["load_bytes"] for run in runs[side]),
        }
        for side in _SIDES
    }
    busy = quiet is None
    return {**record, **checks, **sides, "versions": versions, "rounds": rounds, "busy": busy}


def _fingerprint(size: Benchmark) -> str:
    """Changes with what is measured: the class, its config, the inputs' shapes."""
    shapes = {name: array.shape for name, array in size.arrays(train=False).items()}
    text = json.dumps([size.model, dict(size.config), shapes], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


# ---- the page
def page(records: Mapping[str, Record]) -> str:
    """The document: what is measured, how, and a row for each class."""
    kept = [records[size.model] for size in SIZES if size.model in records]
    versions = sorted({f"{n} {v}" for record in kept for n, v in record["versions"].items()})
    lines = [
        "# Conversion, class by class",
        "",
        "Made by `python -m tests.benchmarks.tables.conversion`; do not edit. Each class has the",
        "size of the published checkpoint named, and random weights. PyTorch writes a checkpoint,",
        "tfzoo loads it, computes, and writes it again.",
        "",
        "- **there and back**: every tensor of the checkpoint that tfzoo wrote is bit-equal, and",
        "  PyTorch's `from_pretrained` loads it with no key missing and none left over.",
        "- **difference**: the largest of all outputs to PyTorch's, in parts of each output's",
        "  largest magnitude.",
        "- **load**: `from_pretrained` and reading each weight once, on two threads of a CPU, the",
        "  file in the page cache. **memory**: what the process's peak grows by meanwhile.",
        "",
        "PyTorch loads sooner, as it maps the file: its weights are the page cache's own pages.",
        "Keras has kernels the other way round, and TensorFlow wants them aligned to 64 bytes,",
        "which these files are not: tfzoo turns every matrix into memory of its own, and fetching",
        "fresh memory is what takes the time.",
        "",
        f"Versions: {', '.join(versions) or 'nothing measured yet'}.",
        "",
        "| class | size of | tensors | parameters | there and back | difference "
        "| load, s: tfzoo | PyTorch | memory, MB: tfzoo | PyTorch |",
        "|---|---|---:|---:|---|---:|---:|---:|---:|---:|",
        *(_row(size, records.get(size.model)) for size in SIZES),
    ]
    if any(record["busy"] for record in kept):
        lines += ["", "\\* measured while other programs ran; times and memory are no figures."]
    return "\n".join(lines) + "\n"


def _row(size: Benchmark, record: Record | None) -> str:
    start = f"| `{size.model}` | {size.title} "
    if record is None:
        return start + "| not measured yet |" + " |" * 7
    mark = "\\*" if record["busy"] else ""
    right = "bit-equal" if not record["changed"] and not record["problems"] else "**differs**"
    cells = [
        f"{record['tensors']:,}",
        f"{record['parameters']:,}",
        right,
        f"{record['difference']:.1e}",
        *(f"{record[side]['load_s']:.2f}{mark}" for side in _SIDES),
        *(f"{record[side]['load_bytes'] / 1e6:,.0f}{mark}" for side in _SIDES),
    ]
    return f"{start}| {' | '.join(cells)} |"


def _wrong(model: str, record: Record) -> list[str]:
    """What a record says that must not be."""
    found = [f"{model}: not bit-equal: {_few(record['changed'])}"] if record["changed"] else []
    for kind, keys in record["problems"].items():
        found.append(f"{model}: PyTorch says {kind}: {_few(keys)}")
    if not record["difference"] <= BOUND:
        found.append(f"{model}: outputs differ by {record['difference']:.1e}")
    return found


def _few(names: Sequence[str]) -> str:
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(names[:3]) + more


# ---- the command
def _parser() -> argparse.ArgumentParser:
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"))
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks.tables.conversion",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("model", nargs="*", help="classes to measure; all where none is named")
    add(
        "--reference-python",
        type=Path,
        metavar="PATH",
        default=Path(sys.executable),
        help="has torch and transformers; this Python where not given",
    )
    add("--rounds", type=int, default=3, help="timed turns of each side (%(default)s)")
    add("--wait", type=float, default=0.0, metavar="SECONDS", help="wait for a quiet machine")
    add("--busy", action="store_true", help="measure although other programs run")
    add("--again", action="store_true", help="measure anew what is there already")
    add("--results", type=Path, default=cache / "tfzoo" / "conversion.json", metavar="FILE")
    add("--docs", type=Path, default=DOCS, metavar="FILE", help="the page to write")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure what is not measured yet and write the page; returns the exit code."""
    parser = _parser()
    args = parser.parse_args(arguments)
    known = [size.model for size in SIZES]
    if unknown := sorted(set(args.model) - set(known)):
        parser.error(f"no class {', '.join(unknown)}; there are {', '.join(known)}")
    if args.rounds < 1:
        parser.error("--rounds must be at least 1")
    records = read_json(args.results) if args.results.is_file() else {}
    todo = [size for size in SIZES if _is_due(size, records, args)]
    try:
        if todo:
            _measure_all(todo, records, args)
    except BusyError as error:
        print(error, file=sys.stderr)
        return 3
    except (WorkerError, ValueError) as error:
        print(error, file=sys.stderr)
        return 1
    finally:
        args.docs.write_text(page(records), encoding="utf-8")
    wrong = [line for model in known if model in records for line in _wrong(model, records[model])]
    for line in wrong:
        print(line, file=sys.stderr)
    return 1 if wrong else 0


def _is_due(size: Benchmark, records: Mapping[str, Record], args: argparse.Namespace) -> bool:
    if args.model and size.model not in args.model:
        return False
    record = records.get(size.model)
    if record is None or args.again or record["fingerprint"] != _fingerprint(size):
        return True
    return record["busy"] and not args.busy


def _measure_all(
    todo: Sequence[Benchmark], records: dict[str, Record], args: argparse.Namespace
) -> None:
    python = reference_python("torch", args.reference_python)
    quiet = None if args.busy else Quiet(args.wait)
    if quiet:
        quiet.begin()  # once: the work itself raises the load average
    for number, size in enumerate(todo, start=1):
        print(f"{number} of {len(todo)}: {size.model}", file=sys.stderr, flush=True)
        record = _measure(size, python, args.rounds, quiet)
        records[size.model] = {**record, "fingerprint": _fingerprint(size)}
        write_json(args.results, records)
        print(_row(size, record), flush=True)


if __name__ == "__main__":
    sys.exit(main())
