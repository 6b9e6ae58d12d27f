"""``python -m humanoid VERB``: the command line from a checkout or an installation."""

from __future__ import annotations

import sys

from humanoid.cli import main

if __name__ == "__main__":
    sys.exit(main())
