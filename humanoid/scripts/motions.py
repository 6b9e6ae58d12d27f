"""``humanoid motions list`` and ``humanoid motions fetch``: what there is, and how to get it.

``list`` without a name shows the shipped motion sets, with one the clips of that manifest,
and whether their files are there. ``fetch`` without a name shows the public sources, with
one it downloads it into the user's cache, where manifests look.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from humanoid.core.errors import InputError
from humanoid.core.paths import data_dir
from humanoid.datasets.fetch import FetchCfg, fetch
from humanoid.datasets.fetch_table import SOURCES
from humanoid.datasets.manifest import Manifest, find_clip, load_manifest
from humanoid.scripts.verbs import DownloadSourceCfg, ListCfg
from humanoid.view.progress import Bar, say


def list_motions(cfg: ListCfg) -> list[dict[str, Any]]:
    """Return the shipped motion sets, or the clips of one."""
    return list_clips(cfg.source, cfg.clips, cfg.split) if cfg.source else list_sets()


def list_sets() -> list[dict[str, Any]]:
    """Return name, licence and numbers of clips, of those found and excluded, of each shipped manifest."""
    rows = []
    for path in sorted(data_dir("motions").glob("*.yaml")):
        manifest = load_manifest(path)
        found = sum(row["found"] for row in _clips(manifest))
        rows.append(
            {
                "set": path.stem,
                "clips": len(manifest.clips),
                "found": found,
                "excluded": sum(bool(clip.exclude) for clip in manifest.clips),
                "fetch": manifest.fetch,
                "licence": manifest.licence,
            }
        )
    return rows


def list_clips(source: str, clips: Sequence[str] = (), split: str = "") -> list[dict[str, Any]]:
    """Return name, tags, split, file, whether it is found and why it is excluded, of a manifest's clips."""
    return _clips(load_manifest(source), clips, split)


def list_sources() -> list[dict[str, Any]]:
    """Return name, content and licence of each public source."""
    return [
        {"source": name, "what": source.what, "licence": source.licence} for name, source in SOURCES.items()
    ]


def fetch_motions(cfg: DownloadSourceCfg) -> dict[str, Any] | list[dict[str, Any]]:
    """Fetch a public source with a bar for each file, or list all; see :mod:`humanoid.datasets.fetch`."""
    if not cfg.name:
        return list_sources()
    bars: dict[str, Bar] = {}

    def progress(file: str, done: int, total: int) -> None:
        bars.setdefault(file, Bar("byte"))(done, max(total, done + (total == 0)))

    settings = FetchCfg(folder=cfg.folder, only=cfg.only, index=cfg.index, force=cfg.force)
    result = fetch(cfg.name, settings, progress)
    say(f"licence: {result['licence']}")
    if any(file["checksum"] == "recorded" for file in result["files"]):
        say("no checksum of these files is known beforehand: this download's are in SHA256SUMS from now on")
    return result


def fetch_table(result: dict[str, Any] | list[dict[str, Any]]) -> str:
    """Return the result of a fetch, or the list of sources, as text."""
    if isinstance(result, list):
        return table(result)
    new = sum(file["state"] == "fetched" for file in result["files"])
    failed = [f"  {row['file']}: {row['error']}" for row in result["failed"]]
    kept = len(result["files"]) - new
    count = f"{new} files fetched, {kept} were there, {len(failed)} failed: {result['folder']}"
    return "\n".join([*(["failed:", *failed, ""] if failed else []), count])


def table(rows: list[dict[str, Any]]) -> str:
    """Return rows of equal keys as aligned text."""
    if not rows:
        return "no clips"
    names = list(rows[0])
    cells = [names, *([str(row[name]) for name in names] for row in rows)]
    widths = [max(len(line[i]) for line in cells) for i in range(len(names))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in cells
    )


def _clips(manifest: Manifest, clips: Sequence[str] = (), split: str = "") -> list[dict[str, Any]]:
    rows = []
    for entry in manifest.select(clips or [f"clip:{entry.name}" for entry in manifest.clips], split):
        try:
            path, found = str(find_clip(manifest, entry)), True
        except InputError:
            path, found = entry.file, False
        rows.append(
            {
                "clip": entry.name,
                "tags": " ".join(entry.tags),
                "split": entry.split,
                "found": found,
                "file": path,
                "excluded": entry.exclude,
            }
        )
    return rows
