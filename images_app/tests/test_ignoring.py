"""`.dockerignore` by docker's rules: the cases of its own tests and of its documentation."""

from __future__ import annotations

import time

import pytest

from images_app.ignoring import left_out, patterns
from operations.archives import Bad

# Patterns, a path, and whether it is left out.
CASES = [
    # moby/patternmatcher
    ("**", "file", True), ("**", "file/", True), ("**/", "file", True), ("**", "/", True), ("**", "dir/file", True),
    ("**/**", "dir/file", True), ("dir/**", "dir/file", True), ("dir/**", "dir/dir2/file", True),
    ("**/dir", "dir/file", True), ("**/dir", "dir/dir2/dir", True), ("**/dir2/*", "dir/dir2/file", True),
    ("**/dir2/*", "dir/dir2/dir2/file", True), ("**/dir2/**", "dir/dir2/dir2/file", True), ("**file", "file", True),
    ("**file", "dir/file", True), ("**/file", "dir/dir/file", True), ("**/file*", "dir/dir/file.txt", True),
    ("**/file*txt", "dir/dir/file.txt", True), ("**/file*.txt*", "dir/dir/file.txt", True),
    ("**/**/*.txt", "dir/dir/file.txt", True), ("**/**/*.txt2", "dir/dir/file.txt", False),
    ("**/*.txt", "file.txt", True), ("**/**/*.txt", "file.txt", True), ("a**/*.txt", "a/file.txt", True),
    ("a**/*.txt", "a/dir/dir/file.txt", True), ("a[b-d]e", "abe", True), ("a[b-d]e", "acee", False),
    ("a[b-d]e", "aee", False), ("a[^b-d]e", "aee", True), ("a[b-d]e", "ade", True), ("a**.txt", "ab.txt", False),
    ("a.|)$(}+{bc", "a.|)$(}+{bc", True), ("dist/proxy.py-2.4.0rc3.dev36+g08acad9-py3-none-any.whl",
     "dist/proxy.py-2.4.0rc3.dev36+g08acad9-py3-none-any.whl", True), ("dist/*.whl", "dist/proxy.py-2.4.whl", True),
    ("*/a", "b/a", True), ("abc/def/ghi", "abc/def", False), ("abc/def", "abc/def/ghi", True),
    ("abc/*", "abc/x", True), ("abc", "abcd", False), ("*.go", "file.go", True), ("*.go", "dir/file.go", False),
    ("foo\\*", "foo*", True), ("foo\\*", "foox", False), ("a?c", "abc", True), ("a?c", "a/c", False),
    # the documentation
    ("*/temp*", "somedir/temporary.txt", True), ("*/temp*", "somedir/temp", True), ("*/temp*", "temp", False),
    ("*/*/temp*", "somedir/subdir/temporary.txt", True), ("*/*/temp*", "somedir/temp", False), ("temp?", "tempa", True),
    ("temp?", "temp", False), ("# comment", "# comment", False), ("/foo/bar", "foo/bar", True), ("/", "foo", False),
    (" foo/bar/ ", "foo/bar", True), ("foo/../bar", "bar", True), ("\ufefffoo", "foo", True), (".", "foo", False),
    ("*.md\n!README.md", "README.md", False), ("*.md\n!README.md", "OTHER.md", True),
    ("*.md\n!README*.md\nREADME-secret.md", "README-secret.md", True),
    ("*.md\nREADME-secret.md\n!README*.md", "README-secret.md", False),
    ("*\n!src", "src/main.py", False), ("*\n!src", "other/main.py", True),
    ("docs\n!docs/README.md", "docs/README.md", False),
    ("docs\n!docs/README.md", "docs/a", True), ("**\n!a/b", "a/b/c", False), ("! a\na", "a", True),
    ("a\n ! a", "a", False),
    # a pattern that was not tried at a folder is not thought to match what lies below it
    ("foo*\n!foo/x\nfoo", "foo/x", False),
    # many wildcards take the other way and mean the same
    ("*a*a*a*a*", "xaxaxaxax", True), ("*a*a*a*a*", "xaxa/axax", False), ("**/*a*b*c*d", "x/y/1a2b3c4d", True),
    ("a**b**c**d/*?[x-z]", "a/q/b/c/r/s/d/file7y", True), ("a**b**c**d/*?[x-z]", "a/q/b/c/r/s/d/file7a", False),
    ("**/*/**/*/**/*.t", "a/b.t", False), ("**/*/**/*/**/*.t", "a/b/c.t", True), ("*?*?*?*?**", "abcd/e/f", True),
]  # fmt: skip


@pytest.mark.parametrize(("text", "name", "out"), CASES, ids=lambda value: repr(value)[:40])
def test_a_path_is_left_out_as_docker_leaves_it_out(text: str, name: str, out: bool) -> None:
    name = name.strip("/") or "x"
    assert (left_out([name], patterns(text)) == {name}) is out


@pytest.mark.parametrize(
    "text", ["!", "a\n!\nb", "[", "a[b", "[]a]", "a\\", "[z-a]", "x" * 600, "a\n" * 1001]
)
def test_what_is_no_pattern_is_refused_in_words(text: str) -> None:
    with pytest.raises(Bad, match="dockerignore"):
        patterns(text)


def test_a_folder_that_something_stays_in_stays() -> None:
    names = ["a", "a/b", "a/b/keep", "a/c", "a/c/x"]
    assert left_out(names, patterns("a\n!a/b/keep")) == {"a/c", "a/c/x"}


def test_no_pattern_takes_long() -> None:
    hostile = patterns("\n".join(["*a" * 200 + "b", "**/*a*b" * 60, "[^a]*?" * 80, "*a*a*b", "**/*a*b"]))
    begun = time.monotonic()
    assert left_out(["/".join(["a" * 250] * 16)], hostile) == set()
    assert time.monotonic() - begun < 5


def test_matching_ends_where_there_is_too_much_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("images_app.ignoring.MOST_SECONDS", -1)
    with pytest.raises(Bad, match="too long"):
        left_out(["a"], patterns("b"))
