from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class ImagesConfig(AppConfig):
    name = "images_app"
    label = "images"
    verbose_name = _("Images")
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Registers the kinds of operations and of reads."""
        from images_app import (  # noqa: F401
            layer_verb,
            operations,
            registry_reads,
            remote_tags,
            scan_verb,
            scans,
            transfers,
        )
