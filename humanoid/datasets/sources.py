"""From manifests, capture files and motion files to the motions of one body that it learns from."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from humanoid import mocap
from humanoid.bodies.embodiment import Embodiment
from humanoid.core.errors import InputError
from humanoid.datasets.manifest import (
    ClipEntry,
    Manifest,
    asks_for,
    find_clip,
    load_manifest,
    require_known,
    select_clips,
)
from humanoid.motion.edit import mirror as mirrored
from humanoid.motion.edit import retimed
from humanoid.motion.motion import Motion
from humanoid.motion.robot import ENDINGS, RobotCfg, is_robot_file, load_motion
from humanoid.retarget.pipeline import RetargetCfg, retarget

MIRRORED = "mirrored"
"""Tag of the mirror images that :func:`load_motions` adds."""
RETIMED = "retimed"
"""Tag of what it adds at other tempos."""


@dataclass(frozen=True, kw_only=True)
class MotionSet:
    """Motions of one body to learn from.

    Attributes:
        motions: C of them, names unique.
        weights: how often each is drawn for each of its seconds.
        tags: what each shows.
        splits: ``train`` or ``test``, whether each is to learn from or kept back.
    """

    motions: tuple[Motion, ...]
    weights: tuple[float, ...]
    tags: tuple[tuple[str, ...], ...]
    splits: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class _Source:
    """One source, whatever it is, as a manifest; ``prefix`` goes before the names of its motions."""

    manifest: Manifest
    load: Callable[[ClipEntry], Motion]
    prefix: str = ""


def load_motions(
    source: str | Path | Sequence[str | Path],
    body: Embodiment,
    clips: Sequence[str] = (),
    cfg: RetargetCfg | None = None,
    on_clip: Callable[[str], None] | None = None,
    *,
    split: str = "",
    mirror: bool = False,
    tempos: Sequence[float] = (),
    weights: Mapping[str, float] | None = None,
    keep: Callable[[str, tuple[str, ...]], bool] | None = None,
) -> MotionSet:
    """Return motions of ``body``, their sampling weights and tags.

    Args:
        source: a manifest (path or name of a shipped one), one motion file, one capture
            file, or a folder of ``.npz`` motions or else of a robot's csv and pkl files; or
            several of these. What comes from one of several manifests or folders is called
            ``SET/NAME``.
        body: the embodiment that shall perform.
        clips: names or tags to keep, looked for in all sources; see
            :func:`~humanoid.datasets.manifest.select_clips`. All by default.
        cfg: how clips become motions.
        on_clip: called with each clip's name before it is loaded, for progress.
        split: ``train`` or ``test`` to keep that part; what is in no manifest is to train on.
        mirror: add the mirror image ``NAME_mirrored`` of each clip whose manifest allows it.
        tempos: add each clip this many times as fast, as ``NAME_x0.8``, and its mirror image;
            not of clips with a ball, which falls as fast as ever.
        weights: clip or tag -> factor on the weights of its clips; all that fit multiply.
            What is added also carries the tags ``mirrored`` and ``retimed``.
        keep: of the clips that are left, which to load, by name and tags; all by default.

    Raises:
        InputError: something named does not exist or is malformed, or a tempo is none.
        MismatchError: a motion file was made for another body.
    """
    _check_tempos(tempos)
    given = (source,) if isinstance(source, str | Path) else tuple(source)
    if not given:
        raise InputError("no motion set is named; give a manifest, a capture, a motion or a folder of these")
    sources = [_open(one, body, cfg, alone=len(given) == 1) for one in given]
    manifests = [one.manifest for one in sources]
    factors = dict(weights or {})
    _check_weights(factors, manifests)
    found: list[tuple[Motion, float, tuple[str, ...], str]] = []
    for one, entries in zip(sources, select_clips(manifests, clips, split), strict=True):
        for entry in entries:
            name = f"{one.prefix}{entry.name}"
            if keep is not None and not keep(name, entry.tags):
                continue
            if on_clip is not None:
                on_clip(name)
            loaded = replace(one.load(entry), name=name)
            for motion, twin in _twins(loaded, entry, body, mirror, tempos):
                found.append((motion, _weight(twin, one.manifest, factors), twin.tags, twin.split))
    motions, shares, tags, splits = zip(*found, strict=True) if found else ((), (), (), ())
    for name in (motion.name for motion in motions):
        if sum(motion.name == name for motion in motions) > 1:
            raise InputError(f"two motions are called '{name}': two of the sources have one name")
    return MotionSet(motions=motions, weights=shares, tags=tags, splits=splits)


def _twins(
    motion: Motion, entry: ClipEntry, body: Embodiment, mirror: bool, tempos: Sequence[float]
) -> Iterator[tuple[Motion, ClipEntry]]:
    """Yield a motion, what it is at other tempos, and the mirror images of all."""
    for tempo in (1.0, *(() if motion.prop else tempos)):
        paced, twin = motion, entry
        if tempo != 1.0:
            paced = replace(retimed(motion, tempo, body), name=f"{motion.name}_x{tempo:g}")
            twin = replace(entry, tags=(*entry.tags, RETIMED))
        yield paced, twin
        if mirror and entry.mirror:
            yield mirrored(paced, body), replace(twin, tags=(*twin.tags, MIRRORED))


def _open(source: str | Path, body: Embodiment, cfg: RetargetCfg | None, alone: bool) -> _Source:
    """Return one source as a manifest; its motions get its name where it is not ``alone``."""
    path, robot = Path(source), RobotCfg(fps=(cfg or RetargetCfg()).fps)
    if path.is_dir():
        tables = (file for file in sorted(path.iterdir()) if file.suffix.lower() in ENDINGS)
        files = sorted(path.glob("*.npz")) or list(tables)
        if not files:
            raise InputError(f"{path}: no motion (.npz) in this folder")
        return _folder(path, [load_motion(file, body, robot) for file in files], alone)
    if is_robot_file(path):
        motion = load_motion(path, body, robot)
        return _Source(manifest=_manifest(str(path), motion.name), load=lambda _: motion)
    if path.suffix.lower() in mocap.endings():
        clip = mocap.load(path)
        return _Source(manifest=_manifest(str(path), clip.name), load=lambda _: retarget(clip, body, cfg))
    manifest = load_manifest(source)
    prefix = "" if alone else f"{manifest.name}/"
    return _Source(manifest=manifest, load=lambda entry: _captured(manifest, entry, body, cfg), prefix=prefix)


def _folder(path: Path, motions: Sequence[Motion], alone: bool) -> _Source:
    names = [motion.name for motion in motions]
    for name in names:
        if names.count(name) > 1:
            raise InputError(f"{path}: two motions are called '{name}'")
    by_name = dict(zip(names, motions, strict=True))
    prefix = "" if alone else f"{path.resolve().name}/"
    return _Source(
        manifest=_manifest(str(path), *names), load=lambda entry: by_name[entry.name], prefix=prefix
    )


def _manifest(name: str, *clips: str) -> Manifest:
    return Manifest(name=name, clips=tuple(ClipEntry(name=clip, file="") for clip in clips))


def _captured(manifest: Manifest, entry: ClipEntry, body: Embodiment, cfg: RetargetCfg | None) -> Motion:
    """Return the motion of a manifest's clip."""
    clip = mocap.load(find_clip(manifest, entry))
    clip = replace(
        clip,
        name=entry.name,
        loop=clip.loop if entry.loop is None else entry.loop,
        source=f"{manifest.name}/{entry.file}: {manifest.source}",
        licence=manifest.licence,
    )
    return retarget(clip.retimed(entry.speed), body, cfg)


def _check_tempos(tempos: Sequence[float]) -> None:
    """Refuse tempos that are none, and one that is the clip's own or comes twice."""
    for index, tempo in enumerate(tempos):
        if not 0.0 < tempo < math.inf or tempo in (1.0, *tempos[:index]):
            raise InputError(f"tempos {list(tempos)}: each must be positive, not 1, and come once")


def _check_weights(factors: Mapping[str, float], manifests: Sequence[Manifest]) -> None:
    """Refuse factors of nothing and factors that are none."""
    require_known(
        (word for word in factors if word.removeprefix("tag:") not in (MIRRORED, RETIMED)), manifests
    )
    for word, factor in factors.items():
        if not 0 <= factor < math.inf:
            raise InputError(f"the weight of '{word}' is {factor:g}; it must be 0 or more and finite")


def _weight(entry: ClipEntry, manifest: Manifest, factors: Mapping[str, float]) -> float:
    fitting = (f for word, f in factors.items() if asks_for(word, manifest, entry, aside=True))
    return entry.weight * math.prod(fitting)
