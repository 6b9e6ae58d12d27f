"""Conversion of capture files to motions of a body, in groups: load, retarget, measure, save."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from humanoid.bodies.embodiment import Embodiment
from humanoid.core.errors import HumanoidError, one_line
from humanoid.core.io import LoadCfg
from humanoid.datasets.sources import SourceFile, body_of, read
from humanoid.mocap import Clip
from humanoid.motion.motion import Motion
from humanoid.retarget.pipeline import RetargetCfg, retarget_all
from humanoid.retarget.quality import measure

SETTINGS = "settings"
"""Key of a motion's provenance: digest of the settings it was made with."""
MEASURES = ("error_mm", "skate_mm", "penetration_mm")
_VERSION = 2
"""Raised when the same settings give another motion."""


@dataclass(frozen=True, kw_only=True)
class ConversionCfg:
    """Output and settings of a conversion."""

    out: str
    """Folder for the npz files."""
    embodiment: str = "smpl"
    """Name of the body."""
    load: LoadCfg = field(default_factory=lambda: LoadCfg(made_for="auto"))
    """Properties that files do not state."""
    retarget: RetargetCfg = field(default_factory=RetargetCfg)
    """How clips become motions."""


@dataclass(frozen=True, kw_only=True)
class Converted:
    """Result of one file.

    Attributes:
        name: name of the motion.
        row: ``file``, ``clip``, ``frames``, ``fps``, ``error_mm``, ``skate_mm``,
            ``penetration_mm``; or ``file`` and ``error``.
        failed: whether it is the latter.
    """

    name: str
    row: dict[str, Any]
    failed: bool = False


Retarget = Callable[[Sequence[Clip], Embodiment, RetargetCfg], list[Motion]]


def convert(
    items: Sequence[SourceFile], cfg: ConversionCfg, retarget: Retarget = retarget_all
) -> list[Converted]:
    """Convert a group of files in one batch; each succeeds or fails by itself."""
    body = body_of(cfg.embodiment)
    results: list[Converted] = []
    clips: list[tuple[SourceFile, Clip]] = []
    for item in items:
        try:
            take = read(item, body, cfg.load, cfg.retarget.fps)
            if isinstance(take, Clip):
                clips.append((item, take))
            else:
                results.append(_save(item, take, body, cfg))
        except Exception as error:  # a bug that one file meets must not cost the other thousand
            results.append(failure(item, error))
    if not clips:
        return results
    try:
        motions = retarget([clip for _, clip in clips], body, cfg.retarget)
    except Exception as error:  # as above; each is tried alone to find the clip
        if len(clips) == 1:
            return [*results, failure(clips[0][0], error)]
        for item, _ in clips:
            results += convert([item], cfg, retarget)
        return results
    for (item, _), motion in zip(clips, motions, strict=True):
        try:
            results.append(_save(item, motion, body, cfg))
        except Exception as error:  # as above
            results.append(failure(item, error))
    return results


def is_done(item: SourceFile, body: Embodiment, cfg: ConversionCfg) -> bool:
    """Return whether the output is there, newer than the file and made with these settings."""
    path = _target(item, cfg)
    try:
        if path.stat().st_mtime_ns < item.file.stat().st_mtime_ns:
            return False
        with path.open("rb") as file, np.load(file, allow_pickle=False) as data:
            found = json.loads(str(data["provenance"])).get(SETTINGS)
    except Exception:  # whatever is wrong with it, it is converted again
        return False
    return found == _settings(item, body, cfg)


def failure(item: SourceFile, error: Exception) -> Converted:
    """Return the result of a file that could not be converted."""
    kind = "" if isinstance(error, HumanoidError) else f"{type(error).__name__}: "
    text = f"{kind}{one_line(error)}".removeprefix(f"{item.file}: ")
    return Converted(name=item.name, row={"file": str(item.file), "error": text}, failed=True)


def _settings(item: SourceFile, body: Embodiment, cfg: ConversionCfg) -> str:
    """Return a digest of everything besides a file's content that determines its motion."""
    text = Path(cfg.retarget.skeleton_map).read_text() if cfg.retarget.skeleton_map else ""
    tree = {
        "version": _VERSION,
        "body": body.signature(),
        "file": [item.name, item.entry.loop, item.source, item.licence, item.entry.speed],
        "load": dataclasses.asdict(cfg.load),
        "retarget": dataclasses.asdict(cfg.retarget),
        "map": text,
    }
    return hashlib.sha256(json.dumps(tree, sort_keys=True, default=str).encode()).hexdigest()[:16]


def _target(item: SourceFile, cfg: ConversionCfg) -> Path:
    return Path(cfg.out) / f"{item.name}.npz"


def _save(item: SourceFile, motion: Motion, body: Embodiment, cfg: ConversionCfg) -> Converted:
    quality = measure(motion, body).to_dict()
    measured = {key: None if quality[key] is None else round(quality[key], 3) for key in MEASURES}
    provenance = {
        **motion.provenance,
        **measured,
        "embodiment": body.name,
        SETTINGS: _settings(item, body, cfg),
    }
    replace(motion, provenance=provenance).save(_target(item, cfg))
    row = {"file": str(item.file), "clip": item.name, "frames": motion.num_frames, "fps": motion.fps}
    return Converted(name=item.name, row={**row, **measured})
