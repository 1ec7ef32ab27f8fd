#!/bin/sh
# The same as engine.py, for those who look for a shell script.
exec python3 "$(dirname "$0")/engine.py" "$@"
