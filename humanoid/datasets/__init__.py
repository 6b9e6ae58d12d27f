"""Motion sets: manifests, the reader of any source, conversion and downloads."""

from humanoid.datasets.manifest import ClipEntry, Manifest, find_clip, load_manifest, select_clips
from humanoid.datasets.sources import (
    MotionSet,
    SourceFile,
    load_motion,
    load_motions,
    perform,
    read,
    resolve,
)

__all__ = [
    "ClipEntry", "Manifest", "MotionSet", "SourceFile", "find_clip", "load_manifest", "load_motion",
    "load_motions", "perform", "read", "resolve", "select_clips",
]  # fmt: skip
