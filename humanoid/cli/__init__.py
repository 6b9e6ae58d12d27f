"""``humanoid VERB``: the command line. No logic of its own.

Results go to standard output, progress to standard error. An error that a user can
mend is one line and exit code 2.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Sequence

import tyro

from humanoid.cli import measure, skills
from humanoid.cli import motions as sets
from humanoid.cli.policies import bench, demo, export, replay, train
from humanoid.core.errors import HumanoidError


def motions() -> None:
    """Motion sets and capture files: list, convert, check, segment, view, fetch."""


def evaluate() -> None:
    """How well policies do: track, recover, latent, guide."""


VERBS = {
    "demo": demo,
    "teleop": skills.teleop,
    "inpaint": skills.inpaint,
    "train": train,
    "collect": skills.collect,
    "eval": evaluate,
    "export": export,
    "replay": replay,
    "bench": bench,
    "motions": motions,
}
"""Verb -> function; its docstring is the verb's help."""
GROUPS = {
    "eval": {
        "track": measure.track,
        "recover": measure.recover,
        "latent": measure.latent,
        "guide": measure.guide,
    },
    "motions": {
        "list": sets.list,
        "convert": sets.convert,
        "check": sets.check,
        "segment": sets.segment,
        "view": sets.view,
        "fetch": sets.fetch,
    },
}
"""Verb that only holds others -> those."""
THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
"""Environment variables from which torch and numpy take their number of CPU threads."""


def main(args: Sequence[str] | None = None) -> None:
    """Run one verb; exit with 2 and one line where the user can mend what is wrong.

    SIGTERM, which a scheduler sends that wants the machine back, counts as Ctrl-C: what trains saves.
    """
    single_threaded()
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, signal.default_int_handler)
    words = list(sys.argv[1:] if args is None else args)
    verbs, prog, about = VERBS, "humanoid", "From motion capture to simulated humanoids."
    if words and words[0] in GROUPS:
        verbs, prog, about = GROUPS[words[0]], f"humanoid {words[0]}", VERBS[words[0]].__doc__ or ""
        del words[0]
    try:
        tyro.extras.subcommand_cli_from_dict(verbs, prog=prog, description=about, args=words)
    except HumanoidError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(2) from None
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        raise SystemExit(130) from None
    except BrokenPipeError:  # the reader of our output has left
        sys.stderr.close()
        raise SystemExit(1) from None


def single_threaded() -> None:
    """Let torch and numpy compute in one thread unless the environment names another number.

    Threads that share cores with another busy process wait for each other: two of them are 10 to 30
    times slower than one. Counts only before torch is imported; ``torch_threads`` of a configuration
    counts afterwards.
    """
    threads = os.environ.get("OMP_NUM_THREADS", "1")
    for variable in THREADS:
        os.environ.setdefault(variable, threads)
