import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

from accounts import chain, triggers

PIECE = 2000


def chain_what_is_there(apps, schema_editor):
    """Numbers and seals the entries that were written before there was a chain, oldest first."""
    Entry, Head = apps.get_model("accounts", "AuditEntry"), apps.get_model("accounts", "AuditHead")
    slugs = dict(apps.get_model("accounts", "Team").objects.values_list("pk", "slug"))
    seq, before, last = 0, chain.START, 0
    while found := list(Entry.objects.filter(id__gt=last).order_by("id")[:PIECE]):
        for entry in found:
            seq += 1
            entry.seq, entry.prev_hash, entry.key_id = seq, before, chain.key_id()
            entry.team_slug = slugs.get(entry.team_id, "")
            before = entry.hash = chain.seal(chain.facts_of(entry), before)
        with schema_editor.connection.cursor() as cursor:
            cursor.executemany(
                f"UPDATE {triggers.TABLE} SET seq = %s, prev_hash = %s, hash = %s, key_id = %s, team_slug = %s"  # noqa: S608
                " WHERE id = %s",
                [(e.seq, e.prev_hash, e.hash, e.key_id, e.team_slug, e.pk) for e in found],
            )
        last = found[-1].pk
    Head.objects.create(id=1, seq=seq, hash=before)


def guard(apps, schema_editor):
    triggers.install(schema_editor.connection)


def unguard(apps, schema_editor):
    triggers.remove(schema_editor.connection)


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0002_set_up_and_attempts"),
    ]

    operations = [
        migrations.CreateModel(
            name="AuditHead",
            fields=[
                ("id", models.PositiveSmallIntegerField(default=1, primary_key=True, serialize=False)),
                ("seq", models.BigIntegerField(default=0)),
                ("hash", models.CharField(default=chain.START, max_length=64)),
            ],
            options={
                "constraints": [models.CheckConstraint(condition=models.Q(("id", 1)), name="one_audit_head")],
            },
        ),
        # Before any row is changed: PostgreSQL alters no table that has foreign keys still to be checked.
        migrations.AlterField(
            model_name="auditentry",
            name="actor",
            field=models.ForeignKey(
                blank=True,
                db_constraint=False,
                null=True,
                on_delete=django.db.models.deletion.DO_NOTHING,
                related_name="+",
                to=settings.AUTH_USER_MODEL,
            ),
        ),
        migrations.AlterField(
            model_name="auditentry",
            name="team",
            field=models.ForeignKey(
                blank=True,
                db_constraint=False,
                null=True,
                on_delete=django.db.models.deletion.DO_NOTHING,
                related_name="+",
                to="accounts.team",
            ),
        ),
        migrations.AddField(
            model_name="auditentry",
            name="team_slug",
            field=models.CharField(blank=True, default="", max_length=40, verbose_name="team's name"),
            preserve_default=False,
        ),
        migrations.AddField(
            model_name="auditentry",
            name="seq",
            field=models.BigIntegerField(null=True),
        ),
        migrations.AddField(
            model_name="auditentry",
            name="key_id",
            field=models.CharField(default="", max_length=12),
            preserve_default=False,
        ),
        migrations.AddField(
            model_name="auditentry",
            name="prev_hash",
            field=models.CharField(default="", max_length=64),
            preserve_default=False,
        ),
        migrations.AddField(
            model_name="auditentry",
            name="hash",
            field=models.CharField(default="", max_length=64),
            preserve_default=False,
        ),
        migrations.RunPython(chain_what_is_there, migrations.RunPython.noop),
        migrations.AlterField(
            model_name="auditentry",
            name="seq",
            field=models.BigIntegerField(unique=True),
        ),
        migrations.AlterModelOptions(
            name="auditentry",
            options={"ordering": ["-seq"], "verbose_name_plural": "audit entries"},
        ),
        migrations.RunPython(guard, unguard),
    ]
