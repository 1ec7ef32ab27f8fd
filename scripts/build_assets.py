#!/usr/bin/env python3
"""Builds static/build/: one style sheet, a bundle a page, the icons in use, fonts; and the languages.

Needs only the standard library and esbuild. Third-party files come from node_modules and are never
committed. Nothing is done while no input has changed since the last build.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from scripts import catalogues

ROOT = Path(__file__).resolve().parent.parent
STATIC = ROOT / "static"
BUILD = STATIC / "build"
PACKAGES = ROOT / "node_modules"
ICONS = PACKAGES / "lucide-static" / "icons"
STAMP = BUILD / ".stamp"

# What is copied as it is: built file from package file. Fonts: the Latin half is all the pages use.
COPIES = {
    "fonts/sans.woff2": "@fontsource-variable/geist/files/geist-latin-wght-normal.woff2",
    "fonts/mono.woff2": "@fontsource-variable/geist-mono/files/geist-mono-latin-wght-normal.woff2",
    "js/vendor/htmx.js": "htmx.org/dist/htmx.min.js",
    "js/vendor/idiomorph-ext.js": "idiomorph/dist/idiomorph-ext.min.js",
    "js/vendor/uplot.js": "uplot/dist/uPlot.iife.min.js",
    "css/uplot.css": "uplot/dist/uPlot.min.css",
    "css/xterm.css": "@xterm/xterm/css/xterm.css",
}

NAME = r"([a-z][a-z0-9-]*)"
# {% icon "play" %} · icon="play" handed to a part · icon("play") and {"icon": "play"} · icons.svg#play
ICON_USES = [
    re.compile(r"\{%\s*icon\s+[\"']" + NAME + r"[\"']"),
    re.compile(r"\b\w*icon\s*[=(]\s*[\"']" + NAME + r"[\"']"),
    re.compile(r"[\"']?\bicon[\"']?\s*:\s*[\"']" + NAME + r"[\"']"),
    re.compile(r"icons\.svg#" + NAME),
]


class BuildError(Exception):
    """What is wrong in our own files, for whoever wrote them."""


def _files(*patterns: str) -> list[Path]:
    found = {path for pattern in patterns for path in ROOT.glob(pattern) if path.is_file()}
    return sorted(path for path in found if BUILD not in path.parents and "tests" not in path.parts)


def icon_sources() -> list[Path]:
    """Where an icon may be named: templates, our scripts, Python that describes pages."""
    return _files(
        "templates/**/*.html", "*/templates/**/*.html", "static/js/**/*.js", "*/*.py", "*/templatetags/*.py"
    )


def listed_icons() -> Path:
    """Names that code puts together at run time, one a line."""
    return STATIC / "icons.txt"


def inputs() -> list[Path]:
    own = [ROOT / "package-lock.json", Path(__file__).resolve(), Path(catalogues.__file__).resolve()]
    return [*own, *_files("locale/*/LC_MESSAGES/*.po"), *icon_sources(), *_files("static/**/*")]


def digest(paths: Iterable[Path]) -> str:
    sums = hashlib.sha256()
    for path in paths:
        sums.update(f"{path.relative_to(ROOT)}\0".encode())
        sums.update(path.read_bytes())
    return sums.hexdigest()


def icons_used() -> Iterator[tuple[str, str]]:
    """Icon names with where they were met."""
    if listed_icons().exists():
        for line in listed_icons().read_text().splitlines():
            if name := line.partition("#")[0].strip():
                yield name, str(listed_icons().relative_to(ROOT))
    for path in icon_sources():
        text = path.read_text()
        for use in ICON_USES:
            for found in use.finditer(text):
                yield found.group(1), str(path.relative_to(ROOT))


def build_icons() -> int:
    """Writes the sprite of the icons in use; its parts take size, stroke and colour from the page."""
    symbols: dict[str, str] = {}
    for name, where in icons_used():
        if name in symbols:
            continue
        source = ICONS / f"{name}.svg"
        if not source.exists():
            raise BuildError(f"{where} uses the icon “{name}”, which lucide does not have.")
        svg = source.read_text()
        body = svg[svg.index(">", svg.index("<svg")) + 1 : svg.rindex("</svg>")]
        body = re.sub(r"\s+", " ", body).replace(" />", "/>").replace("> <", "><").strip()
        symbols[name] = f'<symbol id="{name}" viewBox="0 0 24 24">{body}</symbol>'
    sprite = "".join(symbols[name] for name in sorted(symbols))
    (BUILD / "icons.svg").write_text(f'<svg xmlns="http://www.w3.org/2000/svg">{sprite}</svg>')
    return len(symbols)


def copy_packages() -> None:
    for built, source in COPIES.items():
        target = BUILD / built
        target.parent.mkdir(parents=True, exist_ok=True)
        text_like = target.suffix in (".js", ".css")
        data = (PACKAGES / source).read_bytes()
        # Source maps are not shipped, and a comment that names one breaks the hashing of names.
        target.write_bytes(re.sub(rb"/[/*][#@] ?sourceMappingURL=.*", b"", data) if text_like else data)


def esbuild(*options: str) -> None:
    # The program itself, not the script around it, which needs Node.js on the PATH.
    program = next(PACKAGES.glob("@esbuild/*/bin/esbuild"), None)
    if program is None:
        raise BuildError("esbuild has no program for this kind of machine in node_modules.")
    command = [str(program), "--bundle", "--minify", "--log-level=warning", *options]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if done.returncode != 0 or done.stderr.strip():
        raise BuildError(done.stderr.strip() or f"esbuild ended with {done.returncode}")


def build_code() -> None:
    """Style sheets and scripts. What several pages share becomes a chunk of its own, loaded once."""
    sheet = STATIC / "css" / "app.css"
    if sheet.exists():
        # Fonts and pictures keep the addresses written in the sheet, seen from build/css/.
        esbuild(str(sheet), f"--outdir={BUILD / 'css'}", "--external:*.woff2", "--external:*.svg")
    entries = [STATIC / "js" / "app.js", *sorted((STATIC / "js" / "pages").glob("*.js"))]
    if scripts := [str(entry) for entry in entries if entry.exists()]:
        where = [
            f"--outbase={STATIC / 'js'}",
            f"--outdir={BUILD / 'js'}",
            "--chunk-names=chunks/[name]-[hash]",
        ]
        esbuild(*scripts, *where, "--format=esm", "--splitting", "--target=es2022", "--legal-comments=none")


def build_texts() -> None:
    """The languages: ``.mo`` files beside their sources for Django, a script each for the pages."""
    for path in _files("locale/*/LC_MESSAGES/*.po"):
        try:
            found = catalogues.read(path)
            if path.stem == "django":
                path.with_suffix(".mo").write_bytes(catalogues.compiled(found))
            else:
                target = BUILD / "js" / "texts" / f"{path.parent.parent.name}.js"
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_text(catalogues.script(found))
        except catalogues.CatalogueError as error:
            raise BuildError(str(error)) from error


def build(*, quiet: bool = False) -> bool:
    """Builds what is out of date; True when something was built."""
    now = digest(inputs())
    if STAMP.exists() and STAMP.read_text() == now:
        return False
    started = time.monotonic()
    shutil.rmtree(BUILD, ignore_errors=True)
    BUILD.mkdir(parents=True)
    copy_packages()
    icons = build_icons()
    build_code()
    build_texts()
    STAMP.write_text(now)
    if not quiet:
        print(
            f"Built the pages' styles, scripts and {icons} icons in {time.monotonic() - started:.1f} s",
            flush=True,
        )
    return True


if __name__ == "__main__":
    try:
        build()
    except BuildError as error:
        sys.exit(str(error))
