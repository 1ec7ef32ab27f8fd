from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("containers", "0020_hook_again"),
    ]

    operations = [
        migrations.AddField(
            model_name="hookcall",
            name="left",
            field=models.JSONField(blank=True, default=list),
        ),
        migrations.AddField(
            model_name="hookcall",
            name="attempts",
            field=models.PositiveSmallIntegerField(default=0),
        ),
        migrations.AddField(
            model_name="hookcall",
            name="lease_until",
            field=models.DateTimeField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name="hookcall",
            name="idle",
            field=models.BooleanField(default=False),
        ),
    ]
