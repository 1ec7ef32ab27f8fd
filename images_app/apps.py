from django.apps import AppConfig


class ImagesConfig(AppConfig):
    name = "images_app"
    label = "images"
    verbose_name = "Images"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Registers the kinds of operations and of reads."""
        from images_app import layer_verb, operations, registry_reads, remote_tags, transfers  # noqa: F401
