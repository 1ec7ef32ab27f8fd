"""The database's own refusal to change or remove what stands in the audit trail."""

from __future__ import annotations

from django.db.backends.base.base import BaseDatabaseWrapper

TABLE = "accounts_auditentry"
_WHY = "the audit trail is append-only"

_SQLITE = (
    "CREATE TRIGGER IF NOT EXISTS {table}_no_{what} BEFORE {when} BEGIN SELECT RAISE(ABORT, '{why}'); END"
)
_INSTALL = {
    "sqlite": tuple(
        _SQLITE.format(table=TABLE, why=_WHY, what=what, when=when.format(table=TABLE))
        for what, when in (
            ("update", "UPDATE ON {table}"),
            ("delete", "DELETE ON {table}"),
            # INSERT OR REPLACE takes rows away without a word to triggers of DELETE.
            (
                "replace",
                "INSERT ON {table} WHEN EXISTS (SELECT 1 FROM {table} WHERE id = NEW.id OR seq = NEW.seq)",
            ),
        )
    ),
    "postgresql": (
        f"""
        CREATE OR REPLACE FUNCTION {TABLE}_refuse() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN RAISE EXCEPTION '{_WHY}' USING ERRCODE = 'restrict_violation'; END $$
        """,
        f"""
        CREATE OR REPLACE TRIGGER {TABLE}_no_change BEFORE UPDATE OR DELETE OR TRUNCATE ON {TABLE}
        FOR EACH STATEMENT EXECUTE FUNCTION {TABLE}_refuse()
        """,
    ),
}
_REMOVE = {
    "sqlite": tuple(f"DROP TRIGGER IF EXISTS {TABLE}_no_{what}" for what in ("update", "delete", "replace")),
    "postgresql": (
        f"DROP TRIGGER IF EXISTS {TABLE}_no_change ON {TABLE}",
        f"DROP FUNCTION IF EXISTS {TABLE}_refuse()",
    ),
}
_COUNT = {
    "sqlite": "SELECT count(*) FROM sqlite_master WHERE type = 'trigger' AND tbl_name = %s",
    "postgresql": "SELECT count(*) FROM pg_trigger WHERE tgrelid = %s::regclass AND tgenabled <> 'D'",
}
_ALL = {"sqlite": 3, "postgresql": 1}


def install(connection: BaseDatabaseWrapper) -> None:
    """Makes them where they are missing. A later migration that alters the table on SQLite must call it again:
    there, altering is making a new table."""
    _carry_out(connection, _INSTALL)


def remove(connection: BaseDatabaseWrapper) -> None:
    """Takes them away: for the way back of the migration, and for tests."""
    _carry_out(connection, _REMOVE)


def present(connection: BaseDatabaseWrapper) -> bool:
    """Whether all of them are there and in force."""
    with connection.cursor() as cursor:
        cursor.execute(_COUNT[connection.vendor], [TABLE])
        return bool(cursor.fetchone()[0] == _ALL[connection.vendor])


def _carry_out(connection: BaseDatabaseWrapper, statements: dict[str, tuple[str, ...]]) -> None:
    with connection.cursor() as cursor:
        for statement in statements.get(connection.vendor, ()):
            cursor.execute(statement)
