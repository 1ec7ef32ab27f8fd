from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class ContainersConfig(AppConfig):
    name = "containers_app"
    label = "containers"
    verbose_name = _("Containers")
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Registers the kinds of operations, and what each worker does from time to time."""
        from containers_app import (  # noqa: F401
            after_build,
            hook_retries,
            log_reads,
            operations,
            prune_policies,
            readers,
            rollback,
        )
