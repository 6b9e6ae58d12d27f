"""Errors, configurations, files, paths and run folders; imports nothing of the other packages.

Names are imported on first use, so that the command line starts without numpy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from humanoid.core.lazy import lazy

if TYPE_CHECKING:
    from humanoid.core.config import from_dict, load_config, to_dict, to_yaml
    from humanoid.core.errors import ConfigError, HumanoidError, InputError, MismatchError, MissingExtraError
    from humanoid.core.io import LoadCfg
    from humanoid.core.paths import cache_dir, data_dir, data_file, shipped_policy
    from humanoid.core.runs import atomic_path, atomic_save, claim_run, open_run

__all__ = [
    "ConfigError", "HumanoidError", "InputError", "LoadCfg", "MismatchError", "MissingExtraError",
    "atomic_path", "atomic_save", "cache_dir", "claim_run", "data_dir", "data_file", "from_dict",
    "load_config", "open_run", "shipped_policy", "to_dict", "to_yaml",
]  # fmt: skip

__getattr__ = lazy(
    __name__,
    {
        "config": ("from_dict", "load_config", "to_dict", "to_yaml"),
        "errors": ("ConfigError", "HumanoidError", "InputError", "MismatchError", "MissingExtraError"),
        "io": ("LoadCfg",),
        "paths": ("cache_dir", "data_dir", "data_file", "shipped_policy"),
        "runs": ("atomic_path", "atomic_save", "claim_run", "open_run"),
    },
)
