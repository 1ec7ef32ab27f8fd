from django.apps import AppConfig


class OperationsConfig(AppConfig):
    name = "operations"
    label = "operations"
    verbose_name = "Operations"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Registers what a worker can be asked of an engine that has no row; the engine's texts find their language."""
        from django.utils.translation import gettext

        from engine import words
        from operations import trial  # noqa: F401

        words.speak(gettext)
