import django.utils.timezone
from django.db import migrations, models


class Migration(migrations.Migration):
    """Of those who are members already nobody knows since when."""

    dependencies = [("accounts", "0008_token_bounds")]

    operations = [
        migrations.AddField(
            model_name="membership",
            name="since",
            field=models.DateTimeField(editable=False, null=True),
        ),
        migrations.AlterField(
            model_name="membership",
            name="since",
            field=models.DateTimeField(default=django.utils.timezone.now, editable=False, null=True),
        ),
    ]
