"""The command line. This module imports next to nothing, so that Ctrl-C works at any time."""

from __future__ import annotations

import sys


def main() -> None:
    """Entry point."""
    try:
        from .door import run

        run()
    except KeyboardInterrupt:
        print("archsmith: interrupted", file=sys.stderr)
        sys.exit(130)
