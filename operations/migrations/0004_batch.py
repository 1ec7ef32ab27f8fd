from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("operations", "0003_trash"),
    ]

    operations = [
        migrations.AddField(
            model_name="operation",
            name="batch",
            field=models.UUIDField(blank=True, db_index=True, null=True),
        ),
        migrations.AddField(
            model_name="operation",
            name="step",
            field=models.PositiveIntegerField(default=0),
        ),
    ]
