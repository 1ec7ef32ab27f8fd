"""The PostgreSQL role that the running processes use: all the rows of the product, but the trail only to add to.

Tables belong to the role that migrates. Whoever breaks into a running process can then neither change what stands in
the trail nor switch its triggers off: both are the owner's.
"""

from __future__ import annotations

from typing import Any

import dj_database_url
from django.db import transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from psycopg import sql

from accounts import triggers

MAY = "LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS"
RIGHTS = (
    "GRANT CONNECT ON DATABASE {database} TO {role}",
    "REVOKE CREATE ON SCHEMA {schema} FROM PUBLIC, {role}",
    "GRANT USAGE ON SCHEMA {schema} TO {role}",
    "REVOKE ALL ON ALL TABLES IN SCHEMA {schema} FROM PUBLIC, {role}",
    "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {schema} TO {role}",
    "GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA {schema} TO {role}",
)
LESS = {
    triggers.TABLE: "SELECT, INSERT",
    "accounts_audithead": "SELECT, UPDATE",
    "django_migrations": "SELECT",
}
"""Tables of which it may do less than read, add, change and remove rows."""


class RoleError(Exception):
    """What is wrong with the address of the database, for a person."""


def ensure(connection: BaseDatabaseWrapper, url: str) -> str:
    """Makes the role of ``url`` with its password, or brings it up to date; its name. As often as one likes.

    ``connection`` is the owner's; nothing of what the role was given before stays.
    """
    if connection.vendor != "postgresql":
        raise RoleError("Only PostgreSQL has roles.")
    parsed = dj_database_url.parse(url)
    name, password = str(parsed.get("USER", "")), str(parsed.get("PASSWORD", ""))
    if not name or not password:
        raise RoleError("The address for the running processes must hold a user and a password.")
    with transaction.atomic(using=connection.alias), connection.cursor() as cursor:
        cursor.execute("SELECT current_user, current_database(), current_schema()")
        owner, database, schema = cursor.fetchone()
        if name == owner:
            raise RoleError(
                f"The running processes must have another role than {owner}, which owns the tables."
            )
        _make(connection, cursor, name, password)
        _give(cursor, name, database, schema)
    return name


def _make(connection: BaseDatabaseWrapper, cursor: Any, name: str, password: str) -> None:
    """The role itself, with nothing that comes from elsewhere."""
    cursor.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [name])
    if not cursor.fetchone():
        cursor.execute(sql.SQL("CREATE ROLE {}").format(sql.Identifier(name)))
    # Hashed here: a server that logs statements must not log the password.
    raw: Any = connection.connection
    hashed = raw.pgconn.encrypt_password(password.encode(), name.encode(), b"scram-sha-256").decode()
    cursor.execute(
        sql.SQL("ALTER ROLE {} {} PASSWORD {}").format(
            sql.Identifier(name), sql.SQL(MAY), sql.Literal(hashed)
        )
    )
    cursor.execute(
        "SELECT g.rolname FROM pg_auth_members m JOIN pg_roles g ON g.oid = m.roleid"
        " JOIN pg_roles r ON r.oid = m.member WHERE r.rolname = %s",
        [name],
    )
    if found := [row[0] for row in cursor.fetchall()]:
        raise RoleError(
            f"{name} is a member of {', '.join(found)}, and may do what those may. Revoke that first."
        )


def _give(cursor: Any, name: str, database: str, schema: str) -> None:
    """Its rights, anew: tables that came with a migration have theirs too."""
    parts = {
        "role": sql.Identifier(name),
        "database": sql.Identifier(database),
        "schema": sql.Identifier(schema),
    }
    for text in RIGHTS:
        cursor.execute(sql.SQL(text).format(**parts))
    for table, rights in LESS.items():
        cursor.execute(sql.SQL("REVOKE ALL ON {} FROM {role}").format(sql.Identifier(table), **parts))
        grant = sql.SQL("GRANT {} ON {} TO {role}")
        cursor.execute(grant.format(sql.SQL(rights), sql.Identifier(table), **parts))
