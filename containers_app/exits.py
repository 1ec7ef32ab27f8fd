"""How a container ended, in words. Pure: codes are the shell's and the engine's conventions, signals Linux's."""

from __future__ import annotations

import signal as _signal

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as _lazy

_OWN = {
    0: _lazy("finished without an error"),
    1: _lazy("an error of the application"),
    2: _lazy("an error of the application, or wrong use of a command"),
    125: _lazy("the engine could not run it"),
    126: _lazy("the command could not be executed"),
    127: _lazy("the command was not found"),
}
_KILLED = {
    1: _lazy("its terminal or its parent went away"),
    2: _lazy("interrupted"),
    3: _lazy("asked to quit"),
    4: _lazy("an instruction that this processor does not know"),
    6: _lazy("it aborted itself"),
    7: _lazy("an access to memory that is not there"),
    8: _lazy("an arithmetic error, such as a division by zero"),
    9: _lazy("killed, with no chance to clean up"),
    11: _lazy("an access to memory that is not its own (segmentation fault)"),
    13: _lazy("it wrote to somebody who no longer reads"),
    14: _lazy("its alarm clock rang"),
    15: _lazy("asked to end"),
    24: _lazy("it has used up its processor time"),
    25: _lazy("a file grew too large"),
    31: _lazy("a system call that is not allowed"),
}


def signal_of(code: int | None) -> int | None:
    """The signal that an exit code tells of: 128 + n, by the shell's convention."""
    return code - 128 if code is not None and 128 < code <= 128 + 64 else None


def signal_name(number: int) -> str:
    """``SIGTERM``; ``signal 40`` for one without a name."""
    try:
        return _signal.Signals(number).name
    except ValueError:
        return _("signal %(number)s") % {"number": number}


def in_words(code: int | None, *, oom: bool = False) -> str:
    """``killed, with no chance to clean up``: what an exit code says, in the words of somebody who has to act."""
    if oom:
        return _("out of memory")
    if code is None:
        return _("with a code that nobody heard")
    if code in _OWN:
        return str(_OWN[code])
    number = signal_of(code)
    if number:
        known = _KILLED.get(number)
        return str(known) if known else _("ended by %(signal)s") % {"signal": signal_name(number)}
    return _("an error of the application")


_SHORT = {
    125: _lazy("could not be run"),
    126: _lazy("could not be executed"),
    127: _lazy("command not found"),
    132: _lazy("illegal instruction"),
    134: _lazy("aborted"),
    137: _lazy("killed"),
    139: _lazy("segmentation fault"),
    143: _lazy("ended by SIGTERM"),
}


def briefly(code: int | None, *, oom: bool = False) -> str:
    """Two words for a list, empty where the number says all there is to say."""
    return _("out of memory") if oom else str(_SHORT.get(code or 0, ""))
