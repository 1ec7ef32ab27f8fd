"""Every screen, and how to get there."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from playwright.sync_api import Page

Act = Callable[[Page], object]


def _nothing(_page: Page) -> None:
    """It is there as soon as the page is."""


@dataclass(frozen=True, slots=True)
class Screen:
    """A picture to take: the path with ``{names}`` of things in it, and what is done there first."""

    path: str
    act: Act = _nothing
    signed_in: bool = True
    expect: str = ""
    """A pattern of complaints that belong to it."""
    ours: bool = True
    """Whether axe judges it."""
    narrow: bool = True
    """Whether a phone has it: one selects and hovers with a mouse."""
    after: Act = _nothing
    """What is put in order again, so that the next picture does not show it."""


def _select_two(page: Page) -> None:
    page.locator('tr[data-name="orders"] input.check').check()
    page.locator('tr[data-name="billing-reports-1"] input.check').check()


def _bulk(name: str) -> Act:
    def act(page: Page) -> None:
        _select_two(page)
        page.get_by_role("button", name=name).click()
        page.locator("dialog[open]").wait_for()

    return act


def _dialog(name: str) -> Act:
    def act(page: Page) -> None:
        page.get_by_role("button", name="More actions").click()
        page.get_by_role("link", name=name).click()
        page.locator("dialog[open]").wait_for()

    return act


def _press(name: str) -> Act:
    """Opens the dialog of a button in the head."""

    def act(page: Page) -> None:
        page.get_by_role("link", name=name).click()
        page.locator("dialog[open]").wait_for()

    return act


def _heal(page: Page) -> None:
    """Unhealthy from its beginning; turned on once, and seen in the pictures after that too."""
    if page.get_by_role("button", name="Turn on: Restart when unhealthy").count():
        page.get_by_role("button", name="Turn on: Restart when unhealthy").click()
    page.get_by_role("button", name="Turn off: Restart when unhealthy").wait_for()


def _counted(page: Page) -> None:
    page.locator(".ps-big").wait_for()


def _commit(page: Page) -> None:
    _dialog("Commit to an image…")(page)
    page.get_by_label("Image name").fill("team/db-before-update")


def _commit_wrong(page: Page) -> None:
    page.get_by_label("Image name").fill("Team/DB:1")
    page.get_by_role("button", name="Commit", exact=True).click()
    page.locator(".field.err").first.wait_for()


def _put_back(page: Page) -> None:
    _press("Put back…")(page)
    page.locator("dialog[open] .fate.changed").wait_for()


def _limits(page: Page) -> None:
    _dialog("Change limits…")(page)
    page.get_by_label("Memory").fill("8")
    page.get_by_label("Processes").fill("200")
    page.get_by_label("Restart", exact=True).select_option("always")
    page.locator("dialog[open] .fate.changed").wait_for()


def _limits_with_faults(page: Page) -> None:
    page.get_by_label("Memory").fill("2")
    page.get_by_label("CPU cores").fill("4000")
    page.get_by_label("Restart", exact=True).select_option("on-failure")
    page.get_by_role("button", name="Change limits").click()
    page.locator(".field.err").first.wait_for()


def _run_dialog(page: Page) -> None:
    page.locator("main").get_by_role("link", name=re.compile("^Run( container)?$")).click()
    page.locator("dialog[open]").wait_for()
    page.get_by_label("Image", exact=True).fill("demo/web:1.4.2")


def _run_with_faults(page: Page) -> None:
    page.get_by_label("Image", exact=True).fill("demo/web:1.4.2")
    page.get_by_role("textbox", name="Name optional").fill("website")
    page.get_by_label("Port in the container").first.fill("http")
    page.get_by_role("button", name="Run container").click()
    page.locator(".err-t:visible").first.wait_for()


def _wrong_password(page: Page) -> None:
    page.get_by_label("User name").fill("admin")
    page.get_by_label("Password").fill("not the right one")
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("alert").wait_for()


def _palette(page: Page) -> None:
    page.keyboard.press("Control+k")
    page.get_by_role("combobox").fill("shop")
    page.locator("[data-palette-found] [role=option]").first.wait_for()


def _row_menu(page: Page) -> None:
    page.locator('tr[data-name="orders"]').hover()
    page.get_by_label("More for orders", exact=True).click()


def _log_lines(page: Page) -> None:
    page.get_by_text("GET /orders/").first.wait_for()


def _gate_log(page: Page) -> None:
    page.get_by_text("the old one is back").first.wait_for()


def _figures(page: Page) -> None:
    page.locator("[data-cpu] .spark .line[d*='L']").first.wait_for(state="attached", timeout=15_000)


def _plots(page: Page) -> None:
    page.wait_for_function("() => document.querySelectorAll('.plot canvas').length === 4")
    page.get_by_text("Every 2 s").wait_for(timeout=15_000)


def _entries_in_full(page: Page) -> None:
    page.get_by_label("Outcome", exact=True).select_option("accepted")
    page.locator("#audit-export[href*='outcome=accepted']").wait_for()
    for verb in ("image.build", "container.pause"):
        page.get_by_role("row").filter(has_text=verb).first.locator("summary").click()


def _description(page: Page) -> None:
    page.locator(".swagger-ui .opblock").first.wait_for(timeout=20_000)


def _build(command: str, phase: str) -> Act:
    """Has something built meanwhile, of which the tray then tells."""

    def act(page: Page) -> None:
        page.evaluate(
            """async (command) => {
              const body = new FormData()
              body.append('csrfmiddlewaretoken', document.querySelector('[name=csrfmiddlewaretoken]').value)
              for (const [name, value] of [['source', 'editor'], ['has_files', '0'], ['tags', 'shop-web:2.14.2']]) {
                body.append(name, value)
              }
              body.append('dockerfile', `FROM demo/base:1\\nRUN echo one\\nRUN ${command}\\nRUN echo three`)
              await fetch('/builds/new/', { method: 'POST', body })
            }""",
            command,
        )
        page.locator(f'.tray-op[data-phase="{phase}"]').wait_for(timeout=20_000)

    return act


def _fold(page: Page) -> None:
    _SLOW(page)
    page.locator("#tray summary").click()


def _cancel(page: Page) -> None:
    if not page.locator("#tray-in[open]").count():
        page.locator("#tray summary").click()
    page.get_by_role("button", name="Cancel: Build shop-web:2.14.2").click()
    page.mouse.move(10, 10)
    page.locator("#tray").wait_for(state="hidden", timeout=20_000)


def _dismiss(page: Page) -> None:
    page.get_by_role("button", name="Dismiss: Build shop-web:2.14.2").click()
    page.locator("#tray").wait_for(state="hidden")


_SLOW = _build("sleep 300", "running")


def _console(command: str, text: str) -> Act:
    """Connects, and has something on the screen."""

    def act(page: Page) -> None:
        page.get_by_role("button", name="Connect").click()
        page.locator("[data-console-state=open]").wait_for(timeout=15_000)
        page.keyboard.type(f"{command}\n")
        page.wait_for_function(
            "text => document.querySelector('.xterm-rows')?.innerText.includes(text)", arg=text
        )

    return act


def _console_end(page: Page) -> None:
    page.get_by_role("button", name="End", exact=True).click()
    page.locator("[data-console-state=ended]").wait_for(timeout=15_000)


SCREENS: Mapping[str, Screen] = {
    "login": Screen("/login/", signed_in=False),
    "login-wrong": Screen("/login/", _wrong_password, signed_in=False),
    "setup-used": Screen("/setup/?token=used", signed_in=False, expect="40[34]"),
    "containers": Screen("/containers/", _figures),
    "containers-selected": Screen("/containers/", _select_two, narrow=False),
    "containers-bulk-kill": Screen("/containers/", _bulk("Kill…"), narrow=False),
    "containers-bulk-policy": Screen("/containers/", _bulk("Restart policy…"), narrow=False),
    "containers-attention": Screen("/containers/?view=attention"),
    "containers-stopped": Screen("/containers/?view=stopped&group=none"),
    "containers-none": Screen("/containers/?q=nothing-is-called-so"),
    "containers-menu": Screen("/containers/", _row_menu, narrow=False),
    "palette": Screen("/containers/", _palette),
    "run-dialog": Screen("/containers/", _run_dialog),
    "run": Screen("/containers/run/"),
    "run-faults": Screen("/containers/run/", _run_with_faults),
    "container": Screen("/containers/{shop-web-1}/", _figures),
    "container-crashing": Screen("/containers/{billing-payments-1}/"),
    "container-unhealthy": Screen("/containers/{status-page}/"),
    "container-killed": Screen("/containers/{image-resizer}/"),
    "container-logs": Screen("/containers/{orders}/logs/", _log_lines),
    "container-stats": Screen("/containers/{shop-web-1}/stats/", _plots),
    "container-stats-ended": Screen("/containers/{image-resizer}/stats/?range=5m"),
    "container-history": Screen("/containers/{search-indexer}/history/"),
    "container-incident": Screen("/containers/{import-customers}/history/"),
    "container-fault": Screen("/containers/{import-customers}/"),
    "container-console": Screen("/containers/{orders}/console/"),
    "container-console-open": Screen(
        "/containers/{orders}/console/", _console("ls -la /; echo $((40 + 2))", "42"), after=_console_end
    ),
    "container-console-stopped": Screen("/containers/{import-customers}/console/"),
    "container-files": Screen("/containers/{orders}/files/"),
    "container-files-none": Screen("/containers/{session-store}/files/?find=nothing-is-called-so"),
    "container-files-all": Screen("/containers/{orders}/files/all/"),
    "container-file": Screen("/containers/{orders}/files/file/?path=/etc/passwd"),
    "container-file-edit": Screen("/containers/{orders}/files/edit/?path=/etc/passwd"),
    "container-file-gone": Screen("/containers/{orders}/files/all/?path=/no/such/folder"),
    "container-file-delete": Screen("/containers/{orders}/files/erase/?path=/etc/passwd"),
    "container-processes": Screen("/containers/{orders}/processes/"),
    "container-processes-stopped": Screen("/containers/{import-customers}/processes/"),
    "container-inspect": Screen("/containers/{orders}/inspect/"),
    "containers-drift": Screen("/containers/?drift=image,settings"),
    "container-drift": Screen("/containers/{session-store}/"),
    "container-drift-image": Screen("/containers/{status-page}/"),
    "container-put-back": Screen("/containers/{session-store}/", _put_back),
    "container-remove": Screen("/containers/{session-store}/", _dialog("Remove…")),
    "container-rename": Screen("/containers/{session-store}/", _dialog("Rename…")),
    "container-limits": Screen("/containers/{session-store}/", _limits),
    "container-limits-faults": Screen("/containers/{session-store}/update/", _limits_with_faults),
    "container-limits-page": Screen("/containers/{shop-web-1}/update/"),
    "container-recreate": Screen("/containers/{session-store}/", _dialog("Recreate…")),
    "container-recreate-page": Screen("/containers/{shop-web-1}/recreate/"),
    "operation-gate": Screen("/operations/{gate}/", _gate_log),
    "container-kill": Screen("/containers/{session-store}/", _dialog("Kill…")),
    "care": Screen("/care/"),
    "container-care": Screen("/containers/{status-page}/", _heal),
    "container-commit": Screen("/containers/{shop-db-1}/", _commit),
    "container-commit-wrong": Screen("/containers/{shop-db-1}/commit/", _commit_wrong),
    "container-export": Screen("/containers/{shop-db-1}/", _dialog("Export file system…")),
    "container-copy": Screen("/containers/{orders}/copy/"),
    "container-ask": Screen("/containers/{orders}/ask/stop/"),
    "container-remove-page": Screen("/containers/{session-store}/remove/"),
    "stacks": Screen("/stacks/"),
    "stacks-none": Screen("/stacks/?q=nothing-is-called-so"),
    "stack": Screen("/stacks/{engine}/shop/"),
    "stack-hooks": Screen("/stacks/{engine}/shop/hooks/"),
    "container-hooks": Screen("/containers/{orders}/hooks/"),
    "stack-troubled": Screen("/stacks/{engine}/billing/"),
    "stack-stop": Screen("/stacks/{engine}/shop/", _press("Stop…")),
    "stack-remove": Screen("/stacks/{engine}/shop/", _press("Remove…")),
    "images": Screen("/images/"),
    "image": Screen("/images/{demo/reports:2.1.0}/"),
    "image-remove": Screen("/images/{demo/web:1.4.2}/remove/"),
    "image-import": Screen("/images/filesystem/"),
    "image-pull": Screen("/images/pull/"),
    "builds": Screen("/builds/"),
    "build-new": Screen("/builds/new/"),
    "build-done": Screen("/builds/{built}/"),
    "build-failed": Screen("/builds/{broken}/"),
    "volumes": Screen("/volumes/"),
    "volume": Screen("/volumes/{shop-data}/"),
    "volume-files": Screen("/volumes/{shop-data}/files/"),
    "volume-create": Screen("/volumes/create/"),
    "trash": Screen("/trash/"),
    "trash-empty": Screen("/trash/empty/"),
    "trash-none": Screen("/trash/?q=nothing-is-called-so"),
    "volume-remove": Screen("/volumes/{shop-data}/remove/"),
    "networks": Screen("/networks/"),
    "engines": Screen("/engines/"),
    "engine": Screen("/engines/{engine}/", act=_counted),
    "engine-add": Screen("/engines/add/"),
    "prune": Screen(
        "/prune/?chosen=1&kinds=containers&kinds=images&kinds=unused_images&kinds=volumes&kinds=named_volumes"
    ),
    "prune-nothing": Screen("/prune/?chosen=1&kinds=volumes"),
    "operations": Screen("/operations/"),
    "log-history": Screen("/log-history/"),
    "log-history-kept": Screen("/log-history/kept/"),
    "events": Screen("/events/"),
    "events-none": Screen("/events/?q=nothing-is-called-so"),
    "operation-failed": Screen("/operations/{failed operation}/"),
    "operation-done": Screen("/operations/{done operation}/"),
    "operations-none": Screen("/operations/?view=failed&q=nothing-is-called-so"),
    "tray": Screen("/containers/", _SLOW, after=_cancel),
    "tray-folded": Screen("/images/", _fold, after=_cancel),
    "tray-log": Screen("/containers/{orders}/logs/", _SLOW, after=_cancel),
    "tray-failed": Screen("/volumes/", _build("cat /no/such/file", "failed"), after=_dismiss),
    "account": Screen("/account/"),
    "account-language": Screen("/account/language/"),
    "audit": Screen("/audit/"),
    "audit-in-full": Screen("/audit/", _entries_in_full),
    "audit-none": Screen("/audit/?q=nothing-is-called-so&target=shop-web-1"),
    "not-found": Screen("/containers/00000000-0000-0000-0000-000000000000/", expect="404"),
    # Swagger UI comes from elsewhere as it is.
    "api-docs": Screen("/api/v1/docs/", _description, ours=False),
}


@dataclass
class Things:
    """Names in paths → ids of this Slipway."""

    ids: dict[str, str] = field(default_factory=dict)

    def path(self, screen: Screen) -> str:
        """The path with the ids in it."""
        return (
            screen.path.replace("{", "%(").replace("}", ")s") % self.ids
            if "{" in screen.path
            else screen.path
        )
