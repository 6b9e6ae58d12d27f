"""``python -m humanoid.cli VERB``, the form that ``torchrun -m`` starts."""

from __future__ import annotations

import sys

from humanoid.cli import main

if __name__ == "__main__":
    sys.exit(main())
