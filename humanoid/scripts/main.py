"""``humanoid VERB``: the command line.

Results go to standard output, progress to standard error. An error that a user can correct is one line and
exit code 2. The module of a verb is imported when the verb runs, so that ``--help`` loads no torch.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import inspect
import json
import os
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any

import tyro

from humanoid.core.errors import ConfigError, HumanoidError
from humanoid.core.paths import shipped_policy
from humanoid.eval.config import LatentEvalCfg, RecoverCfg
from humanoid.scripts import verbs

THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
"""Environment variables from which torch and numpy take their number of CPU threads."""


@dataclass(frozen=True)
class Verb:
    """A verb of the command line.

    Attributes:
        cfg: configuration class; its docstrings are the help.
        run: ``module:function`` in the package; takes the configuration. A result with entries under
            ``failed``, or that is not ``ok``, gives exit code 1.
        table: the function that formats the result; without one there is no ``--json``, nothing is printed.
        shipped: (field, file) of each field that is by default a shipped checkpoint.
    """

    cfg: type[Any]
    run: str
    table: str = ""
    shipped: tuple[tuple[str, str], ...] = ()

    def parse(self, words: Sequence[str], prog: str = "") -> tuple[Any, bool]:
        """Return the configuration that ``words`` give, and whether JSON is wanted.

        Raises:
            SystemExit: code 2 after an error, 0 after the help.
            ConfigError: a value out of range.
        """

        def plain(cfg: Any) -> tuple[Any, bool]:  # noqa: ANN401 - a configuration
            return cfg, False

        def printing(cfg: Any, json: bool = False) -> tuple[Any, bool]:  # noqa: ANN401
            return cfg, json

        command = printing if self.table else plain
        command.__annotations__["cfg"] = Annotated[self.cfg, tyro.conf.arg(name="")]
        about = "\n\nArgs:\n    json: Print JSON instead of text." if self.table else ""
        command.__doc__ = f"{inspect.cleandoc(self.cfg.__doc__ or '')}{about}"
        try:
            return tyro.cli(command, prog=prog, args=words)
        except ConfigError as error:  # a constraint names class and field
            raise ConfigError(str(error).replace(f"{self.cfg.__name__}.", "--")) from None

    def call(self, cfg: Any, as_json: bool = False) -> None:  # noqa: ANN401
        """Run the verb and print its result; exit with 1 where it failed in part."""
        run = _load(self.run)
        shipped = {key: str(shipped_policy(name)) for key, name in self.shipped if not getattr(cfg, key)}
        cfg = replace(cfg, **shipped)
        if not self.table:
            run(cfg)
            return
        with contextlib.redirect_stdout(sys.stderr):  # libraries print, too
            result = run(cfg)
        print(json.dumps(result, indent=2) if as_json else _load(self.table)(result))
        if isinstance(result, dict) and (result.get("failed") or not result.get("ok", True)):
            sys.stdout.flush()
            raise SystemExit(1)


_TRACKER = (("checkpoint", "tracker.pt"),)
_PLANNER = (("latent", "latent.pt"), ("diffusion", "diffusion-small.pt"))
_LATENT = (("checkpoint", "latent.pt"), ("teacher", "walker.pt"))
VERBS = {
    "demo": Verb(verbs.DemoCfg, "scripts.demo:main", shipped=_TRACKER),
    "teleop": Verb(verbs.TeleopCfg, "scripts.teleop:main", "scripts.teleop:table", _PLANNER),
    "inpaint": Verb(verbs.InpaintCfg, "scripts.inpaint:main", "scripts.inpaint:table", _PLANNER),
    "train": Verb(verbs.TrainingCfg, "scripts.experiments:train"),
    "collect": Verb(verbs.CollectionCfg, "scripts.experiments:collect", "scripts.collect:table"),
    "eval track": Verb(
        verbs.TrackEvalCfg, "scripts.evaluate:track", "scripts.evaluate:track_table", _TRACKER
    ),
    "eval recover": Verb(RecoverCfg, "scripts.evaluate:recover", "eval.recover:table", _TRACKER),
    "eval latent": Verb(LatentEvalCfg, "scripts.evaluate:latent", "eval.latent:table", _LATENT),
    "eval guide": Verb(verbs.GuidedEvalCfg, "scripts.evaluate:guide", "eval.tasks:table", _PLANNER),
    "export": Verb(verbs.ExportCfg, "scripts.export:main", "scripts.export:table", _TRACKER),
    "replay": Verb(verbs.ReplayCfg, "scripts.replay:main", "scripts.replay:table"),
    "bench sim": Verb(verbs.BenchCfg, "scripts.bench_sim:main", "scripts.bench_sim:table"),
    "motions list": Verb(verbs.ListCfg, "scripts.motions:list_motions", "scripts.motions:table"),
    "motions convert": Verb(verbs.ConvertCfg, "scripts.convert:main", "scripts.convert:table"),
    "motions check": Verb(verbs.CheckCfg, "scripts.check:main", "scripts.check:table"),
    "motions segment": Verb(verbs.SegmentationCfg, "scripts.segment:main", "scripts.motions:table"),
    "motions view": Verb(verbs.ViewCfg, "scripts.view_motion:main"),
    "motions fetch": Verb(
        verbs.DownloadSourceCfg, "scripts.motions:fetch_motions", "scripts.motions:fetch_table"
    ),
}
"""Words of a verb -> the verb."""
GROUPS = {
    "": "From motion capture to simulated humanoids.",
    "eval": "Measure policies: track, recover, latent, guide.",
    "bench": "Measure the throughput of simulation, environment and training (sim).",
    "motions": "Motion sets and capture files: list, convert, check, segment, view, fetch.",
}
"""First word of verbs of two words -> its help."""


def main(args: Sequence[str] | None = None) -> None:
    """Run one verb; exit with 2 and one line where the user can correct the input.

    SIGTERM, with which a scheduler ends a job, counts as Ctrl-C: training saves.
    """
    single_threaded()
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, signal.default_int_handler)
    words = list(sys.argv[1:] if args is None else args)
    name = next((name for name in (" ".join(words[:2]), " ".join(words[:1])) if name in VERBS), "")
    try:
        if name:
            verb = VERBS[name]
            verb.call(*verb.parse(words[len(name.split()) :], f"humanoid {name}"))
        else:
            _list_verbs(words)
    except HumanoidError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(2) from None
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        raise SystemExit(130) from None
    except BrokenPipeError:  # the reader of the output has closed it
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


def _load(place: str) -> Callable[..., Any]:
    """Return the function at ``module:function``."""
    module, _, function = place.partition(":")
    return getattr(importlib.import_module(f"humanoid.{module}"), function)


def _list_verbs(words: list[str]) -> None:
    """Print the help of the verbs, or an error about a word that is none of them; exit."""
    group = words.pop(0) if words and words[0] in GROUPS else ""
    if group:
        within = {name: verb for name, verb in VERBS.items() if name.startswith(f"{group} ")}
        about = {name.split()[1]: verb.cfg.__doc__ for name, verb in within.items()}
    else:
        firsts = dict.fromkeys(name.split()[0] for name in VERBS)
        about = {name: GROUPS[name] if name in GROUPS else VERBS[name].cfg.__doc__ for name in firsts}

    parser = argparse.ArgumentParser(prog=f"humanoid {group}".strip(), description=GROUPS[group])
    commands = parser.add_subparsers(title="verbs", metavar="VERB", required=True)
    for name, text in about.items():
        commands.add_parser(name, help=(text or "").split("\n")[0])
    parser.parse_args(words)


if __name__ == "__main__":
    main()
