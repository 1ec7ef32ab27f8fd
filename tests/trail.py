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
    """Tests with transactions of their own end with all tables emptied, which the triggers would refuse.

    But for those that hold what models there are: Django empties them too and writes the same into them again, for
    longer than most tests take.
    """
    from django.contrib.auth.models import Permission
    from django.contrib.contenttypes.models import ContentType
    from django.core.management.color import no_style
    from django.db import connections
    from django.test import TransactionTestCase

    flush = TransactionTestCase._fixture_teardown
    kept = {ContentType._meta.db_table, Permission._meta.db_table}

    def unguarded_flush(case: TransactionTestCase) -> None:
        with unguarded():
            for alias in case._databases_names(include_mirrors=False):
                connection = connections[alias]
                tables = connection.introspection.django_table_names(only_existing=True, include_views=False)
                emptied = [table for table in tables if table not in kept]
                connection.ops.execute_sql_flush(connection.ops.sql_flush(no_style(), emptied))

    TransactionTestCase._fixture_teardown = unguarded_flush
    try:
        yield
    finally:
        TransactionTestCase._fixture_teardown = flush
