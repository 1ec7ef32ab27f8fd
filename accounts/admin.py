"""People, teams, tokens and the audit trail in the admin; each change of theirs is in the trail too."""

from __future__ import annotations

from typing import Any

from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from allauth.socialaccount.models import SocialAccount, SocialApp, SocialToken
from django import forms
from django.contrib import admin, messages
from django.contrib.auth.admin import UserAdmin
from django.contrib.auth.forms import UserChangeForm
from django.contrib.auth.models import Group
from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import Model, QuerySet
from django.forms import BaseInlineFormSet
from django.http import HttpRequest
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as _lazy

from accounts import audit, factors, members, notices, sessions, tokens
from accounts.access import Actor, address_of, person
from accounts.models import ApiToken, AuditEntry, GroupMapping, Membership, PermissionSet, Role, Team, User

admin.site.unregister(Group)  # rights are roles in teams, and nothing else
for _model in (EmailAddress, Authenticator, SocialAccount, SocialApp, SocialToken):
    admin.site.unregister(_model)  # what somebody signs in with is theirs; settings name the provider
admin.site.site_header = admin.site.site_title = "Slipway"
admin.site.index_title = _lazy("Administration")


def admin_actor(request: HttpRequest) -> Actor:
    """Who works in the admin."""
    return person(request.user, source="admin", ip=address_of(request))


class Audited(admin.ModelAdmin):
    """Writes a line for each change, in the transaction of the change."""

    audit_name = ""

    def log_addition(self, request: HttpRequest, obj: Model, message: Any) -> Any:
        self._line(request, obj, "create")
        return super().log_addition(request, obj, message)

    def log_change(self, request: HttpRequest, obj: Model, message: Any) -> Any:
        changed = (
            message[0].get("changed", {}).get("fields", []) if message and isinstance(message, list) else []
        )
        self._line(request, obj, "change", {"fields": [str(field) for field in changed]})
        return super().log_change(request, obj, message)

    def save_formset(self, request: HttpRequest, form: Any, formset: Any, change: bool) -> None:
        """Who is in which team with what is a line each, as it is from the pages."""
        if formset.model is not Membership:
            super().save_formset(request, form, formset, change)
            return
        rows = Membership.objects.select_related("permission_set", "user", "team")
        before = {row.pk: row for row in rows.filter(pk__in=[one.instance.pk for one in formset.forms])}
        super().save_formset(request, form, formset, change)
        after = rows.filter(pk__in=[one.instance.pk for one in formset.forms if one.instance.pk]).in_bulk()
        for pk in {*before, *after}:
            was, now = before.get(pk), after.get(pk)
            told: Any = {"was": members.said(was) if was else {}, "now": members.said(now) if now else {}}
            if told["was"] == told["now"]:
                continue
            verb = "member.change" if was and now else "member.add" if now else "member.remove"
            about: Any = now or was
            audit.about(verb, admin_actor(request), about.user, team_id=about.team_id, **told)

    def log_deletions(self, request: HttpRequest, queryset: QuerySet[Any]) -> Any:
        for obj in queryset:
            self._line(request, obj, "remove")
        return super().log_deletions(request, queryset)

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> Any:
        """Tokens go along with their owner, though nobody else removes any."""
        shown, counts, forbidden, protected = super().get_deleted_objects(objs, request)
        return shown, counts, set(forbidden) - {ApiToken._meta.verbose_name}, protected

    def _line(
        self, request: HttpRequest, obj: Model, verb: str, detail: dict[str, Any] | None = None
    ) -> None:
        audit.record(
            f"{self.audit_name}.{verb}",
            admin_actor(request),
            target_type=self.audit_name,
            target_id=obj.pk,
            target_name=str(obj),
            detail=detail,
        )


class ReadOnly(admin.ModelAdmin):
    """What is written by Slipway alone: to look at, to search and to filter."""

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class OnlySiteAdmins(admin.options.BaseModelAdmin):
    """Who is let into the admin may look, and is by that no site administrator."""

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return _is_site_admin(request)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return _is_site_admin(request)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return _is_site_admin(request)


class MembershipForm(forms.ModelForm):
    """A role with its grants, or a permission set: the set, where both are chosen."""

    role = forms.ChoiceField(
        choices=[choice for choice in Role.choices if choice[0] != Role.CUSTOM], required=False
    )

    class Meta:
        model = Membership
        fields = ("user", "team", "role", "permission_set", "console", "files")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.instance.role == Role.CUSTOM:  # else the row of who has a set would be another one, untouched
            self.fields["role"].choices = [*Role.choices]  # type: ignore[attr-defined]

    def clean(self) -> dict[str, Any]:
        """As `accounts.members.put` has it."""
        found = super().clean() or self.cleaned_data
        row = found.get("permission_set")
        if row and row.team_id not in (None, getattr(found.get("team"), "pk", None)):
            raise ValidationError({"permission_set": _("There is no such permission set in this team.")})
        if row:
            found |= {"role": Role.CUSTOM, "console": False, "files": False}
        elif found.get("role") in ("", None, Role.CUSTOM):
            found["role"] = Role.VIEWER
        return found


class MembershipSet(BaseInlineFormSet):
    """A team keeps an admin who can sign in, here too; and nobody gives themselves a role."""

    by: Any = None

    def clean(self) -> None:
        """Nothing is saved where one of these takes a team's last admin away, or is of whoever sends it."""
        super().clean()
        for form in self.forms:
            if form.has_changed() and self.by in (
                form.cleaned_data.get("user"),
                getattr(form.instance, "user", None),
            ):
                raise ValidationError(
                    _("Nobody changes their own roles here: ask another site administrator.")
                )
        changed = [form for form in self.forms if form.instance.pk and form.has_changed()]
        for row in (form.instance for form in {*changed, *self.deleted_forms}):
            if row.mapping:
                text = _(
                    "The group %(group)s of single sign-on gives this: it is changed there, or by the mapping."
                )
                raise ValidationError(text % {"group": row.mapping.group})
        gone = [form.instance for form in self.forms if form in self.deleted_forms]
        gone += [form.instance for form in changed if form.cleaned_data.get("role") != Role.ADMIN]
        come = {
            form.cleaned_data["team"] for form in self.forms
            if form.cleaned_data.get("role") == Role.ADMIN and form.cleaned_data["user"].is_active
            and form not in self.deleted_forms
        }  # fmt: skip
        for row in gone:
            if row.pk and row.team not in come and members.leaves_none(row.team, [one.pk for one in gone]):
                raise ValidationError(
                    _("Nobody else administers %(name)s: make somebody team admin first.")
                    % {"name": row.team.name}
                )


class Memberships(OnlySiteAdmins, admin.TabularInline):
    """Roles of a person, or people of a team."""

    model = Membership
    form = MembershipForm
    formset = MembershipSet
    extra = 0
    autocomplete_fields = ["user", "team"]

    def get_formset(self, request: HttpRequest, obj: Any = None, **kwargs: Any) -> Any:
        made = super().get_formset(request, obj, **kwargs)
        return type(made.__name__, (made,), {"by": request.user})


class PersonForm(UserChangeForm):
    """The site keeps an administrator, here too."""

    def clean(self) -> dict[str, Any]:
        """Nothing is saved where nobody would administer the site any more."""
        found = super().clean() or self.cleaned_data
        stays = all(found.get(name, True) for name in ("is_active", "is_superuser"))
        try:
            members.keep_an_administrator(User.objects.get(pk=self.instance.pk), stays=stays)
        except members.Kept as error:
            raise ValidationError(error.message) from error
        return found


@admin.register(User)
class PersonAdmin(OnlySiteAdmins, Audited, UserAdmin):
    """People. Only a site administrator touches another one, or makes one."""

    form = PersonForm

    audit_name = "user"
    list_display = ("username", "email", "first_name", "last_name", "is_active", "is_superuser", "last_login")
    list_filter = ("is_active", "is_superuser", "is_staff", "teams")
    search_fields = ("username", "first_name", "last_name", "email")
    inlines = (Memberships,)
    actions = ("end_sessions", "remove_second_factors")
    filter_horizontal = ()
    readonly_fields = ("last_login", "date_joined")
    fieldsets = (
        (None, {"fields": ("username", "password")}),
        (_lazy("Person"), {"fields": ("first_name", "last_name", "email")}),
        (_lazy("Language and time"), {"fields": ("language", "zone")}),
        (_lazy("Power"), {"fields": ("is_active", "is_staff", "is_superuser")}),
        (_lazy("Dates"), {"fields": ("last_login", "date_joined")}),
    )

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Not oneself: the last administrator could lock everybody out."""
        return _is_site_admin(request) and obj != request.user

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> Any:
        """A team's last admin stays: that they are is said where a reason stands that something cannot be removed."""
        shown, counts, forbidden, protected = super().get_deleted_objects(objs, request)
        led = Membership.objects.filter(user__in=[user.pk for user in objs], role=Role.ADMIN).select_related(
            "team"
        )
        alone = [row.team for row in led if members.leaves_none(row.team, [row.pk])]
        said = _("%(team)s, which nobody else administers: make somebody team admin first")
        return shown, counts, forbidden, [*protected, *(said % {"team": team.name} for team in alone)]

    def log_change(self, request: HttpRequest, obj: Model, message: Any) -> Any:
        """Another address: the old one is told as well, since it may be nobody's wish."""
        was = getattr(obj, "_address_was", None)
        made = super().log_change(request, obj, message)
        if was is not None and isinstance(obj, User):
            line = AuditEntry.objects.filter(verb="user.change", target_id=obj.pk).order_by("-seq")[0]
            for address in dict.fromkeys((was, obj.email)):
                notices.tell(obj, "address", line, address=address, name=obj.email)
        return made

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        if change and "email" in form.changed_data:
            obj._address_was = form.initial.get("email", "")
        super().save_model(request, obj, form, change)

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        own = ("is_active", "is_staff", "is_superuser") if obj == request.user else ()
        given = (
            ("is_superuser",) if obj and obj.site_admin_by_id else ()
        )  # by a group: it alone takes it away
        return (*super().get_readonly_fields(request, obj), *own, *given)

    @admin.action(description=_lazy("End all sessions of the selected people"), permissions=["change"])
    def end_sessions(self, request: HttpRequest, queryset: QuerySet[User]) -> None:
        """Signs them out everywhere, at once."""
        self._ended(request, queryset)
        self.message_user(request, _("They are signed out everywhere."))

    @admin.action(
        description=_lazy("Remove the second factors of the selected people"), permissions=["change"]
    )
    def remove_second_factors(self, request: HttpRequest, queryset: QuerySet[User]) -> None:
        """After a lost phone: from then on their password alone opens the account."""
        for user in queryset:
            with transaction.atomic():
                factors.remove_all(user)
                audit.about("factor.remove", admin_actor(request), user)
        self._ended(request, queryset)
        self.message_user(request, _("Their second factors and sessions are gone."))

    def _ended(self, request: HttpRequest, people: QuerySet[User]) -> None:
        for user in people:
            with transaction.atomic():
                audit.about("session.end", admin_actor(request), user, count=sessions.end_all(user))

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        """Each removal on its own page, where what goes along is shown."""
        actions = super().get_actions(request)
        actions.pop("delete_selected", None)
        return actions


@admin.register(Team)
class TeamAdmin(OnlySiteAdmins, Audited):
    """Teams and who is in them."""

    audit_name = "team"
    list_display = ("name", "slug", "created_at")
    search_fields = ("name", "slug")
    prepopulated_fields = {"slug": ("name",)}
    inlines = (Memberships,)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """On the team's page, where it is asked who gets what it has."""
        return False


@admin.register(PermissionSet)
class PermissionSetAdmin(ReadOnly):
    """Permission sets, to look at: they are changed on the pages of teams, where the ceiling of rights stands."""

    list_display = ("name", "team", "created_at")
    list_filter = ("team",)
    search_fields = ("name", "team__name")
    list_select_related = ("team",)


@admin.register(GroupMapping)
class GroupMappingAdmin(ReadOnly):
    """What groups of single sign-on give, to look at: changed on its page, where it counts at once."""

    list_display = ("group", "team", "role", "permission_set", "when_gone", "created_at")
    list_filter = ("team",)
    search_fields = ("group", "team__name")
    list_select_related = ("team", "permission_set")


@admin.register(ApiToken)
class TokenAdmin(ReadOnly):
    """Tokens, without anything that opens a door. They are made by their owners."""

    list_display = (
        "name",
        "key",
        "user",
        "team",
        "scopes",
        "networks",
        "rate",
        "created_at",
        "expires_at",
        "last_used_at",
        "last_used_ip",
        "revoked_at",
    )
    list_filter = ("revoked_at", "expires_at", "team")
    search_fields = ("name", "key", "user__username")
    list_select_related = ("user", "team")
    exclude = ("digest",)
    actions = ("revoke",)

    @admin.action(description=_lazy("Revoke the selected tokens"), permissions=["view"])
    def revoke(self, request: HttpRequest, queryset: QuerySet[ApiToken]) -> None:
        """Ends them at once."""
        if not _is_site_admin(request):
            self.message_user(request, _("This needs a site administrator."), messages.ERROR)
            return
        for token in queryset:
            if tokens.revoke(token):
                by = admin_actor(request)
                audit.record(
                    "token.revoke", by, target_type="token", target_id=token.pk, target_name=token.name
                )
        self.message_user(request, _("The tokens are revoked."))


@admin.register(AuditEntry)
class EntryAdmin(ReadOnly):
    """The trail. Nobody changes it, here or elsewhere."""

    list_display = ("seq", "at", "actor_name", "verb", "target_name", "outcome", "source", "ip", "team_slug")
    list_display_links = ("seq", "at")
    list_filter = ("outcome", "source", "verb", "team_slug")
    search_fields = ("actor_name", "verb", "target_name", "target_id", "ip", "hash")
    date_hierarchy = "at"
    fieldsets = (
        (None, {"fields": ("at", "actor_name", "actor", "verb", "outcome", "team_slug", "team")}),
        (_lazy("On what"), {"fields": ("target_type", "target_id", "target_name", "operation_id", "detail")}),
        (_lazy("From where"), {"fields": ("source", "ip")}),
        (_lazy("Chain"), {"fields": ("seq", "prev_hash", "hash", "key_id")}),
    )


def _is_site_admin(request: HttpRequest) -> bool:
    user = request.user
    return isinstance(user, User) and user.is_active and user.is_superuser
