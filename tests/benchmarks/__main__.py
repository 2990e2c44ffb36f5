"""Speed, load time and memory of tfzoo beside PyTorch, on full-size models.

    python -m tests.benchmarks                             every family, float32, inference
    python -m tests.benchmarks timesformer --dtype bfloat16
    python -m tests.benchmarks timesformer --train --json figures.json --wait 600
    python -m tests.benchmarks owlv2 --reference newest      the newest transformers
    python -m tests.benchmarks lxmert --reference tf_keras   transformers' old TensorFlow class

What is compared. transformers, in an environment of its own, writes one checkpoint of the full-size
model with random weights: the release whose numbers tfzoo gives and which the parity tests use, or
with `--reference newest` the newest one that the benchmark knows, whose attention is faster and
needs less memory in some families. The targets are for the former. Then both sides take turns on
that file, each time in a new process with two threads: tfzoo, PyTorch, tfzoo, ... The file is in
the page cache, the CPU is used on both sides, and the default settings of both libraries hold.
tfzoo is called inside a `tf.function`, as its documentation recommends; PyTorch eagerly, in
inference mode.

How it is measured.
- Call: the fastest of all calls of all rounds, after a first one that is reported on its own;
  ratios are those of these minima, since whatever disturbs only ever adds. The median stands
  beside it. With `--train` a call is one step of SGD with the model's own loss, by
  `train_on_batch` (without XLA, which is slower on CPUs) and by `backward` and `step`.
- Load: `from_pretrained`, timed after all imports and after the inputs have become tensors, so
  that the start of either library does not count. PyTorch maps the file and reads it when the
  weights are first used; so tfzoo's `from_pretrained` alone is held against PyTorch's
  `from_pretrained` with its first call. Both kinds of sum are printed.
- Memory: the process's peak (VmHWM) less the peak right after the imports, mapped pages included;
  the median round, as the allocators of both sides vary by tens of megabytes either way.
- Outputs: all are compared. In float32 a difference above 1e-5 of a field's largest magnitude
  ends the benchmark with an error, as a fast wrong answer is no result; narrower types may differ
  by 0.1. With `--train` it is the losses of all steps.

PyTorch slows down three to nine times when anything else uses the processor, and tfzoo less. The
benchmark therefore refuses to run while the load average is above 0.7, and repeats a turn during
which other programs used more than 0.1 of a core; `--wait` says for how long it may try. It never
reports what it measured on a busy machine. Linux only.

Exit codes: 0 done; 1 the outputs differ, a worker failed or (with `--check`) a target was missed;
2 wrong arguments; 3 the machine was busy.

A family takes part by `tests/models/<family>/benchmark.py`, see TimeSformer's.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from tests.benchmarks.harness.benchmark import Benchmark, find
from tests.benchmarks.harness.environment import PINNED, reference_python
from tests.benchmarks.harness.quiet import BusyError, Quiet
from tests.benchmarks.harness.report import as_json, missed, table
from tests.benchmarks.harness.rounds import DisagreementError, Plan, WorkerError, measure

__all__ = ["main"]

DTYPES = ("float32", "bfloat16", "float16", "mixed_bfloat16")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("family", nargs="*", help="families to measure; all where none is named")
    add("--dtype", choices=DTYPES, default="float32", help="of weights and computation")
    add("--train", action="store_true", help="time steps of training")
    add("--reference", choices=tuple(PINNED), default="torch", help="what to compare with")
    add("--reference-python", type=Path, metavar="PATH", help="has the reference, see --reference")
    add("--rounds", type=_positive, default=3, help="turns of each side (%(default)s)")
    add("--calls", type=_positive, default=5, help="timed calls in a turn (%(default)s)")
    add("--wait", type=float, default=0.0, metavar="SECONDS", help="wait for a quiet machine")
    add("--json", type=Path, metavar="FILE", help="write all figures there, too")
    add("--check", action="store_true", help="fail where a target is missed")
    return parser


def _positive(text: str) -> int:
    if (number := int(text)) < 1:
        raise ValueError(text)
    return number


def main(arguments: list[str] | None = None) -> int:
    """Run the benchmarks and print what they show; returns the exit code."""
    parser = _parser()
    args = parser.parse_args(arguments)
    try:
        benchmarks = _chosen(args)
        python = reference_python(args.reference, args.reference_python)
    except ValueError as error:
        parser.error(str(error))
    plan = Plan(python, args.reference, args.dtype, args.train, args.rounds, args.calls)
    try:
        return _run(benchmarks, plan, args)
    except BusyError as error:
        print(error, file=sys.stderr)
        return 3
    except (DisagreementError, WorkerError) as error:
        print(error, file=sys.stderr)
        return 1


def _chosen(args: argparse.Namespace) -> list[Benchmark]:
    """The benchmarks to run.

    Raises:
        ValueError: There are none, or the reference cannot do what is asked for.
    """
    if args.reference == "tf_keras" and (args.train or args.dtype != "float32"):
        raise ValueError("The old TensorFlow classes are compared in float32, without --train.")
    benchmarks = [b for b in find(args.family) if args.reference in b.references]
    if args.train:  # a step of training has to encode its texts
        benchmarks = [b for b in benchmarks if not b.text_bank]
    if not benchmarks:
        raise ValueError(f"Nothing to compare with {args.reference} in {', '.join(args.family)}.")
    return benchmarks


def _run(benchmarks: list[Benchmark], plan: Plan, args: argparse.Namespace) -> int:
    quiet = Quiet(args.wait)
    quiet.begin()
    records, misses = [], False
    for benchmark in benchmarks:
        result = measure(benchmark, plan, quiet)
        print(table(benchmark, plan, result), flush=True)
        records.append(as_json(benchmark, plan, result))
        misses = misses or missed(benchmark, plan, result)
    if args.json is not None:
        args.json.write_text(json.dumps(records, indent=1) + "\n")
    return 1 if misses and args.check else 0


if __name__ == "__main__":
    sys.exit(main())
