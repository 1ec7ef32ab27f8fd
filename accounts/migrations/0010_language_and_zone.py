from django.db import migrations, models

import accounts.reading


class Migration(migrations.Migration):
    dependencies = [("accounts", "0009_membership_since")]

    operations = [
        migrations.AddField(
            model_name="user",
            name="language",
            field=models.CharField(
                blank=True,
                default="",
                help_text="Such as de; empty for what the browser asks for.",
                max_length=12,
                validators=[accounts.reading.check_language],
            ),
        ),
        migrations.AddField(
            model_name="user",
            name="zone",
            field=models.CharField(
                blank=True,
                default="",
                help_text="Such as Europe/Berlin; empty for the browser's own.",
                max_length=64,
                validators=[accounts.reading.check_zone],
                verbose_name="time zone",
            ),
        ),
    ]
