"""Who you are, what team you are in, and what was done.

Ownership of containers, volumes and images is a team column on their own rows; labels and names on
the engine are never read for it, because an image or anybody with a shell can forge them.
"""

from __future__ import annotations

import uuid
from typing import ClassVar

from django.contrib.auth.models import AbstractUser
from django.contrib.sessions.models import Session
from django.core.validators import RegexValidator
from django.db import models
from django.utils import timezone
from django.utils.functional import cached_property
from django.utils.translation import gettext_lazy as _lazy

from accounts import reading
from accounts.chain import START
from accounts.notice import Notice  # noqa: F401 - rows of this app
from accounts.permissions import whole


class User(AbstractUser):
    """A person. ``is_superuser`` is the site administrator of the permission matrix."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    language = models.CharField(
        max_length=12, blank=True, default="", validators=[reading.check_language],
        help_text=_lazy("Such as de; empty for what the browser asks for."),
    )  # fmt: skip
    zone = models.CharField(
        _lazy("time zone"), max_length=64, blank=True, default="", validators=[reading.check_zone],
        help_text=_lazy("Such as Europe/Berlin; empty for the browser's own."),
    )  # fmt: skip
    site_admin_by = models.ForeignKey(
        "GroupMapping", on_delete=models.RESTRICT, null=True, blank=True, editable=False, related_name="site_admins"
    )  # fmt: skip
    """Whose group made them a site administrator; ``None``: somebody did, or they are none."""

    @property
    def display_name(self) -> str:
        """Full name, or the user name where none was given."""
        return self.get_full_name() or self.username

    @property
    def initials(self) -> str:
        """One or two capitals for the avatar."""
        words = self.display_name.replace("_", " ").replace("-", " ").replace(".", " ").split()
        return "".join(w[0] for w in words[:2]).upper() or "?"


class Team(models.Model):
    """People who own things together."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    slug = models.SlugField(max_length=40, unique=True)
    name = models.CharField(max_length=80)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    members: models.ManyToManyField[User, Membership] = models.ManyToManyField(
        User, through="Membership", related_name="teams"
    )

    class Meta:
        ordering: ClassVar = ["name"]

    def __str__(self) -> str:
        return self.name


class Role(models.TextChoices):
    """Bundles of permissions, weakest first; what each may do stands in `accounts.access`. ``CUSTOM``: what the
    permission set of the membership says, and nothing else."""

    VIEWER = "viewer", _lazy("Viewer")
    OPERATOR = "operator", _lazy("Operator")
    ADMIN = "admin", _lazy("Team admin")
    CUSTOM = "custom", _lazy("Permission set")


class PermissionSet(models.Model):
    """A role of one's own making: a name and what it holds. Of a team, or (``None``) for all of them to use."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    team = models.ForeignKey(
        Team, on_delete=models.CASCADE, null=True, blank=True, related_name="permission_sets"
    )
    name = models.CharField(_lazy("name"), max_length=60)
    permissions = models.JSONField(default=list)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        ordering: ClassVar = ["name"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["team", "name"], name="one_set_of_a_name"),
            models.UniqueConstraint(
                fields=["name"], condition=models.Q(team=None), name="one_set_of_a_name_for_all"
            ),
        ]

    def __str__(self) -> str:
        return self.name

    @cached_property
    def allowed(self) -> frozenset[str]:
        """What it gives: read with what belongs to it, so that a permission of a later version is never missed."""
        return whole(self.permissions)


class GroupMapping(models.Model):
    """Who is in this group at the provider of single sign-on has that role or permission set in a team.

    Without a team: administers the site. ``when_gone``: what becomes of what it gave once the group is gone.
    """

    class Gone(models.TextChoices):
        REMOVE = "remove", _lazy("Take it away again")
        KEEP = "keep", _lazy("Leave it, as if given by hand")

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    group = models.CharField(_lazy("group"), max_length=255)
    team = models.ForeignKey(
        Team, on_delete=models.CASCADE, null=True, blank=True, related_name="group_mappings"
    )
    role = models.CharField(max_length=12, choices=Role, blank=True)
    permission_set = models.ForeignKey(
        PermissionSet, on_delete=models.RESTRICT, null=True, blank=True, related_name="group_mappings"
    )
    console = models.BooleanField(_lazy("may open consoles"), default=False)
    files = models.BooleanField(_lazy("may see and change files"), default=False)
    when_gone = models.CharField(
        _lazy("when the group is gone"), max_length=8, choices=Gone, default=Gone.REMOVE
    )
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        ordering: ClassVar = ["group"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["group", "team"], name="one_mapping_of_a_group"),
            models.UniqueConstraint(
                fields=["group"], condition=models.Q(team=None), name="one_mapping_of_a_group_for_the_site"
            ),
            models.CheckConstraint(
                condition=models.Q(team=None, role="", permission_set=None, console=False, files=False)
                | models.Q(
                    team__isnull=False, role="custom", permission_set__isnull=False, console=False, files=False
                )
                | (models.Q(team__isnull=False, permission_set=None) & ~models.Q(role__in=["", "custom"])),
                name="a_mapping_gives_one_thing",
            ),
        ]  # fmt: skip

    def __str__(self) -> str:
        return self.group

    @property
    def called(self) -> str:
        """What it gives, for people."""
        if self.team_id is None:
            return str(_lazy("Site administrator"))
        return self.permission_set.name if self.permission_set else self.get_role_display()


class MembershipManager(models.Manager["Membership"]):
    """Every read of a membership is a question about rights: its permission set comes along."""

    def get_queryset(self) -> models.QuerySet[Membership]:
        return super().get_queryset().select_related("permission_set", "mapping")


class Membership(models.Model):
    """The role of one person in one team, and what they were granted beyond it; or a permission set instead.

    ``mapping``: whose group at the provider of single sign-on gave it, and alone may change it.
    """

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="memberships")
    team = models.ForeignKey(Team, on_delete=models.CASCADE, related_name="memberships")
    role = models.CharField(max_length=12, choices=Role, default=Role.VIEWER)
    permission_set = models.ForeignKey(
        PermissionSet, on_delete=models.RESTRICT, null=True, blank=True, related_name="memberships",
        help_text=_lazy("Instead of a role: what it holds, and nothing else."),
    )  # fmt: skip
    console = models.BooleanField(
        _lazy("may open consoles"),
        default=False,
        help_text=_lazy("For operators: a shell in the team's containers. Team admins may anyway."),
    )
    files = models.BooleanField(
        _lazy("may see and change files"),
        default=False,
        help_text=_lazy("For operators: files in the team's containers and volumes. Team admins may anyway."),
    )
    since = models.DateTimeField(default=timezone.now, null=True, editable=False)
    mapping = models.ForeignKey(
        GroupMapping, on_delete=models.RESTRICT, null=True, blank=True, editable=False, related_name="memberships"
    )  # fmt: skip

    objects = MembershipManager()

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["user", "team"], name="one_role_per_team"),
            # Whoever looks for team admins by the role never finds one whose set says something else.
            models.CheckConstraint(
                condition=models.Q(role="custom", permission_set__isnull=False, console=False, files=False)
                | (models.Q(permission_set__isnull=True) & ~models.Q(role="custom")),
                name="a_role_or_a_set",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.user} in {self.team}: {self.called}"

    @property
    def called(self) -> str:
        """What they are there, for people: the name of the role or of the set."""
        return self.permission_set.name if self.permission_set else self.get_role_display()


class ApiToken(models.Model):
    """A bearer token ``slp_<key>.<secret>``. Only a keyed hash of the secret is stored; it always expires.

    ``networks``: it opens from these alone (CIDR), from everywhere where there are none. ``rate``: requests a minute,
    where it may have fewer than others.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="tokens")
    team = models.ForeignKey(Team, on_delete=models.CASCADE, related_name="tokens", null=True, blank=True)
    name = models.CharField(max_length=80)
    key = models.CharField(max_length=12, unique=True, validators=[RegexValidator(r"^[A-Za-z0-9]{12}$")])
    digest = models.CharField(max_length=64, editable=False)
    scopes = models.JSONField(default=list)
    networks = models.JSONField(default=list, blank=True)
    rate = models.PositiveIntegerField(null=True, blank=True)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    expires_at = models.DateTimeField()
    revoked_at = models.DateTimeField(null=True, blank=True)
    last_used_at = models.DateTimeField(null=True, blank=True, editable=False)
    last_used_ip = models.GenericIPAddressField(null=True, blank=True, editable=False)

    class Meta:
        ordering: ClassVar = ["-created_at"]

    def __str__(self) -> str:
        return f"{self.name} ({self.key})"


class AuditEntry(models.Model):
    """One line of what happened: who, what, on what, from where, how it ended. Append-only.

    ``verb`` is an operation kind (``container.stop``) or an account event (``auth.login``).
    ``outcome`` is accepted, denied, succeeded, failed or cancelled.

    ``seq`` has no gaps. ``hash`` seals all of the row and the hash of the row before (`accounts.chain`). The
    database itself refuses to change or remove rows (`accounts.triggers`), so people and teams are named here by
    what they were called, and their ids stay when they are gone: join, rather than follow them.
    """

    id = models.BigAutoField(primary_key=True)
    seq = models.BigIntegerField(unique=True)
    at = models.DateTimeField(default=timezone.now, db_index=True)
    actor = models.ForeignKey(
        User, on_delete=models.DO_NOTHING, db_constraint=False, null=True, blank=True, related_name="+"
    )
    actor_name = models.CharField(max_length=150)
    verb = models.CharField(max_length=60, db_index=True)
    outcome = models.CharField(max_length=12)
    target_type = models.CharField(max_length=20, blank=True)
    target_id = models.CharField(max_length=64, blank=True, db_index=True)
    target_name = models.CharField(max_length=255, blank=True)
    team = models.ForeignKey(
        Team, on_delete=models.DO_NOTHING, db_constraint=False, null=True, blank=True, related_name="+"
    )
    team_slug = models.CharField("team's name", max_length=40, blank=True)
    operation_id = models.UUIDField(null=True, blank=True, db_index=True)
    source = models.CharField(max_length=8, default="ui")
    ip = models.GenericIPAddressField(null=True, blank=True)
    detail = models.JSONField(default=dict, blank=True)
    key_id = models.CharField(max_length=12)
    prev_hash = models.CharField(max_length=64)
    hash = models.CharField(max_length=64)

    class Meta:
        ordering: ClassVar = ["-seq"]
        verbose_name_plural = "audit entries"

    def __str__(self) -> str:
        return f"{self.at:%Y-%m-%d %H:%M:%S} {self.actor_name} {self.verb} {self.target_name} {self.outcome}"


class AuditHead(models.Model):
    """The newest entry's number and hash: the one row that those who write entries wait for in turn."""

    id = models.PositiveSmallIntegerField(primary_key=True, default=1)
    seq = models.BigIntegerField(default=0)
    hash = models.CharField(max_length=64, default=START)

    class Meta:
        constraints: ClassVar = [models.CheckConstraint(condition=models.Q(id=1), name="one_audit_head")]

    def __str__(self) -> str:
        return f"entry {self.seq}"


class WebSession(models.Model):
    """Where somebody is signed in: what their list of sessions shows. Gone with the session itself."""

    session = models.OneToOneField(Session, on_delete=models.CASCADE, primary_key=True, related_name="+")
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="web_sessions")
    began_at = models.DateTimeField(default=timezone.now)
    seen_at = models.DateTimeField(default=timezone.now)
    ip = models.GenericIPAddressField(null=True, blank=True)
    agent = models.CharField(max_length=200, blank=True)

    class Meta:
        ordering: ClassVar = ["-seen_at"]

    def __str__(self) -> str:
        return f"{self.user} from {self.ip}"


class ResetLink(models.Model):
    """The newest link by which somebody may choose a new password: a keyed hash of its secret. One each."""

    user = models.OneToOneField(User, on_delete=models.CASCADE, primary_key=True, related_name="+")
    digest = models.CharField(max_length=64)
    expires_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.user} until {self.expires_at:%Y-%m-%d %H:%M:%S}"


class KeptKey(models.Model):
    """Of an older secret key what hashes were made with, sealed with the key of now; see `accounts.kept_keys`."""

    use = models.CharField(max_length=12)
    key_id = models.CharField(max_length=12)
    sealed = models.TextField()
    kept_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint(fields=["use", "key_id"], name="one_kept_key")]

    def __str__(self) -> str:
        return f"{self.use} {self.key_id}"


class SetUp(models.Model):
    """The set-up happened: one row at most, for ever. Of two people who submit it at once, one gets the row."""

    id = models.PositiveSmallIntegerField(primary_key=True, default=1)
    done_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints: ClassVar = [models.CheckConstraint(condition=models.Q(id=1), name="one_set_up")]

    def __str__(self) -> str:
        return f"Set up {self.done_at:%Y-%m-%d}"


class SignInAttempt(models.Model):
    """A try to sign in that has not succeeded, kept for the length of the limiter's window.

    In the database, so that neither a restart nor an emptied Redis opens the door again.
    ``account`` is a keyed hash of the name as typed: people type passwords into the wrong field.
    """

    id = models.BigAutoField(primary_key=True)
    at = models.DateTimeField(default=timezone.now, db_index=True)
    account = models.CharField(max_length=64, blank=True)
    ip = models.CharField(max_length=45, blank=True)

    class Meta:
        indexes: ClassVar = [
            models.Index(fields=["account", "at"], name="attempt_by_account"),
            models.Index(fields=["ip", "at"], name="attempt_by_ip"),
        ]

    def __str__(self) -> str:
        return f"{self.at:%Y-%m-%d %H:%M:%S} {self.ip}"
