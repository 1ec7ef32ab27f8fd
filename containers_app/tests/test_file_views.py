"""Pages of files: what is shown of folders and files, hostile names, refusals, uploads and the editor."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import AsyncClient, Client

from accounts.models import AuditEntry, Team, User
from containers_app import files
from containers_app.models import Container, Volume
from engine import errors
from operations import longreads, reads
from operations.models import Operation
from tests.rows import make_container, make_engine, make_volume

ClientFor = Callable[..., Client]
HTMX = {"HX-Request": "true"}
PNG = b"\x89PNG\r\n\x1a\n" + bytes(20)


def entry(name: str, kind: str = "file", **more: Any) -> dict[str, Any]:
    return {
        "name": name, "kind": kind, "size": 3, "mode": "0644", "modified_at": "2026-01-01T10:00:00+00:00",
        "target": "", "usable": True, **more,
    }  # fmt: skip


FOLDER = {
    "path": "/w", "complete": False,
    "entries": [
        entry("in", "folder"), entry("<b>x\u202ey"), entry("way", "link", target="/etc"), entry("pipe", "other"),
        entry("no\\xfftext", usable=False),
    ],
}  # fmt: skip


def peek(data: bytes, **more: Any) -> dict[str, Any]:
    return {
        "info": entry("f", size=len(data)), "data": base64.b64encode(data).decode(), "whole": True, "digest": "d" * 64,
        **more,
    }  # fmt: skip


@pytest.fixture
def web(db: None, team: Team) -> Container:
    return make_container(make_engine(), team)


@pytest.fixture
def data(web: Container, team: Team) -> Volume:
    return make_volume(web.engine, team, "data")


@pytest.fixture
def worker(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Stands in for the worker's half of a read; what it answers is the test's business."""
    stand_in = SimpleNamespace(answer={}, asked=[])

    def read(kind: str, obj: Any, **options: Any) -> Any:
        stand_in.asked.append((kind, options["params"]["path"]))
        if isinstance(stand_in.answer, Exception):
            raise stand_in.answer
        return stand_in.answer

    monkeypatch.setattr(reads, "read", read)
    return stand_in


def pages(web: Container, data: Volume) -> list[tuple[str, str, str]]:
    return [
        ("container", f"/containers/{web.pk}/files/", "all/"),
        ("volume", f"/volumes/{data.pk}/files/", ""),
    ]


def test_a_folder_is_shown_for_containers_and_volumes_alike(
    client_for: ClientFor, tara: User, web: Container, data: Volume, worker: Any
) -> None:
    worker.answer = FOLDER
    for kind, base, folder in pages(web, data):
        html = client_for(tara).get(f"{base}{folder}?path=/w").content.decode()
        assert "&lt;b&gt;x\\u202ey" in html
        assert f"{base}{folder}?path=%2Fw%2Fin" in html
        assert f"{base}file/?path=%2Fw%2F%3Cb%3Ex%E2%80%AEy" in html
        assert f"{base}download/?path=%2Fw%2Fin" in html
        assert "There is more than this" in html
        assert "its name is no text" in html
        assert "device, pipe or socket" in html
        assert f"{base}erase/?path=%2Fw%2Fpipe" in html
        assert f"{base}rename/?path=%2Fw%2Fin" not in html, "folders cannot be renamed"
        assert worker.asked.pop() == (f"{kind}.files", "/w")
        part = client_for(tara).get(f"{base}{folder}?path=/w&find=WAY", headers=HTMX).content.decode()
        assert "<html" not in part
        assert "pipe" not in part.replace("device, pipe", "")


def test_a_file_is_shown_as_text_as_a_picture_or_as_bytes(
    client_for: ClientFor, tara: User, web: Container, data: Volume, worker: Any
) -> None:
    for _, base, _ in pages(web, data):
        for content, shown in (
            (b"<script>alert(1)</script>\n", "&lt;script&gt;alert(1)"),
            (PNG, "data:image/png;base64,"),
            (b"\x00\x01MZ", "00 01 4d 5a"),
            (b"", "This file is empty"),
            ("naïve".encode()[:4], "na"),
        ):
            worker.answer = peek(content, whole=content != "naïve".encode()[:4])
            html = client_for(tara).get(f"{base}file/?path=/w/f").content.decode()
            assert shown in html
    looked = AuditEntry.objects.filter(verb__in=("container.files", "volume.files"), outcome="succeeded")
    assert looked.count() == 10
    assert looked.first().detail["path"] == "/w/f"


@pytest.mark.parametrize("path", ["relative", "/../etc/passwd", "/a/../b", "/x%00y", "/" + "x" * 300])
def test_what_is_no_path_asks_no_engine(
    client_for: ClientFor, tara: User, web: Container, data: Volume, worker: Any, path: str
) -> None:
    for _, base, folder in pages(web, data):
        for page in (folder, "file/", "download/", "edit/", "rename/", "erase/"):
            assert client_for(tara).get(f"{base}{page}?path={path}").status_code == 400, page
    assert worker.asked == []
    assert not Operation.objects.exists()


def test_what_an_engine_refuses_is_a_sentence_with_a_way_on(
    client_for: ClientFor, tara: User, web: Container, worker: Any
) -> None:
    worker.answer = errors.PolicyDenied("This is the kernel's.", rule="files.kernel", field="path")
    for page in ("all/", "file/", "edit/"):
        answer = client_for(tara).get(f"/containers/{web.pk}/files/{page}?path=/proc/1")
        assert answer.status_code == 200
        assert "This is the kernel&#x27;s." in answer.content.decode()
        assert f"/containers/{web.pk}/files/all/?path=%2Fproc" in answer.content.decode()


def test_who_was_not_granted_it_sees_no_files_and_changes_none(
    client_for: ClientFor, bob: User, charlie: User, web: Container, data: Volume, worker: Any
) -> None:
    for _, base, folder in pages(web, data):
        for page in (folder, "file/", "download/", "edit/", "new/", "rename/", "erase/"):
            assert client_for(bob).get(f"{base}{page}?path=/a").status_code == 403, page
            assert client_for(charlie).get(f"{base}{page}?path=/a").status_code in (403, 404), page
        answer = client_for(bob).post(f"{base}upload/", {"path": "/", "files": SimpleUploadedFile("a", b"x")})
        assert answer.status_code == 403
    assert worker.asked == []
    assert not Operation.objects.exists()


def _toast(answer: Any) -> dict[str, Any]:
    assert answer.status_code == 204, answer.content[:500]
    return dict(json.loads(answer.headers["HX-Trigger"])["slipway:toast"])


def test_files_are_uploaded_by_their_own_names_alone(
    client_for: ClientFor, tara: User, web: Container, data: Volume
) -> None:
    for kind, base, _ in pages(web, data):
        sent = {"path": "/w", "files": SimpleUploadedFile("../../etc/evil.txt", b"hello")}
        toast = _toast(client_for(tara).post(f"{base}upload/", sent, headers=HTMX))
        assert toast["text"] == "Uploading evil.txt"
        assert (toast["done"], toast["failed"]) == ("Uploaded evil.txt", "Uploading evil.txt failed")
        found = Operation.objects.get(pk=toast["operation"])
        assert (found.kind, found.params["path"], found.params["size"]) == (f"{kind}.put", "/w/evil.txt", 5)
        assert files.spooled(found.params["spool"]).read_bytes() == b"hello"
        assert found.params["replace"] is False
        files.spooled(found.params["spool"]).unlink()
        assert client_for(tara).post(f"{base}upload/", {"path": "/w"}).status_code == 302


def test_the_editor_sends_what_it_saw_and_keeps_the_kind_of_lines(
    client_for: ClientFor, tara: User, web: Container, worker: Any
) -> None:
    base = f"/containers/{web.pk}/files/edit/"
    for text, newlines, want in ((b"a\nb\n", "lf", b"x\ny\n"), (b"a\r\nb\r\n", "crlf", b"x\r\ny\r\n")):
        worker.answer = peek(text)
        html = client_for(tara).get(f"{base}?path=/etc/f").content.decode()
        assert f'name="newlines" value="{newlines}"' in html
        assert f'name="digest" value="{"d" * 64}"' in html
        sent = {"path": "/etc/f", "text": "x\r\ny\r\n", "newlines": newlines, "digest": "d" * 64}
        found = Operation.objects.get(pk=_toast(client_for(tara).post(base, sent, headers=HTMX))["operation"])
        assert files.spooled(found.params["spool"]).read_bytes() == want
        assert (found.params["digest"], found.params["replace"]) == ("d" * 64, True)
        files.spooled(found.params["spool"]).unlink()
        found.delete()
    for content, whole in ((b"\0", True), (b"text", False)):
        worker.answer = peek(content, whole=whole)
        assert "Only text of up to 256 KB" in client_for(tara).get(f"{base}?path=/etc/f").content.decode()
    assert "A new file" in client_for(tara).get(f"{base}?path=/etc&name=new.conf").content.decode()


def test_a_file_is_renamed_and_deleted_after_a_question(
    client_for: ClientFor, tara: User, web: Container, data: Volume
) -> None:
    for kind, base, _ in pages(web, data):
        browser = client_for(tara)
        assert (
            'value="/w/&lt;b&gt;"' in browser.get(f"{base}rename/?path=/w/<b>", headers=HTMX).content.decode()
        )
        for name in ("<b>", "a/b", "..", ""):
            answer = browser.post(f"{base}rename/", {"path": "/w/<b>", "name": name}, headers=HTMX)
            assert "err-t" in answer.content.decode(), name
        _toast(browser.post(f"{base}rename/", {"path": "/w/<b>", "name": "c"}, headers=HTMX))
        html = browser.get(f"{base}erase/?path=/w/d").content.decode()
        assert "Files are not kept in the trash" in html
        _toast(browser.post(f"{base}erase/", {"path": "/w/d"}, headers=HTMX))
        kinds = Operation.objects.filter(target_type=kind).values_list("kind", flat=True)
        assert set(kinds) == {f"{kind}.move", f"{kind}.erase"}


@pytest.mark.django_db(transaction=True)
async def test_a_download_comes_from_our_own_disk_under_a_name_that_does_no_harm(
    web: Container, tara: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    """S-65."""
    at = files.spooled("test.part")
    at.write_bytes(b"x" * 700_000)
    flow = iter([{"bytes": 1}, {"file": "test.part", "kind": "file", "bytes": 700_000}])
    monkeypatch.setattr(longreads, "begin", lambda *args, **options: flow)
    browser = AsyncClient()
    await browser.aforce_login(tara)
    answer = await browser.get(f"/containers/{web.pk}/files/download/?path=/w/a%22;%0d%0ab.html")
    assert answer.status_code == 200
    assert answer["Content-Disposition"] == "attachment; filename*=UTF-8''a_%3B__b.html"
    assert answer["Content-Type"] == "application/octet-stream"
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert not at.exists(), "it is gone as soon as it is open"
    pieces = [piece async for piece in answer.streaming_content]
    assert (len(b"".join(pieces)), len(pieces)) == (700_000, 3)
