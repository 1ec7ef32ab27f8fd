from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class OperationsConfig(AppConfig):
    name = "operations"
    label = "operations"
    verbose_name = _("Operations")
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Registers what a worker can be asked of an engine that has no row; the engine's texts find their language,
        and a new site the rules that it begins with.
        """
        from django.utils.translation import gettext

        from accounts.setup import began
        from engine import words
        from operations import policies, trial  # noqa: F401

        words.speak(gettext)
        began.connect(policies.begin)
