from django.apps import AppConfig


class ContainersConfig(AppConfig):
    name = "containers_app"
    label = "containers"
    verbose_name = "Containers"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Registers the kinds of operations."""
        from containers_app import (  # noqa: F401
            after_build,
            log_reads,
            operations,
            prune_policies,
            readers,
            rollback,
        )
