from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0004_console"),
    ]

    operations = [
        migrations.AddField(
            model_name="membership",
            name="files",
            field=models.BooleanField(
                default=False,
                help_text="For operators: files in the team's containers and volumes. Team admins may anyway.",
                verbose_name="may see and change files",
            ),
        ),
    ]
