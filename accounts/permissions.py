"""The table of permissions: which role has what, which scope of a token, and what goes with what in a set."""

from __future__ import annotations

from collections.abc import Iterable

from accounts import lacking

VIEWER, OPERATOR, ADMIN, SITE = 1, 2, 3, 4
NAMES = {0: "", VIEWER: lacking.VIEWER, OPERATOR: lacking.OPERATOR, ADMIN: lacking.ADMIN, SITE: lacking.SITE}

# permission → (weakest role in the owning team, token scope it needs)
PERMISSIONS: dict[str, tuple[int, str]] = {
    "engine.read": (VIEWER, "read"),
    "engine.sync": (OPERATOR, "operate"),
    "engine.manage": (SITE, "admin"),
    "engine.prune": (SITE, "admin"),
    "prune.manage": (SITE, "admin"),
    "container.read": (VIEWER, "read"),
    "container.logs": (VIEWER, "read"),
    "logs.keep": (OPERATOR, "operate"),
    "logs.keep_team": (ADMIN, "write"),
    "container.run": (OPERATOR, "write"),
    "container.start": (OPERATOR, "operate"),
    "container.stop": (OPERATOR, "operate"),
    "container.restart": (OPERATOR, "operate"),
    "container.kill": (OPERATOR, "operate"),
    "container.pause": (OPERATOR, "operate"),
    "container.unpause": (OPERATOR, "operate"),
    "container.rename": (OPERATOR, "operate"),
    "container.seen": (OPERATOR, "operate"),
    "care.container": (OPERATOR, "operate"),
    "care.team": (ADMIN, "write"),
    "care.site": (SITE, "admin"),
    "container.update": (OPERATOR, "write"),
    "container.remove": (OPERATOR, "write"),
    "container.recreate": (OPERATOR, "write"),
    "container.duplicate": (OPERATOR, "write"),
    "container.copy": (ADMIN, "write"),
    "container.commit": (ADMIN, "write"),
    "container.export": (ADMIN, "write"),
    "container.console": (ADMIN, "operate"),
    "container.files": (ADMIN, "operate"),
    "container.write": (ADMIN, "write"),
    "image.read": (VIEWER, "read"),
    "image.pull": (OPERATOR, "write"),
    "image.push": (OPERATOR, "write"),
    "registry.read": (VIEWER, "read"),
    "registry.manage": (ADMIN, "write"),
    "registry.untag": (ADMIN, "write"),
    "image.build": (OPERATOR, "write"),
    "image.index": (OPERATOR, "operate"),
    "image.scan": (OPERATOR, "operate"),
    "image.report": (ADMIN, "write"),
    "image.tag": (OPERATOR, "write"),
    "image.export": (OPERATOR, "write"),
    "image.import": (OPERATOR, "write"),
    "image.untag": (ADMIN, "write"),
    "image.remove": (ADMIN, "write"),
    "volume.read": (VIEWER, "read"),
    "volume.create": (ADMIN, "write"),
    "volume.remove": (ADMIN, "write"),
    "volume.files": (ADMIN, "operate"),
    "volume.write": (ADMIN, "write"),
    "volume.clone": (ADMIN, "write"),
    "volume.export": (ADMIN, "write"),
    "volume.import": (ADMIN, "write"),
    "volume.backup": (ADMIN, "write"),
    "volume.recover": (ADMIN, "write"),
    "backup.read": (ADMIN, "read"),
    "backup.remove": (ADMIN, "write"),
    "backup.schedule": (ADMIN, "write"),
    "store.manage": (SITE, "admin"),
    "network.read": (VIEWER, "read"),
    "network.create": (ADMIN, "write"),
    "network.remove": (ADMIN, "write"),
    "network.connect": (OPERATOR, "write"),
    "network.disconnect": (OPERATOR, "write"),
    "operation.read": (VIEWER, "read"),
    "operation.cancel": (OPERATOR, "operate"),
    "audit.read": (OPERATOR, "read"),
    "policy.read": (VIEWER, "read"),
    "policy.manage": (SITE, "admin"),
    "policy.except": (SITE, "admin"),
    "hook.manage": (OPERATOR, "write"),
    "webhook.read": (ADMIN, "read"),
    "webhook.manage": (ADMIN, "admin"),
    "webhook.mute": (OPERATOR, "operate"),
    "team.read": (VIEWER, "read"),
    "team.members": (ADMIN, "admin"),
    "team.manage": (SITE, "admin"),
    "object.move": (SITE, "admin"),
    "user.read": (SITE, "admin"),
    "user.disable": (SITE, "admin"),
    "token.own": (VIEWER, "read"),
    "account.own": (VIEWER, "read"),
    "variable.read": (VIEWER, "read"),
    "variable.manage": (ADMIN, "write"),
    "metrics.read": (SITE, "read"),
}
# permission → (column of the membership that grants it, weakest role that can be granted it)
GRANTS: dict[str, tuple[str, int]] = {
    "container.console": ("console", OPERATOR),
    "container.files": ("files", OPERATOR),
    "container.write": ("files", OPERATOR),
    "volume.files": ("files", OPERATOR),
    "volume.write": ("files", OPERATOR),
}
# What a stolen browser must not do: a session shows again who it is of first, where it last did ten minutes ago.
CONFIRMED = frozenset((
    "engine.manage", "hook.manage", "object.move", "policy.except", "policy.manage", "registry.manage",
    "store.manage", "team.manage", "team.members", "user.disable", "webhook.manage",
))  # fmt: skip
# Each scope holds those before it: who may remove may stop, and who may stop may look.
SCOPES = ("read", "operate", "write", "admin")
# What a permission set may hold: the rest is not about one team.
FOR_TEAMS = frozenset(name for name, (need, _) in PERMISSIONS.items() if need < SITE)
# What everybody in a team may, whatever their permission set: who they are, who is in it, and where things run.
ALWAYS = frozenset(("account.own", "token.own", "team.read", "engine.read"))
# What else one must see to use it; `whole` adds what tells of the same kind of thing.
_SEEN_WITH = {
    "logs": ("container.read", "container.logs"), "care": ("container.read",), "hook": ("container.read",),
    "backup": ("volume.read",),
}  # fmt: skip


# The same for a permission by itself, where others of its kind of thing say more than it takes.
_ALONE = {"webhook.mute": ("container.read",)}


def whole(names: Iterable[str]) -> frozenset[str]:
    """These, and those without which they lead nowhere: who may stop a container sees it, and how it went.

    Names that no set may hold are left out.
    """
    wanted = FOR_TEAMS.intersection(names)
    found = set(wanted | ALWAYS)
    for name in wanted:
        noun = name.partition(".")[0]
        found.update(_ALONE.get(name) or (*_SEEN_WITH.get(noun, ()), *(FOR_TEAMS & {f"{noun}.read"})))
        if PERMISSIONS[name][0] > VIEWER:
            found.add("operation.read")
    return frozenset(found)
