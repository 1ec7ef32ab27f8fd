"""Files of a container and of a volume in a real browser: keys, drops, editor, downloads."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import docker
import pytest
from docker.models.containers import Container
from playwright.sync_api import Page, expect

from tests.browser.visitor import Visitor
from tests.machine import LiveApp, wait_for

NAME = "files-page"
SCRIPT = (
    "mkdir -p /srv/app/uploads /srv/app/settings /srv/log; cd /srv/app/uploads;"
    " dd if=/dev/urandom of=product-video.mp4 bs=1M count=12; dd if=/dev/urandom of=catalog.csv bs=1k count=900;"
    " printf '<b>bold</b>\\n' > '<b>bold.txt'; printf x > \"$(printf 'turn\\342\\200\\256gpj')\";"
    " printf 'debug = no\\nport = 80\\n' > ../settings/local.ini; seq 1 40000 > /srv/log/access.log; ln -s /etc link;"
    " echo more >> /etc/passwd; rm /bin/vi; trap exit TERM; while :; do sleep 0.2; done"
)
DROP = """async ([name, text]) => {
  const data = new DataTransfer()
  data.items.add(new File([text], name))
  for (const kind of ['dragenter', 'dragover', 'drop']) {
    document.body.dispatchEvent(new DragEvent(kind, { bubbles: true, cancelable: true, dataTransfer: data }))
    await new Promise(done => setTimeout(done, 50))
  }
}"""


@pytest.fixture(scope="module")
def box(live_app: LiveApp, docker_client: docker.DockerClient, busybox: str) -> Iterator[Container]:
    """A container that has changed its image, with a volume."""
    made = docker_client.containers.run(
        busybox, ["sh", "-c", SCRIPT], name=NAME, detach=True, network_mode="none",
        volumes={f"{NAME}-data": {"bind": "/data"}},
    )  # fmt: skip
    wait_for(lambda: made.exec_run("ls /bin/vi").exit_code == 1, 30, "it has not written its files")
    yield made
    made.remove(force=True)
    docker_client.volumes.get(f"{NAME}-data").remove(force=True)


@pytest.fixture(scope="module")
def addresses(live_app: LiveApp, box: Container) -> dict[str, str]:
    """Of its page, and of its volume's."""
    token = live_app.token("admin", "read")

    def find(kind: str, name: str) -> str | None:
        rows = live_app.api(token, "GET", f"/api/v1/{kind}/?q={name}")[1]["results"]
        return f"/{kind}/{rows[0]['id']}/" if rows else None

    return {
        "container": str(wait_for(lambda: find("containers", NAME), 20, "the container is not known")),
        "volume": str(wait_for(lambda: find("volumes", f"{NAME}-data"), 20, "the volume is not known")),
    }


@pytest.fixture
def visitor(live_app: LiveApp, visit: Callable[..., Visitor], signed_in: Any) -> Visitor:
    return visit(live_app, storage_state=signed_in)


def says(box: Container, command: str) -> str:
    return str(box.exec_run(["sh", "-c", command]).output.decode())


def test_changed_files_say_what_would_be_lost(
    visitor: Visitor, addresses: dict[str, str], box: Container
) -> None:
    page = visitor.go(f"{addresses['container']}files/")
    expect(page.get_by_role("row").filter(has_text="product-video.mp4")).to_contain_text("12.6 MB")
    expect(page.get_by_role("row").filter(has_text=re.compile(r"^\s*passwd"))).to_contain_text("changed")
    expect(page.get_by_role("row").filter(has_text=re.compile(r"^\s*vi"))).to_contain_text("deleted")
    expect(page.get_by_text("turn\\u202egpj")).to_be_visible()
    expect(page.locator(".rail .big")).to_contain_text(re.compile(r"13\.\d MB in \d+ files"))
    visitor.shot("files-changed-light-wide")
    assert visitor.axe() == []
    page.get_by_placeholder("Filter by path").fill("log/")
    expect(page.get_by_role("row").filter(has_text="product-video.mp4")).to_have_count(0)
    expect(page.get_by_role("row").filter(has_text="access.log")).to_be_visible()
    assert page.url.endswith("?find=log%2F")
    page.emulate_media(color_scheme="dark")
    page.get_by_placeholder("Filter by path").fill("")
    expect(page.get_by_role("row").filter(has_text="product-video.mp4")).to_be_visible()
    visitor.shot("files-changed-dark-wide")
    page.set_viewport_size({"width": 390, "height": 844})
    visitor.shot("files-changed-dark-narrow")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_folders_are_walked_by_keys(visitor: Visitor, addresses: dict[str, str]) -> None:
    page = visitor.go(f"{addresses['container']}files/all/?path=/srv")
    visitor.is_live()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    expect(page.get_by_role("link", name="app", exact=True)).to_be_focused()
    page.keyboard.press("Enter")
    page.wait_for_url("**path=%2Fsrv%2Fapp")
    visitor.is_live()
    page.keyboard.press("End")
    page.keyboard.press("Enter")
    expect(page.get_by_role("link", name="<b>bold.txt", exact=True)).to_be_visible()
    visitor.shot("files-all-light-wide")
    assert visitor.axe() == []
    page.emulate_media(color_scheme="dark")
    visitor.shot("files-all-dark-wide")
    page.get_by_role("link", name="<b>bold.txt", exact=True).click()
    expect(page.locator("pre.file-text")).to_have_text("<b>bold</b>")
    visitor.is_live()
    page.keyboard.press("Backspace")
    page.wait_for_url("**path=%2Fsrv%2Fapp%2Fuploads")
    visitor.is_live()
    page.keyboard.press("Backspace")
    page.wait_for_url("**path=%2Fsrv%2Fapp")


def _drop(page: Page, name: str, text: str) -> None:
    page.evaluate(DROP, [name, text])


@pytest.mark.parametrize("where", ["container", "volume"])
def test_a_file_is_dropped_edited_renamed_and_deleted(
    visitor: Visitor, addresses: dict[str, str], box: Container, where: str
) -> None:
    folder, inside = ("/srv/app", "/srv/app") if where == "container" else ("/", "/data")
    base = f"{addresses[where]}files/"
    page = visitor.go(f"{base}{'all/' if where == 'container' else ''}?path={folder}")
    _drop(page, "note.txt", "first\n")
    expect(page.get_by_text("Uploaded note.txt")).to_be_visible(timeout=20_000)
    row = page.get_by_role("row").filter(has_text="note.txt")
    expect(row).to_be_visible()
    assert says(box, f"cat {inside}/note.txt") == "first\n"
    visitor.shot(f"files-uploaded-{where}")
    _drop(page, "note.txt", "again\n")
    expect(page.locator("#uploads")).to_contain_text("Is there")
    visitor.shot(f"files-replace-{where}")
    page.get_by_role("button", name="Leave it out").click()
    expect(page.locator("#uploads")).to_be_hidden()
    assert says(box, f"cat {inside}/note.txt") == "first\n", "nothing is written over unasked"
    _drop(page, "note.txt", "again\n")
    page.get_by_role("button", name="Replace").click()
    wait_for(lambda: says(box, f"cat {inside}/note.txt") == "again\n", 20, "it was not replaced")

    row.get_by_role("link", name="note.txt", exact=True).click()
    page.get_by_role("link", name="Edit").click()
    page.get_by_label("note.txt").fill("second\n")
    page.get_by_role("button", name="Save").click()
    page.wait_for_url(f"**{base}file/?path=*", timeout=20_000)
    expect(page.locator("pre.file-text")).to_have_text("second")
    assert says(box, f"cat {inside}/note.txt") == "second\n"

    page.get_by_role("link", name="Rename", exact=True).click()
    page.get_by_label("New name").fill("kept.txt")
    page.get_by_role("button", name="Rename").click()
    page.wait_for_url(re.compile(re.escape(base) + r"(all/)?\?path="))
    expect(page.get_by_role("link", name="kept.txt", exact=True)).to_be_visible(timeout=20_000)
    page.get_by_role("link", name="kept.txt", exact=True).focus()
    page.keyboard.press("Delete")
    expect(page.get_by_role("heading", name="Delete kept.txt?")).to_be_visible()
    visitor.shot(f"files-delete-{where}")
    page.get_by_role("button", name="Delete for good").click()
    expect(page.get_by_role("link", name="kept.txt", exact=True)).to_have_count(0, timeout=20_000)
    assert "kept.txt" not in says(box, f"ls {inside}")


def _drop_from_disk(page: Page, path: Path) -> None:
    """As from a file manager: a folder is one there, not a list of files."""
    session = page.context.new_cdp_session(page)
    for kind in ("dragEnter", "dragOver", "drop"):
        data = {"items": [], "files": [str(path)], "dragOperationsMask": 1}
        session.send("Input.dispatchDragEvent", {"type": kind, "x": 700, "y": 400, "data": data})


def test_a_folder_is_chosen_and_dropped_with_its_tree(
    visitor: Visitor, addresses: dict[str, str], box: Container, tmp_path: Path
) -> None:
    site = tmp_path / "site"
    for name in ("css", "empty"):
        (site / name).mkdir(parents=True)
    (site / "index.html").write_text("one")
    (site / "css/a.css").write_text("a")
    page = visitor.go(f"{addresses['container']}files/all/?path=/srv/app")
    page.get_by_label("Upload a folder into this folder").set_input_files(site)
    expect(page.get_by_text("Uploading 2 files of site")).to_be_visible(timeout=20_000)
    expect(page.get_by_role("link", name="site", exact=True)).to_be_visible(timeout=20_000)
    tree = "cd /srv/app/site; cat index.html css/a.css"
    wait_for(lambda: says(box, tree) == "onea", 20, "it did not arrive")
    (site / "index.html").write_text("two")
    _drop_from_disk(page, site)
    expect(page.get_by_text("Left out: site/empty is empty.")).to_be_visible()
    expect(page.get_by_role("button", name="Merge")).to_be_visible()
    visitor.shot("files-merge")
    assert visitor.axe() == []
    page.get_by_role("button", name="Merge").click()
    wait_for(lambda: says(box, tree) == "twoa", 20, "it was not merged")
    expect(page.locator("#uploads")).to_be_hidden()


def test_a_file_that_changed_meanwhile_is_not_written_over(
    visitor: Visitor, addresses: dict[str, str], box: Container
) -> None:
    says(box, "echo one > /srv/mine")
    page = visitor.go(f"{addresses['container']}files/edit/?path=/srv/mine")
    page.get_by_label("mine").fill("my own words")
    says(box, "echo two > /srv/mine")
    page.get_by_role("button", name="Save").click()
    expect(
        page.get_by_text("This file has changed since you looked at it: look again.", exact=True)
    ).to_be_visible(timeout=20_000)
    expect(page.get_by_label("mine")).to_have_value("my own words")
    assert says(box, "cat /srv/mine") == "two\n"
    page.get_by_label("mine").fill("one\n")  # so that nothing asks whether to leave
    page.evaluate("document.querySelector('form[data-then] a.btn').click()")
    page.wait_for_url("**/files/file/**")


def test_a_download_is_what_the_container_has(
    visitor: Visitor, addresses: dict[str, str], box: Container
) -> None:
    page = visitor.go(f"{addresses['container']}files/all/?path=/srv/app/uploads")
    row = page.get_by_role("row").filter(has_text="product-video.mp4")
    with page.expect_download() as got:
        row.get_by_role("link", name="Download product-video.mp4").click()
    path = got.value.path()
    assert got.value.suggested_filename == "product-video.mp4"
    assert path.stat().st_size == 12 * 1024**2
    with page.expect_download() as got:
        page.get_by_role("link", name="Download folder").click()
    assert got.value.suggested_filename == "uploads.tar"


def test_processes_are_asked_for_again(visitor: Visitor, addresses: dict[str, str], box: Container) -> None:
    page = visitor.go(f"{addresses['container']}processes/")
    expect(page.locator(".procs tbody tr").first).to_be_visible()
    box.exec_run(["sleep", "31"], detach=True)
    wait_for(lambda: any("sleep 31" in " ".join(row) for row in box.top()["Processes"]), 10, "no process")
    page.get_by_role("link", name="Refresh").click()
    expect(page.get_by_text("sleep 31")).to_be_visible()
    visitor.shot("processes-light-wide")
    assert visitor.axe() == []
