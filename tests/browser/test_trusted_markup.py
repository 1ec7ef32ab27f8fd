"""S-68: markup that would run something is refused by the browser itself, whoever asks for it; all other passes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser.visitor import Visitor
from tests.machine import LiveApp

# htmx puts answers of the server into the page in this way.
PUT = """markup => {
  const box = document.createElement('div')
  try { box.innerHTML = markup } catch (error) { return error.name }
  return box.childElementCount
}"""
HARMFUL = (
    "<img src=x onerror=alert(1)>", '<b title="x"onclick=alert(1)>x</b>', "<svg/onload=alert(1)>",
    "<script>alert(1)</script>", "<script src=https://elsewhere.example/x.js></script>", "<iframe src=/></iframe>",
    "<a href=javascript:alert(1)>x</a>", "<a href='&#106;avascript:alert(1)'>x</a>",
    "<a href='java&Tab;script:1'>x</a>",
    "<template><img src=x onerror=alert(1)></template>", "<tr onclick=alert(1)><td>x</td></tr>", "<base href=//x>",
    "<meta http-equiv=refresh content=0>", "<b hx-on:click=alert(1)>x</b>", "<body onload=alert(1)><p>x</p></body>",
    "<noscript><style></noscript><img src=x onerror=alert(1)>", "<noscript><img src=x onerror=alert(1)></noscript>",
    "<noframes></noscript><style></noframes><img src=x onerror=alert(1)>",
    "<col><frameset></frameset><img src=x onerror=alert(1)>",
)  # fmt: skip
HARMLESS = (
    '<b title="online=true, only=1 javascript: x">a &lt;script&gt; onclick=alert(1)</b>',
    '<script type="application/json">{"a": 1}</script>', '<script src="/static/build/js/app.js"></script>',
    '<a href="/x/?script=1&amp;on=2">x</a>', "<template><p>x</p></template>", "<meta name=a content=b>",
    "<noscript><p>x <a href=/>x</a></p></noscript>", "<p>online = 1<noscript><style>b{}</style></noscript></p>",
)  # fmt: skip


@pytest.fixture
def page(live_app: LiveApp, visit: Callable[..., Visitor], signed_in: Any) -> Page:
    person = visit(live_app, storage_state=signed_in)
    person.troubles.expect("was refused|Trusted|Content Security Policy")
    return person.go("/account/")


@pytest.mark.parametrize("markup", HARMFUL)
def test_what_would_run_something_is_refused(page: Page, markup: str) -> None:
    assert page.evaluate(PUT, markup) == "TypeError"


@pytest.mark.parametrize("markup", HARMLESS)
def test_what_only_looks_like_it_is_not(page: Page, markup: str) -> None:
    assert page.evaluate(PUT, markup) == 1


def test_no_text_becomes_a_script_and_no_policy_is_made_beside_ours(page: Page) -> None:
    tries = """() => ['eval("1")', ''].map((_, at) => {
      const script = document.createElement('script')
      try { at ? trustedTypes.createPolicy('mine', {}) : script.src = 'https://elsewhere.example/x.js' }
      catch (error) { return error.name }
      return 'done'
    })"""
    assert page.evaluate(tries) == ["TypeError", "TypeError"]


def test_pages_that_others_made_work_beneath_it(
    live_app: LiveApp, visit: Callable[..., Visitor], signed_in: Any
) -> None:
    """Django's administration with jQuery and select2, the REST document with Swagger UI; neither complains."""
    person = visit(live_app, storage_state=signed_in)
    page = person.go("/api/v1/docs/")
    page.locator(".opblock").first.wait_for()
    page.locator(".opblock-summary-control").first.click()
    page.locator(".opblock-body .responses-wrapper").wait_for()
    page = person.go("/admin/accounts/team/add/")
    expect(page.locator(".inline-group tr.empty-form").first).to_be_attached()
    page.locator(".inline-group .add-row a").first.click()
