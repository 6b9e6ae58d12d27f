"""Export latent skills, run them without torch: ``python examples/10_export_and_run_without_torch.py``."""

import subprocess
import sys

from humanoid.core.paths import shipped_policy

RUNTIME = """
import sys, time
import numpy as np
from humanoid.export import OnnxSkills

skills = OnnxSkills("skills.onnx")
names = skills.metadata.joint_names
print(f"{len(names)} joints, latents of {skills.metadata.latent_width} numbers")

# Proprioception of a standing body at rest; a robot fills it from its sensors every 20 ms.
widths = dict(zip(skills.metadata.observation_names, skills.metadata.observation_widths))
parts = {name: np.zeros((1, width), np.float32) for name, width in widths.items()}
parts["gravity_b"][:, 2] = -1.0
proprioception = np.concatenate(list(parts.values()), axis=1)

mean, _ = skills.prior(proprioception)
begun = time.perf_counter()
targets, action = skills.targets(proprioception, mean)
print(f"first servo targets [rad]: {targets[0, :4].round(3)}, {1e3 * (time.perf_counter() - begun):.2f} ms")
assert "torch" not in sys.modules
"""

# ``humanoid export`` writes trackers, latent skills and whole guided planners, and compares each with torch.
checkpoint = str(shipped_policy("latent.pt"))
subprocess.run([sys.executable, "-m", "humanoid", "export", checkpoint, "--out", "skills.onnx"], check=True)
subprocess.run([sys.executable, "-c", RUNTIME], check=True)
