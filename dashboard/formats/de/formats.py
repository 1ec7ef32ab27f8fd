"""As in every language."""

from dashboard.formats import *  # noqa: F403
