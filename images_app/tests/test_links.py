"""Links to release notes come from labels, which anybody can write."""

from __future__ import annotations

import pytest

from images_app import links

SOURCE, URL = "org.opencontainers.image.source", "org.opencontainers.image.url"


@pytest.mark.parametrize(("labels", "expected"), [
    ({SOURCE: "https://github.com/acme/web"}, "https://github.com/acme/web/releases"),
    ({SOURCE: "https://GitHub.com/acme/web.git/"}, "https://github.com/acme/web/releases"),
    ({SOURCE: "https://gitlab.com/acme/web", URL: "https://x.example"}, "https://gitlab.com/acme/web/-/releases"),
    ({SOURCE: "https://github.com/acme/web/tree/main/a"}, "https://github.com/acme/web/tree/main/a"),
    ({URL: "https://acme.example/web"}, "https://acme.example/web"),
    ({SOURCE: "javascript:alert(1)", URL: "https://acme.example"}, "https://acme.example"),
    ({SOURCE: "https://github.com@evil.example/"}, ""), ({SOURCE: "http://acme.example"}, ""),
    ({SOURCE: "https://acme.example/\u202ex"}, ""), ({SOURCE: 'https://acme.example/"><b'}, ""),
    ({SOURCE: "https://10.0.0.1:2375/x"}, ""), ({SOURCE: ["https://acme.example"]}, ""), ({}, ""), (None, ""),
])  # fmt: skip
def test_a_link_is_an_address_and_nothing_else(labels: dict[str, object] | None, expected: str) -> None:
    found = links.of(labels)
    assert (found.url if found else "") == expected
    assert found is None or found.host in found.url
