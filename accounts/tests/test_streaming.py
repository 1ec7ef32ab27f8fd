"""A long answer goes out while it is read, and never lies in memory as a whole."""

from __future__ import annotations

from collections.abc import Iterator

from accounts.streaming import PIECE, TextStream


async def test_it_goes_out_while_it_is_read() -> None:
    read = []

    def lines() -> Iterator[str]:
        for number in range(10):
            read.append(number)
            yield f"{number}" * (PIECE // 2)

    pieces = aiter(TextStream(lines()))
    assert await anext(pieces) == b"0" * (PIECE // 2) + b"1" * (PIECE // 2)
    assert read == [0, 1]
    assert [len(piece) async for piece in pieces] == [PIECE] * 4


async def test_small_parts_go_together_and_nothing_is_a_whole_answer_too() -> None:
    assert [piece async for piece in TextStream(iter(["a\n", "ü\n"]))] == ["a\nü\n".encode()]
    assert [piece async for piece in TextStream(iter(()))] == []


def test_a_plain_server_reads_it_as_ever() -> None:
    assert TextStream(iter(["a", "b"])).getvalue() == b"ab"
