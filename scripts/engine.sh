#!/bin/sh
# Finds, installs, starts and stops a container engine: see dockerd.py.
exec python3 "$(dirname "$0")/dockerd.py" "$@"
