"""What templates draw with: icons, state glyphs, bars, sparks, people, sizes and times.

A builtin of every template. Geometry goes into SVG attributes, never into styles: the Content-Security-Policy
allows no inline style. Everything that comes from an engine or a person is escaped by `format_html`.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterable
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any

from django import template
from django.templatetags.static import do_static, static
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from containers_app.queries import span
from engine import files
from operations.retold import inside, retold

register = template.Library()
register.tag("static", do_static)

NOW = timedelta(seconds=5)

_REFERENCE = re.compile(r"^(.*/)?([^:@/]+)([:@].+)?$", re.DOTALL)
_NOTHING = SafeString("")


# Pictures


@register.simple_tag
@lru_cache(maxsize=1024)
def icon(name: str, cls: str = "") -> SafeString:
    """One of the icons in use, 16 px, in the colour of the text. Decoration: the words stand beside it."""
    return format_html(
        '<svg class="{}" aria-hidden="true"><use href="{}#{}"/></svg>',
        _classes("icon", cls), static("build/icons.svg"), name,
    )  # fmt: skip


@register.simple_tag
@lru_cache(maxsize=256)
def glyph(state: str, cls: str = "") -> SafeString:
    """A state's own shape, 12 px. ``none`` keeps its place empty."""
    if state == "none":
        return format_html(
            '<svg class="{}" viewBox="0 0 12 12" aria-hidden="true"></svg>', _classes("glyph", cls)
        )
    return format_html(
        '<svg class="{}" viewBox="0 0 12 12" aria-hidden="true"><use href="{}#{}"/></svg>',
        _classes("glyph", state, cls), static("img/state.svg"), state,
    )  # fmt: skip


@register.simple_tag
def mark(cls: str = "") -> SafeString:
    """The product's mark."""
    return format_html(
        '<svg class="{}" viewBox="0 0 24 24" aria-hidden="true"><use href="{}#mark"/></svg>',
        _classes("mark", cls), static("img/state.svg"),
    )  # fmt: skip


@register.simple_tag
def bar(
    pct: float | None, tone: str = "", width: int | None = None, height: int = 4, more: float = 0
) -> SafeString:
    """How full something is, 0 to 100; ``more``: how much is to be added. ``width`` in pixels, else all there is."""
    part = max(0.0, min(100.0, float(pct or 0)))
    size = format_html(' width="{}"', width) if width else _NOTHING
    filled = format_html(
        '<rect class="v" width="{}%" height="{}" rx="{}"/>', f"{part:g}", height, f"{height / 2:g}"
    )
    added = format_html('<rect class="m" x="{}%" width="{}%" height="{}"/>', f"{part:g}", f"{more:g}", height)
    return format_html(
        '<svg class="{}"{} height="{}" aria-hidden="true"><rect class="t" width="100%" height="{}" rx="{}"/>{}{}</svg>',
        _classes("bar", tone), size, height, height, f"{height / 2:g}", filled if part else _NOTHING,
        added if more > 0 else _NOTHING,
    )  # fmt: skip


@register.simple_tag
def spark(
    values: Iterable[float] = (), width: int = 56, height: int = 18, most: float = 0, tone: str = ""
) -> SafeString:
    """A line of the latest values, oldest first, with the area under it. ``most``: the top, at least."""
    line = _line(list(values), width, height, most)
    fill = f"{line}V{height}H0Z" if line else ""
    return format_html(
        '<svg class="{}" viewBox="0 0 {} {}" width="{}" height="{}" preserveAspectRatio="none" aria-hidden="true">'
        '<path class="fill" d="{}"/><path class="line" d="{}"/></svg>',
        _classes("spark", tone), width, height, width, height, fill, line,
    )  # fmt: skip


@register.simple_tag
def live_spark(
    container: Any,
    values: Iterable[float] = (),
    width: int = 56,
    height: int = 18,
    tone: str = "",
    *,
    figure: str = "cpu",
) -> SafeString:
    """A spark that the page draws from these values and from the figures as they come; it outlives a fresh row."""
    begun = " ".join(f"{value:.3g}" if value < 1000 else f"{value:.0f}" for value in values)
    return format_html(
        '<svg class="{}" viewBox="0 0 {} {}" width="{}" height="{}" preserveAspectRatio="none" aria-hidden="true" '
        'id="spark-{}-{}" data-keep{}><path class="fill"/><path class="line"/></svg>',
        _classes("spark", tone), width, height, width, height, figure, container,
        format_html(' data-values="{}"', begun) if begun else _NOTHING,
    )  # fmt: skip


@register.simple_tag
def mem_bar(pct: float | None, width: int | None = 48) -> SafeString:
    """Memory against its limit, or a load; the page keeps it true as figures come."""
    part = pct or 0
    tone = "bad" if part > 90 else "warn" if part > 78 else ""
    size = format_html(' width="{}"', width) if width else _NOTHING
    return format_html(
        '<svg class="{}"{} height="4" aria-hidden="true"><rect class="t" width="100%" height="4" rx="2"/>'
        '<rect class="v" width="{}%" height="4" rx="2"/></svg>',
        _classes("bar", tone), size, f"{part:g}",
    )  # fmt: skip


@register.simple_tag
def avatar(who: Any, cls: str = "") -> SafeString:
    """A person's initials in a colour of their own. ``who`` is a user, a team or a name."""
    name = str(getattr(who, "display_name", "") or getattr(who, "name", "") or who or "")
    words = re.split(r"[\s_.\-]+", name.strip())
    initials = getattr(who, "initials", "") or "".join(w[0] for w in words[:2] if w).upper() or "?"
    colour = zlib.crc32(name.encode()) % 6 + 1
    return format_html(
        '<span class="{}" aria-hidden="true">{}</span>', _classes(f"avatar av-{colour}", cls), initials
    )


@register.simple_tag
def image_ref(reference: str) -> SafeString:
    """A reference whose registry and path step back and give way first; name and tag stay."""
    text = str(reference or "")
    if text.startswith("sha256:"):
        return format_html('<span class="img" title="{}"><span class="nm">{}</span></span>', text, text[7:19])
    found = _REFERENCE.match(text)
    path, name, tag = found.groups(default="") if found else ("", text, "")
    before = format_html('<span class="pre">{}</span>', path) if path else _NOTHING
    return format_html(
        '<span class="img" title="{}">{}<span class="nm">{}</span><span class="tag">{}</span></span>',
        text, before, name, _short_digest(tag),
    )  # fmt: skip


# Numbers and times


@register.filter
def filesize_dec(size: float | None) -> str:
    """Bytes as Docker counts them, by thousands: ``312 MB``, ``1.21 GB``; ``–`` where unknown."""
    if size is None:
        return "–"
    value = float(size)
    for unit in ("B", "KB", "MB", "GB"):
        if abs(value) < 999.5:
            return f"{value:.0f} {unit}" if unit in ("B", "KB") or value >= 100 else f"{value:.3g} {unit}"
        value /= 1000
    return f"{value:.3g} TB"


@register.filter
def memory(size: float | None) -> str:
    """Bytes of memory as ``docker run --memory`` counts them, by 1024: ``312 MB``, ``1.21 GB``; ``–`` where unknown."""
    if size is None:
        return "–"
    value = float(size)
    for unit in ("B", "KB", "MB"):
        if abs(value) < 1000:
            return f"{value:.0f} {unit}" if value >= 10 or unit != "MB" else f"{value:.1f} {unit}"
        value /= 1024
    return f"{value:.3g} GB" if value < 1000 else f"{value / 1024:.3g} TB"


@register.filter
def rate(size: float | None) -> str:
    """Bytes a second, by thousands: ``1.8 MB/s``; ``–`` where unknown."""
    return "–" if size is None else f"{filesize_dec(size)}/s"


@register.filter
def cpu_pct(cores: float | None) -> str:
    """Cores in use as percent of one core, like ``docker stats``: ``12.4``; ``–`` where unknown."""
    return "–" if cores is None else f"{cores * 100:.1f}"


@register.filter
def uptime(since: datetime | None) -> str:
    """How long since then, short: ``24 s``, ``9 min``, ``3 h``, ``41 d``."""
    return span(timezone.now() - since) if since else ""


@register.filter
def ago(when: datetime | None) -> SafeString:
    """``14 min ago`` as a ``<time>``, which the page keeps true and gives the whole date on hover."""
    if not when:
        return _NOTHING
    past = timezone.now() - when
    if past < -NOW:
        return _time(when, _("in %(time)s") % {"time": span(NOW - past)}, "ago")
    return _time(when, _("just now") if past < NOW else age(when), "ago")


@register.filter
def since(when: datetime | None) -> SafeString:
    """``3 h`` as a ``<time>``, which the page keeps true."""
    return _time(when, span(timezone.now() - when), "for") if when else _NOTHING


@register.filter
def at(when: datetime | None) -> SafeString:
    """Date and time by the reader's clock; where they have named none, the page turns it into the browser's own."""
    return _time(when, f"{timezone.localtime(when):%Y-%m-%d %H:%M %Z}", "at") if when else _NOTHING


@register.filter
def line_at(when: datetime | None) -> SafeString:
    """Date and time to the millisecond, as lines of a log bear it; the page turns it into the reader's own zone."""
    if not when:
        return _NOTHING
    return _time(when, f"{timezone.localtime(when):%Y-%m-%d %H:%M:%S}.{when.microsecond // 1000:03}", "line")


@register.filter
def clock(when: datetime | None) -> SafeString:
    """The time of day alone, for lists under a date; the page turns it into the reader's own zone."""
    return _time(when, f"{timezone.localtime(when):%H:%M}", "clock") if when else _NOTHING


@register.filter(name="inside")
def within(label: str) -> str:
    """A label within a sentence; see `operations.retold`."""
    return inside(str(label or ""))


@register.filter(name="retold")
def told(text: str) -> str:
    """What was kept in English, in the reader's language; see `operations.retold`."""
    return retold(str(text or ""))


@register.filter
def age(when: datetime | None) -> str:
    """``14 min ago`` as bare text, for drawings, where no ``<time>`` can stand."""
    return _("%(time)s ago") % {"time": span(timezone.now() - when)} if when else ""


@register.filter
def shown(name: str) -> str:
    """A name that a container chose: what would break, turn or hide text stands there as an escape."""
    return files.shown(str(name))


@register.filter
def length_of(length: timedelta) -> str:
    """``6 min``."""
    return span(length)


# Small things


@register.filter
def version(text: str) -> str:
    """A version without what a distribution adds: ``20.10.24+dfsg1`` is 20.10.24."""
    return re.split(r"[+~-]", str(text), maxsplit=1)[0]


@register.filter
def short(number: float) -> str:
    """A number without digits that say nothing: 0.5, 2."""
    return f"{float(number):.3g}"


@register.filter
def minutes(seconds: int) -> int:
    """Seconds as minutes, rounded up."""
    return -(-seconds // 60)


@register.simple_tag(takes_context=True)
def query(context: template.Context, **changes: Any) -> str:
    """This page's address with some parts of its query changed; empty ones are left out. Pages start anew."""
    parts = context["request"].GET.copy()
    for gone in ("page", "cursor"):
        parts.pop(gone, None)
    for key, value in changes.items():
        parts.pop(key, None)
        if value not in (None, ""):
            parts[key] = str(value)
    text = parts.urlencode()
    return f"?{text}" if text else context["request"].path


@register.filter
def hours(value: float) -> str:
    """``24 h``, ``3 d``, ``30 min``."""
    if value < 1:
        return f"{round(value * 60)} min"
    return f"{value / 24:g} d" if value > 48 and value % 24 == 0 else f"{value:g} h"


@register.simple_tag(takes_context=True)
def without(context: template.Context, key: str) -> str:
    """This page's address without one part of its query."""
    return query(context, **{key: ""})


def _time(when: datetime, text: str, kind: str) -> SafeString:
    exact = "milliseconds" if kind == "line" else "seconds"
    return format_html(
        '<time datetime="{}" data-time="{}" title="{}">{}</time>',
        when.isoformat(timespec=exact), kind, f"{timezone.localtime(when):%Y-%m-%d %H:%M:%S %Z}", text,
    )  # fmt: skip


def _line(values: list[float], width: int, height: int, most: float) -> str:
    if len(values) < 2:
        return ""
    top = max(most, 1e-9, *values)
    step = width / (len(values) - 1)
    points = (
        f"{i * step:.4g} {height - 1 - max(0.0, v) / top * (height - 2):.3g}" for i, v in enumerate(values)
    )
    return "M" + "L".join(points)


def _short_digest(tag: str) -> str:
    return tag[: tag.index(":") + 13] if tag.startswith("@sha256:") else tag


def _classes(*names: str) -> str:
    return " ".join(name for name in names if name)
