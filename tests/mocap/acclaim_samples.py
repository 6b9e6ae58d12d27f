"""A small Acclaim skeleton with odd orders of axes, and takes of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np

ASF = """# written by a test
:version 1.10
:name ODD
:units
  mass 1.0
  length 1.0
  angle deg
:documentation
   begin nothing, end nothing
:root
   order TZ TX TY RZ RX RY
   axis ZYX
   position 1 2 -3
   orientation 10 20 -30
:bonedata
  begin
     id 1
     name spine
     direction 0 0.995037 0.0995037
     length 22.5
     axis 10 -20 30 YZX
    dof rz rx ry
    limits (-10 10)
           (-inf inf)
           (-1 1)
  end
  begin
     id 2
     name head
     direction 0 1 0
     length 9
     axis 0 0 90 XZY
     bodymass 4.5
    dof RY RX
  end
  begin
     id 3
     name arm
     direction 1 0 0
     length 20
     axis -90 7.62852e-016 20 ZXY
    dof rx
  end
  begin
     id 4
     name hip
     direction -0.6 -0.8 0
     length 4
     axis 0 0 0 XYZ
  end
  begin
     id 5
     name thigh
     direction -0.34202 -0.939693 0
     length 17
     axis 0 0 -20 XYZ
    dof rx ry rz
  end
  begin
     id 6
     name shin
     direction 0 -1 0
     length 16.5
     axis 30 40 50 YXZ
    dof ry
  end
:hierarchy
  begin
    root spine hip
    spine head arm
    hip thigh
    thigh shin
  end
"""
DOFS = {"root": 6, "spine": 3, "head": 2, "arm": 1, "thigh": 3, "shin": 1}
"""Numbers of each line of a frame."""
FRAMES = 8


def table(frames: int = FRAMES) -> np.ndarray:
    """Return numbers (T, 16) of a smooth wild motion: translations, and angles in degrees."""
    rng = np.random.default_rng(5)
    time = np.arange(frames)[:, None]
    values = 60.0 * np.sin(0.2 * time + rng.uniform(0, 6, (1, sum(DOFS.values()))))
    values[:, :3] = 0.3 * time + np.array((10.0, -4.0, 38.0))
    return values


def amc(values: np.ndarray, first: int = 1, head: str = ":FULLY-SPECIFIED\n:DEGREES\n") -> str:
    """Return the text of a motion file; angles are written as they are."""
    lines = ["#!OML:ASF odd.asf", *head.splitlines()]
    splits = np.cumsum(list(DOFS.values()))[:-1]
    for number, row in enumerate(values, first):
        lines.append(str(number))
        for name, part in zip(DOFS, np.split(row, splits), strict=True):
            lines.append(" ".join((name, *(f"{value:.6g}" for value in part))))
    return "\n".join(lines) + "\n"


def write(folder: Path, name: str = "odd_01", frames: int = FRAMES) -> Path:
    """Write skeleton and take; return the take."""
    (folder / "odd.asf").write_text(ASF)
    path = folder / f"{name}.amc"
    path.write_text(amc(table(frames)))
    return path
