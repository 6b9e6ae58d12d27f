"""Options of file readers, free of numpy and torch: the command line reads them for its help."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from humanoid.core.constraints import Checked, NonNegative


@dataclass(frozen=True, kw_only=True)
class LoadCfg(Checked):
    """Properties that a capture or robot file does not state; ``auto`` infers them from the content."""

    units: Literal["auto", "m", "cm", "mm", "inch"] = "auto"
    """Unit of length of files that name none; inferred from the skeleton's size by default."""
    up: Literal["auto", "x", "y", "z"] = "auto"
    """Axis that points up in files that do not state it."""
    fps: NonNegative = 0.0
    """[1/s] Frame rate of files that do not state it; 0: the usual rate of their format."""
    skeleton: str = ""
    """Skeleton file of a format that keeps it apart (.asf); beside the file by default."""
    smpl_model: str = ""
    """SMPL, SMPL-H or SMPL-X file, for the exact joints of SMPL captures."""
    quat: Literal["", "wxyz", "xyzw"] = ""
    """Order of root quaternions in robot files whose columns have no names; needed for these."""
    check_quat: bool = True
    """Whether an order is an error that turns the robot over where the other has it upright."""
    layout: str = ""
    """Joints of such a file (g1_29, g1_23, g1_23_waist, h1_19) where their number leaves a choice."""
    names_from: Literal["", "mjcf", "isaaclab"] = ""
    """Order of an npz without names: depth first (mjcf: mjlab) or breadth first (isaaclab: BeyondMimic)."""
    clip: str = ""
    """Name of the clip in a pickle that holds several."""
    trust_pickle: bool = False
    """Read pickles, which can run anything in other programs: of people you trust only."""
    made_for: str = ""
    """Body that robot files were made for: the wanted one by default; auto: a known one that fits."""
