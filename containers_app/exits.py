"""How a container ended, in words. Pure: codes are the shell's and the engine's conventions, signals Linux's."""

from __future__ import annotations

import signal as _signal

_OWN = {
    0: "finished without an error",
    1: "an error of the application",
    2: "an error of the application, or wrong use of a command",
    125: "the engine could not run it",
    126: "the command could not be executed",
    127: "the command was not found",
}
_KILLED = {
    1: "its terminal or its parent went away",
    2: "interrupted",
    3: "asked to quit",
    4: "an instruction that this processor does not know",
    6: "it aborted itself",
    7: "an access to memory that is not there",
    8: "an arithmetic error, such as a division by zero",
    9: "killed, with no chance to clean up",
    11: "an access to memory that is not its own (segmentation fault)",
    13: "it wrote to somebody who no longer reads",
    14: "its alarm clock rang",
    15: "asked to end",
    24: "it has used up its processor time",
    25: "a file grew too large",
    31: "a system call that is not allowed",
}


def signal_of(code: int | None) -> int | None:
    """The signal that an exit code tells of: 128 + n, by the shell's convention."""
    return code - 128 if code is not None and 128 < code <= 128 + 64 else None


def signal_name(number: int) -> str:
    """``SIGTERM``; ``signal 40`` for one without a name."""
    try:
        return _signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def in_words(code: int | None, *, oom: bool = False) -> str:
    """``killed, with no chance to clean up``: what an exit code says, in the words of somebody who has to act."""
    if oom:
        return "out of memory"
    if code is None:
        return "with a code that nobody heard"
    if code in _OWN:
        return _OWN[code]
    number = signal_of(code)
    if number:
        return _KILLED.get(number, f"ended by {signal_name(number)}")
    return "an error of the application"


_SHORT = {
    125: "could not be run",
    126: "could not be executed",
    127: "command not found",
    132: "illegal instruction",
    134: "aborted",
    137: "killed",
    139: "segmentation fault",
    143: "ended by SIGTERM",
}


def briefly(code: int | None, *, oom: bool = False) -> str:
    """Two words for a list, empty where the number says all there is to say."""
    return "out of memory" if oom else _SHORT.get(code or 0, "")
