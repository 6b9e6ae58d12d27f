"""From a manifest, a capture file or a motion file to motions of one body."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from humanoid import mocap
from humanoid.bodies.embodiment import Embodiment
from humanoid.core.errors import InputError, nearest
from humanoid.motion.manifest import find_clip, load_manifest
from humanoid.motion.motion import Motion
from humanoid.retarget.pipeline import RetargetCfg, retarget


def load_motions(
    source: str | Path,
    body: Embodiment,
    clips: Sequence[str] = (),
    cfg: RetargetCfg | None = None,
    on_clip: Callable[[str], None] | None = None,
) -> tuple[list[Motion], list[float]]:
    """Return motions of ``body`` and their sampling weights.

    Args:
        source: a manifest (path or name of a shipped one), one ``.npz`` motion, one
            capture file, or a folder of ``.npz`` motions.
        body: the embodiment that shall perform.
        clips: names or tags to keep of a manifest, names of a folder; all by default.
        cfg: how clips become motions.
        on_clip: called with each clip's name before it is loaded, for progress.

    Raises:
        InputError: something named does not exist or is malformed.
        MismatchError: a motion file was made for another body.
    """
    path = Path(source)
    if path.is_dir():
        motions = _folder(path, body, clips)
        return motions, [1.0] * len(motions)
    if path.suffix == ".npz":
        return [Motion.load(path).for_body(body)], [1.0]
    if path.suffix.lower() in mocap.endings():
        return [retarget(mocap.load(path), body, cfg)], [1.0]
    manifest = load_manifest(source)
    motions, weights = [], []
    for entry in manifest.select(clips):
        if on_clip is not None:
            on_clip(entry.name)
        clip = mocap.load(find_clip(manifest, entry))
        loop = clip.loop if entry.loop is None else entry.loop
        source_text = f"{manifest.name}/{entry.file}: {manifest.source}"
        clip = replace(clip, name=entry.name, loop=loop, source=source_text, licence=manifest.licence)
        motions.append(retarget(clip, body, cfg))
        weights.append(entry.weight)
    return motions, weights


def _folder(path: Path, body: Embodiment, clips: Sequence[str]) -> list[Motion]:
    files = sorted(path.glob("*.npz"))
    if not files:
        raise InputError(f"{path}: no motion (.npz) in this folder")
    motions = [Motion.load(file).for_body(body) for file in files]
    names = [motion.name for motion in motions]
    for clip in clips:
        if clip not in names:
            raise InputError(f"{path}: no motion '{clip}'{nearest(clip, names)}")
    return [motion for motion in motions if not clips or motion.name in clips]
