"""The audit trail in tests: emptied between them, and tampered with in some."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def unguarded() -> Iterator[None]:
    """The table of the trail without its triggers, as somebody has it who may do everything in the database."""
    from django.db import connection

    from accounts import triggers

    assert triggers.present(connection), "a migration has taken the triggers of the audit trail away"
    triggers.remove(connection)
    try:
        yield
    finally:
        triggers.install(connection)


@contextmanager
def emptied_between_tests() -> Iterator[None]:
    """Tests with transactions of their own end with all tables emptied, which the triggers would refuse."""
    from django.test import TransactionTestCase

    flush = TransactionTestCase._fixture_teardown

    def unguarded_flush(case: TransactionTestCase) -> None:
        with unguarded():
            flush(case)

    TransactionTestCase._fixture_teardown = unguarded_flush
    try:
        yield
    finally:
        TransactionTestCase._fixture_teardown = flush
