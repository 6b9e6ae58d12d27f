"""One reader of any source: capture, robot file, npz motion, manifest or folder -> motions of a body.

Sources are resolved to files (:func:`resolve`), a file is read (:func:`read`) to a motion of
the body or to a captured clip, and clips are retargeted.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path

import torch

from humanoid import mocap
from humanoid.bodies.catalogue import embodiment
from humanoid.bodies.embodiment import Embodiment
from humanoid.core.errors import HumanoidError, InputError, MismatchError
from humanoid.core.io import LoadCfg
from humanoid.datasets.manifest import (
    ClipEntry,
    Manifest,
    find_clip,
    load_manifest,
    require_known,
    select_clips,
    selects,
)
from humanoid.mocap import Clip
from humanoid.motion import robot
from humanoid.motion.edit import mirror as mirrored
from humanoid.motion.edit import retimed
from humanoid.motion.motion import Motion
from humanoid.retarget.from_motion import as_clip
from humanoid.retarget.pipeline import RetargetCfg, retarget

MIRRORED = "mirrored"
"""Tag of the mirror images that :func:`load_motions` adds."""
RETIMED = "retimed"
"""Tag of the clips that it adds at other time scales."""
ROBOTS = ("g1", "h1", "smpl", "smpl_ball")
"""Bodies that a robot file is matched with, in this order after the wanted one."""
_TEXTS = re.compile(r"(readme|licen[cs]e|copying|notice|changelog)\b.*", re.IGNORECASE)
"""Texts that lie beside captures and share an ending with some."""
_ODD = re.compile(r"[/\\:\x00-\x1f]|^\.|^$")
"""Parts of a name that is no file name on every system."""


@dataclass(frozen=True, kw_only=True)
class SourceFile:
    """One file to read.

    Attributes:
        file: the capture, robot or motion file.
        name: name of its motion.
        entry: its entry in the manifest; of a file without one, the defaults.
        manifest: the manifest that lists it.
        licence: terms; None leaves them to the file.
        source: origin; None leaves it to the file.
    """

    file: Path
    name: str
    entry: ClipEntry = field(default_factory=lambda: ClipEntry(name="", file=""))
    manifest: Manifest = field(default_factory=lambda: Manifest(name="", clips=()))
    source: str | None = None
    licence: str | None = None


@dataclass(frozen=True, kw_only=True)
class MotionSet:
    """Motions of one body to learn from.

    Attributes:
        motions: C of them, names unique.
        weights: sampling weight of each, a second.
        tags: tags of each.
        splits: ``train`` or ``test``, whether each is to learn from or kept back.
    """

    motions: tuple[Motion, ...]
    weights: tuple[float, ...]
    tags: tuple[tuple[str, ...], ...]
    splits: tuple[str, ...]


@lru_cache(maxsize=4)
def body_of(name: str) -> Embodiment:
    """Return a body by name, built once a process."""
    return embodiment(name)


def resolve(
    sources: Sequence[str | Path],
    clips: Sequence[str] = (),
    split: str = "",
    out: str | Path = "",
    *,
    prefix: bool = False,
) -> tuple[list[SourceFile], list[dict[str, str]]]:
    """Find the files of captures, folders and manifests.

    Args:
        sources: capture, robot and motion files, folders (searched recursively), manifests (path
            or name of a shipped one).
        clips: names or tags to keep; see :func:`~humanoid.datasets.manifest.select_clips`.
        split: ``train`` or ``test`` to keep that part; a file without manifest is to train on.
        out: folder that is written to, and so not searched.
        prefix: call motions ``SET/NAME`` where they come from one of several manifests or
            folders. Without it names are unique file names whatever the case of letters.

    Returns:
        The files; and file and error of each clip of a manifest that is missing.

    Raises:
        InputError: a source that does not exist, a folder without a capture, a name that
            cannot become a file's.
    """
    sets = [_manifest(source, Path(out).resolve() if out else None) for source in sources]
    found: dict[tuple[Path, str], SourceFile] = {}
    failed: list[dict[str, str]] = []
    for manifest, entries in zip(sets, select_clips(sets, clips, split), strict=True):
        listed = bool(manifest.folders)
        for entry in entries:
            try:
                file = find_clip(manifest, entry) if listed else Path(entry.file)
            except InputError as error:
                failed.append({"file": entry.file, "error": str(error)})
                continue
            inside = prefix and len(sets) > 1 and manifest.name != entry.file  # not of a single file
            item = SourceFile(
                file=file,
                name=f"{manifest.name}/{entry.name}" if inside else entry.name,
                entry=entry,
                manifest=manifest,
                source=f"{manifest.name}/{entry.file}: {manifest.source}" if listed else None,
                licence=manifest.licence if listed else None,
            )
            if not prefix and _ODD.search(item.name):
                raise InputError(f"{file}: the name {item.name!r} cannot become a file's; rename it")
            found.setdefault((file.resolve(), item.name), item)
    return _unique(list(found.values()), rename=not prefix), failed


def read(
    item: SourceFile,
    body: Embodiment,
    load: LoadCfg | None = None,
    rate: float | None = None,
) -> Clip | Motion:
    """Read one file.

    Args:
        item: the file.
        body: the embodiment that performs.
        load: properties that the file does not state.
        rate: [1/s] of the motion of a robot file; None keeps that of a saved motion.

    Returns:
        A motion of ``body``, or else a clip to retarget: a captured one, or the motion of the
        robot ``load.made_for``.

    Raises:
        InputError: the file is missing or malformed.
        MismatchError: a motion file was made for another body.
    """
    load = load or LoadCfg()
    if robot.is_robot_file(item.file):
        motion, owner = _robot_motion(item.file, body, load, rate)
        motion = replace(motion, name=item.name)
        return motion if owner is body else as_clip(motion, owner)
    clip = mocap.load(item.file, load)
    return replace(
        clip,
        name=item.name,
        loop=clip.loop if item.entry.loop is None else item.entry.loop,
        source=clip.source if item.source is None else item.source,
        licence=clip.licence if item.licence is None else item.licence,
    ).retimed(item.entry.speed)


def load_motion(
    path: str | Path,
    body: str | Embodiment = "smpl",
    load: LoadCfg | None = None,
    cfg: RetargetCfg | None = None,
    *,
    clip: str = "",
) -> Motion:
    """Return the motion of a capture, robot or motion file, or of a clip in a manifest or folder.

    Args:
        path: file, folder, or manifest by path or name.
        body: the embodiment that performs, or its name.
        load: properties that the file does not state.
        cfg: how a clip becomes a motion.
        clip: name of the clip, where the source holds several.

    Raises:
        InputError: missing, malformed, or more than one clip.
        MismatchError: a motion file was made for another body.
    """
    body = body_of(body) if isinstance(body, str) else body
    items, failed = resolve([path], [f"clip:{clip}"] if clip else ())
    if failed:
        raise InputError(failed[0]["error"])
    if len(items) != 1:
        raise InputError(f"{path}: {len(items)} clips, expected one; name it with clip=NAME")
    return perform(items[0], body, load, cfg)[0]


def perform(
    item: SourceFile, body: Embodiment, load: LoadCfg | None = None, cfg: RetargetCfg | None = None
) -> tuple[Motion, Clip | None]:
    """Return the motion of one file, and its clip at the motion's rate and length if it is a capture.

    Raises:
        InputError: the file is missing or malformed.
        MismatchError: a motion file was made for another body.
    """
    clip = read(item, body, load)
    if isinstance(clip, Motion):
        return clip, None
    motion = retarget(clip, body, cfg)
    take = clip.resampled(motion.fps).unrolled(motion.duration)
    # frame by frame beside the motion, whatever the retargeter cut off or held
    rows = torch.arange(motion.num_frames).clamp(max=take.num_frames - 1)
    props = tuple(
        replace(p, **{key: getattr(p, key)[rows.clamp(max=len(p.pos_w) - 1)]
                      for key in ("pos_w", "quat_w", "touched")})
        for p in take.props
    )  # fmt: skip
    root, quat = take.root_pos_w[rows], take.local_quat[rows]
    return motion, replace(take, root_pos_w=root, local_quat=quat, props=props)


def load_motions(
    source: str | Path | Sequence[str | Path],
    body: Embodiment,
    clips: Sequence[str] = (),
    cfg: RetargetCfg | None = None,
    on_clip: Callable[[str], None] | None = None,
    *,
    load: LoadCfg | None = None,
    split: str = "",
    mirror: bool = False,
    tempos: Sequence[float] = (),
    weights: Mapping[str, float] | None = None,
    keep: Callable[[str, tuple[str, ...]], bool] | None = None,
) -> MotionSet:
    """Return motions of ``body``, their sampling weights and tags.

    Args:
        source: one or several, see :func:`resolve`; motions of one of several are ``SET/NAME``.
        body: the embodiment that performs.
        clips: names or tags to keep, looked for in all sources. All by default.
        cfg: how clips become motions.
        on_clip: called with each clip's name before it is loaded, for progress.
        load: properties that files do not state.
        split: ``train`` or ``test`` to keep that part.
        mirror: add the mirror image ``NAME_mirrored`` of each clip whose manifest allows it.
        tempos: time scales at which to add each clip, too, as ``NAME_x0.8``; no clips with a ball.
        weights: clip or tag -> factor on the weights of its clips; all that fit multiply.
            Added clips also carry the tags ``mirrored`` and ``retimed``.
        keep: filter of the remaining clips by name and tags; all by default.

    Raises:
        InputError: something named does not exist or is malformed, or a time scale is invalid.
        MismatchError: a motion file was made for another body.
    """
    _check_time_scales(tempos)
    given = (source,) if isinstance(source, str | Path) else tuple(source)
    if not given:
        raise InputError("no motion set is named; give a manifest, a capture, a motion or a folder of these")
    items, failed = resolve(given, clips, split, prefix=True)
    if failed:
        raise InputError(failed[0]["error"])
    factors = dict(weights or {})
    _check_weights(factors, [_manifest(one, None) for one in given])
    found: list[tuple[Motion, float, tuple[str, ...], str]] = []
    for item in items:
        if keep is not None and not keep(item.name, item.entry.tags):
            continue
        if on_clip is not None:
            on_clip(item.name)
        loaded = read(item, body, load)
        loaded = retarget(loaded, body, cfg) if isinstance(loaded, Clip) else loaded
        for motion, entry in _variants(loaded, item.entry, body, mirror, tempos):
            found.append((motion, _weight(entry, item.manifest, factors), entry.tags, entry.split))
    motions, shares, tags, splits = zip(*found, strict=True) if found else ((), (), (), ())
    return MotionSet(motions=motions, weights=shares, tags=tags, splits=splits)


def _manifest(source: str | Path, out: Path | None) -> Manifest:
    """Return any source as a manifest; only one that was read from YAML has folders."""
    path = Path(source)
    endings = (*mocap.endings(), *robot.FORMATS)
    if path.is_dir():
        files = [file for file in sorted(path.rglob("*")) if _is_motion(file, path, endings, out)]
        if not files:
            known = ", ".join(sorted(set(endings)))
            raise InputError(f"{path}: no motion or capture in this folder; known endings: {known}")
        return _listed(path.resolve().name, files)
    if path.suffix.lower() in endings:
        if not path.is_file():
            raise InputError(f"{path}: no such motion file")
        return _listed(str(path), [path])
    return load_manifest(source)


def _is_motion(file: Path, folder: Path, endings: Sequence[str], out: Path | None) -> bool:
    hidden = any(part.startswith(".") for part in file.relative_to(folder).parts)
    written = out is not None and file.resolve().is_relative_to(out) and out != folder.resolve()
    known = file.suffix.lower() in endings and not _TEXTS.fullmatch(file.name)
    return known and not hidden and not written and file.is_file()


def _listed(name: str, files: Sequence[Path]) -> Manifest:
    return Manifest(name=name, clips=tuple(ClipEntry(name=file.stem, file=str(file)) for file in files))


def _unique(items: list[SourceFile], rename: bool) -> list[SourceFile]:
    """Give clips of one name the name of their folder as well, then their ending, then raise."""
    for longer in (
        lambda item: f"{item.file.resolve().parent.name}_{item.name}",
        lambda item: f"{item.name}_{item.file.suffix[1:].lower()}",
    ):
        count = Counter(item.name.casefold() for item in items if rename)
        items = [
            replace(item, name=longer(item)) if count[item.name.casefold()] > 1 else item for item in items
        ]
    first: dict[str, SourceFile] = {}
    for item in items:
        name = item.name.casefold() if rename else item.name
        other = first.setdefault(name, item)
        if other is not item:
            raise InputError(f"{item.file} and {other.file}: both would be called '{item.name}'; "
                             "rename one, or convert them into two folders")  # fmt: skip
    return items


def _robot_motion(
    file: Path, body: Embodiment, load: LoadCfg, rate: float | None
) -> tuple[Motion, Embodiment]:
    """Return a robot file's motion and the body it was made for."""
    if load.made_for != "auto":
        owner = body_of(load.made_for) if load.made_for else body
        try:
            return robot.load_robot(file, owner, load, rate), owner
        except MismatchError as error:
            raise MismatchError(
                f"{file}: not a motion of '{owner.name}': {error}; give --embodiment"
            ) from error
    errors: dict[str, HumanoidError] = {}
    for name in dict.fromkeys((body.name, *ROBOTS)):
        owner = body if name == body.name else body_of(name)
        try:
            return robot.load_robot(file, owner, load, rate), owner
        except HumanoidError as error:
            errors[name] = error
    # the error of a robot is more telling than that of a person's body
    raise next((errors[name] for name in errors if not name.startswith("smpl")), errors[body.name])


def _variants(
    motion: Motion, entry: ClipEntry, body: Embodiment, mirror: bool, tempos: Sequence[float]
) -> Iterator[tuple[Motion, ClipEntry]]:
    """Yield a motion, the same at other time scales, and the mirror images of all."""
    for scale in (1.0, *(() if motion.prop else tempos)):
        paced, variant = motion, entry
        if scale != 1.0:
            paced = replace(retimed(motion, scale, body), name=f"{motion.name}_x{scale:g}")
            variant = replace(entry, tags=(*entry.tags, RETIMED))
        yield paced, variant
        if mirror and entry.mirror:
            yield mirrored(paced, body), replace(variant, tags=(*variant.tags, MIRRORED))


def _check_time_scales(tempos: Sequence[float]) -> None:
    for index, scale in enumerate(tempos):
        if not 0.0 < scale < math.inf or scale in (1.0, *tempos[:index]):
            raise InputError(f"tempos {list(tempos)}: each must be positive, not 1, and come once")


def _check_weights(factors: Mapping[str, float], manifests: Sequence[Manifest]) -> None:
    require_known(
        (word for word in factors if word.removeprefix("tag:") not in (MIRRORED, RETIMED)), manifests
    )
    for word, factor in factors.items():
        if not 0 <= factor < math.inf:
            raise InputError(f"the weight of '{word}' is {factor:g}; it must be 0 or more and finite")


def _weight(entry: ClipEntry, manifest: Manifest, factors: Mapping[str, float]) -> float:
    fitting = (f for word, f in factors.items() if selects(word, manifest, entry, excluded=True))
    return entry.weight * math.prod(fitting)
