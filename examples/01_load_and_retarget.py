"""Load a capture, put it on a body and draw it: ``python examples/01_load_and_retarget.py [CAPTURE]``."""

import sys

import numpy as np

import humanoid as hm
from humanoid.view import Renderer, VideoCfg, save_png

body = hm.robots.embodiment("smpl")  # or "g1", "h1", "smpl_ball"
source = {"path": sys.argv[1]} if len(sys.argv) > 1 else {"path": "humanoid3d", "clip": "walk"}
motion = hm.load_motion(**source, body=body)
distance = (motion.states.root_pos_w[-1] - motion.states.root_pos_w[0]).norm()
print(f"{motion.name}: {motion.duration:.2f} s at {motion.fps:g} Hz; the root moves {distance:.2f} m")

# An npz with the keys and names of BeyondMimic.
motion.save("walk.npz")

# Five instants side by side.
with Renderer(VideoCfg(width=240, height=320), body) as renderer:
    frames = [int(share * (motion.num_frames - 1)) for share in (0.0, 0.25, 0.5, 0.75, 1.0)]
    save_png("walk.png", np.concatenate([renderer.frame(motion.states[i]) for i in frames], axis=1))
print("wrote walk.npz and walk.png")
