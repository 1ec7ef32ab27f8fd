"""One error tree for everything an engine can answer, each with a stable code.

    EngineError                 engine_error          the engine refused, nothing more is known
    ├── Unreachable             engine_unreachable    no answer at all: nothing was done
    ├── DeadlineExceeded        engine_timeout        an answer did not come in time: UNKNOWN whether it was done
    │   └── AnswerLost          engine_answer_lost    the connection broke before the answer: UNKNOWN likewise
    ├── NotFound                not_found             no such object on the engine
    ├── Conflict                conflict              the state of the object forbids it
    │   ├── NameInUse           name_in_use
    │   ├── PortInUse           port_in_use
    │   ├── InUse               in_use                other objects depend on it
    │   ├── SelfProtected       self_protected        it is what Slipway itself runs in
    │   └── VolumeMissing       volume_missing        it would start on an empty volume in place of one that is gone
    ├── Invalid                 invalid               the engine calls the request malformed
    ├── ImageNotFound           image_not_found       no such image here or at the registry
    ├── PolicyDenied            policy_denied         a guard rail forbids it
    ├── RegistryUnreachable     registry_unreachable  the engine cannot reach the registry
    ├── RegistryBusy            registry_busy         the registry wants to be asked less often
    ├── AuthRequired            registry_auth         the registry wants other credentials
    ├── BuildFailed             build_failed          a build step ended with an error
    ├── TooLarge                too_large             more bytes than may be kept or copied
    ├── DiskFull                disk_full             no room for our own files: nothing of it was kept
    ├── StoreFailed             store_failed          the place where backups are kept refused, or cannot be reached
    ├── GateFailed              gate_failed           what was put in its place did not do well, and was taken out again
    ├── EventsLost              events_lost           a stream of events has a hole: look at everything again
    └── Cancelled               cancelled             the caller asked to stop, and it stopped

Messages are shown to people: they carry no host path, no trace and no more than
500 characters (`engine.docker_errors` maps and cleans them). Callers catch a
branch; users, logs and the REST contract get ``code``.
"""

from __future__ import annotations

from typing import Any


class EngineError(Exception):
    """The engine refused. ``code`` is stable, ``message`` is for people, ``details`` is JSON-safe."""

    code = "engine_error"

    def __init__(self, message: str, **details: Any) -> None:
        super().__init__(message)
        self.message = message
        self.details = details


class Unreachable(EngineError):
    """No connection to the engine: nothing was done."""

    code = "engine_unreachable"


class DeadlineExceeded(EngineError):
    """No answer in time. The engine may still carry the call out: verify before calling it failed."""

    code = "engine_timeout"


class AnswerLost(DeadlineExceeded):
    """The connection broke after a change was sent and before its answer: verify before calling it failed."""

    code = "engine_answer_lost"


class NotFound(EngineError):
    """No such object on this engine."""

    code = "not_found"


class ImageNotFound(NotFound):
    """No such image on this engine, or at the registry it was asked from."""

    code = "image_not_found"


class Conflict(EngineError):
    """The state of the object forbids the change."""

    code = "conflict"


class NameInUse(Conflict):
    """Another object has this name."""

    code = "name_in_use"


class PortInUse(Conflict):
    """Another process or container has this host port. ``details``: ``port``."""

    code = "port_in_use"


class InUse(Conflict):
    """Other objects depend on it, so it cannot be removed."""

    code = "in_use"


class SelfProtected(Conflict):
    """It is one of Slipway's own containers: it neither ends nor opens what it runs in itself."""

    code = "self_protected"


class VolumeMissing(Conflict):
    """A volume that the container names is gone: engines would make an empty one. ``details``: ``volumes``."""

    code = "volume_missing"


class Invalid(EngineError):
    """The request is malformed or out of range. ``details``: ``errors`` (field → messages) where known."""

    code = "invalid"


class PolicyDenied(EngineError):
    """A guard rail forbids it. ``details``: ``rule``, ``field``."""

    code = "policy_denied"


class AuthRequired(EngineError):
    """The registry wants other credentials."""

    code = "registry_auth"


class RegistryUnreachable(EngineError):
    """The engine cannot reach the registry: no network, no such host, or the registry is down."""

    code = "registry_unreachable"


class RegistryBusy(EngineError):
    """The registry wants to be asked less often. ``details``: ``seconds`` to wait, where it said so."""

    code = "registry_busy"


class BuildFailed(EngineError):
    """A build step ended with an error. ``details``: ``step`` (1-based) and ``exit_code`` where known."""

    code = "build_failed"


class TooLarge(EngineError):
    """More than what may be kept or copied. ``details``: ``most`` bytes."""

    code = "too_large"


class DiskFull(EngineError):
    """There is no room for a file of ours on our own machine: nothing of it was kept."""

    code = "disk_full"


class StoreFailed(EngineError):
    """The place where backups are kept refused, cannot be reached, or has not what it was given."""

    code = "store_failed"


class GateFailed(EngineError):
    """What was put in the place of something did not do well there; it was taken out again."""

    code = "gate_failed"


class EventsLost(EngineError):
    """Events came faster than they were taken. Connect again and look at everything."""

    code = "events_lost"


class Cancelled(EngineError):
    """The caller asked to stop, and it stopped. The message says what that has left, as whoever cancelled reads it."""

    code = "cancelled"
