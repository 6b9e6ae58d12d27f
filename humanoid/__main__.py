"""``python -m humanoid VERB``: the command line; also the form that ``torchrun -m`` starts."""

from __future__ import annotations

import sys

from humanoid.scripts.main import main

if __name__ == "__main__":
    sys.exit(main())
