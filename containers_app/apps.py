from django.apps import AppConfig


class ContainersConfig(AppConfig):
    name = "containers_app"
    label = "containers"
    verbose_name = "Containers"
    default_auto_field = "django.db.models.BigAutoField"
