"""Scanning an image with a program of the worker's machine: Trivy or Grype, which Slipway does not ship.

The image comes from the engine as `docker save` gives it, into a file of ours that the program reads; the program sees
no engine and no socket. What it writes is read as any report is, and has to be about what was in the file.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from django.conf import settings
from django.utils.translation import gettext as _

from accounts.access import Actor
from engine import scan_reports
from engine.docker_errors import one_line
from engine.errors import Cancelled, DeadlineExceeded, EngineError, Invalid, NotFound, PolicyDenied, TooLarge
from engine.types import Progress
from images_app import image_files, scans
from images_app.models import Image
from operations import services, spooled
from operations.archives import Bad
from operations.models import Operation
from operations.registry import Context, leaving, operation
from operations.services import Refused, Target

KIND = "image.scan"
DEADLINE = 1800
LOOK = 0.1
WORDS = 300
"""Letters of what a program said that go into a sentence."""
_PASSED_ON = (
    "PATH", "SSL_CERT_FILE", "SSL_CERT_DIR", "HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY", "https_proxy", "http_proxy",
    "no_proxy",
)  # fmt: skip
"""What a scanner needs of our environment to fetch its database; nothing of ours that is secret."""


def scanner() -> str:
    """The program's kind, ``trivy`` or ``grype``, by the name that it has; empty where none is named."""
    name = Path(settings.SCANNER).name.lower()
    return next((kind for kind in ("trivy", "grype") if name.startswith(kind)), "")


def request_scan(image: Image, *, actor: Actor, idempotency_key: str = "") -> Operation:
    """Asks for this image to be scanned by the worker. Raises `Refused` where it has no scanner."""
    target = Target("image", str(image.pk), str(image), services.lock("image", image.pk, "scan"))

    def there_is_one() -> None:
        if not scanner():
            raise Refused("conflict", _("Slipway has no scanner here: SLIPWAY_SCANNER names none."))

    return services.submit(
        KIND, actor=actor, engine=image.engine, target=target, team=image.team,
        params={"native_id": image.native_id}, idempotency_key=idempotency_key, check=there_is_one,
    )  # fmt: skip


@operation(
    KIND, label="Scan", doing="Scanning", done="Scanned",
    deadline=DEADLINE, repeatable=True, verify=lambda ctx: False, expensive=True,
)  # fmt: skip
def scan(ctx: Context) -> Mapping[str, Any]:
    """Spools the image, has the program look at it, and keeps what it says."""
    image = Image.everything.filter(pk=ctx.operation.target_id).select_related("team").first()
    actor, kind = services.actor_of(ctx.operation), scanner()
    if actor is None:
        raise PolicyDenied("Whoever asked for this is gone.", rule="nobody", field="")
    if image is None:
        raise NotFound("This image is gone.")
    if not kind:
        raise Invalid("Slipway has no scanner here: SLIPWAY_SCANNER names none.")
    place = Path(settings.HOME) / "scans" / str(ctx.operation.pk)
    shutil.rmtree(place, ignore_errors=True)  # of an attempt that died
    place.mkdir(parents=True, mode=0o700)
    try:
        with leaving("No scan was made."):
            archive = place / "image.tar"
            _spooled(ctx, image, archive)
            data = _looked_at(ctx, kind, archive, place)
        report = scan_reports.parse(data)
        _is_about(report, archive)
    finally:
        shutil.rmtree(place, ignore_errors=True)
    made, _new = scans.keep(image, report, data, team_id=None, actor=actor, by_worker=True)
    return {"image": str(image.pk), "scan": str(made.pk), "found": made.counts}


def _spooled(ctx: Context, image: Image, path: Path) -> None:
    size, most = 0, image_files.most_bytes()
    ctx.emit(Progress(message="The engine is putting the image together"))
    with (
        spooled.written(path) as out,
        ctx.engine.saved(image.native_id, should_stop=ctx.should_stop, deadline=DEADLINE) as pieces,
    ):
        for piece in pieces:
            size += len(piece)
            if size > most:
                raise TooLarge("This image is larger than what may be scanned.", most=most)
            out.write(piece)
            ctx.emit(Progress(size, max(image.size, size), "bytes", "Reading the image"))


def _command(kind: str, program: str, archive: Path, cache: Path) -> list[str]:
    if kind == "grype":
        return [program, f"docker-archive:{archive}", "-o", "json", "--quiet"]
    return [
        program, "image", "--input", str(archive), "--format", "json", "--scanners", "vuln", "--quiet", "--cache-dir",
        str(cache),
    ]  # fmt: skip


def _looked_at(ctx: Context, kind: str, archive: Path, place: Path) -> bytes:
    """What the program writes; it and all that it starts have ended then. Raises `EngineError`."""
    program = shutil.which(settings.SCANNER)
    if program is None:
        raise Invalid("The scanner that SLIPWAY_SCANNER names is not where Slipway's workers run.")
    cache = Path(settings.HOME) / "scanner"
    cache.mkdir(mode=0o700, exist_ok=True)
    environment = {name: os.environ[name] for name in _PASSED_ON if name in os.environ} | {
        "HOME": str(cache), "TMPDIR": str(place), "LC_ALL": "C.UTF-8", "GRYPE_DB_CACHE_DIR": str(cache / "grype"),
        "GRYPE_CHECK_FOR_APP_UPDATE": "false",
    }  # fmt: skip
    ctx.emit(Progress(message="The scanner is looking at the image"))
    out, err = place / "out", place / "err"
    with out.open("wb") as to, err.open("wb") as told:
        process = subprocess.Popen(
            _command(kind, program, archive, cache), cwd=place, env=environment, stdin=subprocess.DEVNULL, stdout=to,
            stderr=told, start_new_session=True,
        )  # fmt: skip
        try:
            _watched(ctx, process, out, err)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    if process.returncode:
        with err.open("rb") as file:
            file.seek(max(0, err.stat().st_size - 4096))
            lines = file.read().decode("utf-8", "replace").splitlines()
        last = next((line for line in reversed(lines) if line.strip()), "it said nothing")
        raise EngineError(f"The scanner could not scan it: {one_line(last, WORDS)}")
    return out.read_bytes()


def _watched(ctx: Context, process: subprocess.Popen[bytes], out: Path, err: Path) -> None:
    ends = time.monotonic() + DEADLINE
    while True:
        with suppress(subprocess.TimeoutExpired):
            process.wait(LOOK)
        if ctx.should_stop():
            raise Cancelled("Cancelled while the scanner looked at the image.")
        if time.monotonic() > ends:
            raise DeadlineExceeded(f"The scanner did not end within {DEADLINE} seconds.")
        if out.stat().st_size > scan_reports.MOST_BYTES or err.stat().st_size > scan_reports.MOST_BYTES:
            raise Invalid("The scanner writes more than is read.")
        if process.returncode is not None:
            return


def _is_about(report: scan_reports.Report, archive: Path) -> None:
    """Raises `Invalid` where it is about something else than the file. An engine may know the image by another id than
    that of its settings, so the file itself is asked.
    """
    try:
        held = image_files.read(archive).images
    except (Bad, OSError) as error:
        raise EngineError(f"What the engine sends of this image cannot be read. {error}") from None
    if report.image_id not in {one.native_id for one in held}:
        raise Invalid("The scanner's report is about another image than the one that it was given.")
