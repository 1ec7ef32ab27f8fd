from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("containers", "0009_log_history")]

    operations = [
        migrations.AddField(
            model_name="network",
            name="options",
            field=models.JSONField(default=dict),
        ),
        migrations.AddField(
            model_name="volume",
            name="last_used_at",
            field=models.DateTimeField(blank=True, null=True),
        ),
    ]
