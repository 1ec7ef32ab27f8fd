#!/usr/bin/env python
"""Django's commands. `manage.py up` runs all of Slipway."""

from __future__ import annotations

import os
import signal
import sys


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "dashboard.settings")
    from django.core.management import execute_from_command_line

    if sys.argv[1:2] == ["up"]:
        # Until it has children to end, Ctrl-C ends it at once; an import may swallow KeyboardInterrupt.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        execute_from_command_line(sys.argv)
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
