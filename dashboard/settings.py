"""Settings from the environment alone; a wrong one stops the start, all of them at once, with a hint."""

from __future__ import annotations

import hashlib
import os
import secrets
import tempfile
from pathlib import Path
from urllib.parse import unquote, urlsplit

import dj_database_url
from csp.constants import NONE, SELF
from environs import FileAwareEnv, validate

from dashboard import logs, sign_on

BASE_DIR = Path(__file__).resolve().parent.parent
env = FileAwareEnv(eager=False, strip_whitespace=True)  # NAME_FILE names a file with the value of NAME

HOME = Path(env.str("SLIPWAY_HOME", None) or BASE_DIR / "var").resolve()
BIND: str = env.str("SLIPWAY_BIND", "127.0.0.1:8000")
PUBLIC_URL: str = env.str("SLIPWAY_PUBLIC_URL", "")
DOCKER_HOST: str = env.str("DOCKER_HOST", "")
ADMIN_USER: str = env.str("SLIPWAY_ADMIN_USER", "")
ADMIN_PASSWORD: str = env.str("SLIPWAY_ADMIN_PASSWORD", "")
DEBUG: bool = env.bool("SLIPWAY_DEBUG", False)
_secret: str = env.str("SLIPWAY_SECRET_KEY", "")
_old_secrets: list[str] = env.list("SLIPWAY_OLD_SECRET_KEYS", [])
_hosts: list[str] = env.list("SLIPWAY_ALLOWED_HOSTS", [])
_database: str = env.str("DATABASE_URL", "")
REDIS_URL: str = env.str("REDIS_URL", "")
TRUSTED_PROXIES: list[str] = env.list("SLIPWAY_TRUSTED_PROXIES", [])
SESSION_HOURS: int = env.int("SLIPWAY_SESSION_HOURS", 12)
IDLE_MINUTES: int = env.int("SLIPWAY_IDLE_MINUTES", 30)
SECOND_FACTOR: str = env.str(
    "SLIPWAY_SECOND_FACTOR", "nobody", validate=validate.OneOf(["nobody", "staff", "everybody"])
)
_mail = urlsplit(env.str("SLIPWAY_EMAIL_URL", ""))
DEFAULT_FROM_EMAIL: str = env.str("SLIPWAY_EMAIL_FROM", "slipway@localhost")
_oidc = sign_on.asked(env)
API_RATE: int = env.int("SLIPWAY_API_RATE", 1200)  # requests a minute and caller, 0 for no limit
ADMIN_PATH: str = env.str(
    "SLIPWAY_ADMIN_PATH", "admin", validate=validate.Regexp(r"(/?[a-z0-9][a-z0-9-]{0,60}/?)?$")
)
PUBLISHED_PORT_HOST: str = env.str("SLIPWAY_PUBLISHED_PORT_HOST", "")
# What is expensive (builds, pulls, exports, backups) a minute and caller, and searches of logs; for all processes.
EXPENSIVE_RATE: int = env.int("SLIPWAY_EXPENSIVE_RATE", 5, validate=validate.Range(min=0))
SEARCH_RATE: int = env.int("SLIPWAY_SEARCH_RATE", 30, validate=validate.Range(min=0))
SOCKETS: int = env.int("SLIPWAY_SOCKETS", 30, validate=validate.Range(min=1))
UNDO_HOURS: float = env.float("SLIPWAY_UNDO_HOURS", 24, validate=validate.Range(min=0))
FILES_MB: int = env.int("SLIPWAY_FILES_MB", 1024, validate=validate.Range(min=1))
UNDO_MB: int = env.int("SLIPWAY_UNDO_MB", 2048, validate=validate.Range(min=0))
CONTEXT_MB: int = env.int("SLIPWAY_CONTEXT_MB", 2048, validate=validate.Range(min=1))
IMAGE_MB: int = env.int("SLIPWAY_IMAGE_MB", 20480, validate=validate.Range(min=1))
SCANNER: str = env.str("SLIPWAY_SCANNER", "")
BUILD_FRONTENDS: list[str] = env.list("SLIPWAY_BUILD_FRONTENDS", ["docker/dockerfile"])
BUILD_MEMORY_MB: int = env.int("SLIPWAY_BUILD_MEMORY_MB", 4096, validate=validate.Range(min=0))
BUILD_CPUS: float = env.float("SLIPWAY_BUILD_CPUS", 0, validate=validate.Range(min=0))
BUILD_CGROUP: str = env.str("SLIPWAY_BUILD_CGROUP", "")
BUILD_CONTEXTS_MB: int = env.int("SLIPWAY_BUILD_CONTEXTS_MB", 4096, validate=validate.Range(min=0))
VOLUME_MB: int = env.int("SLIPWAY_VOLUME_MB", 8192, validate=validate.Range(min=1))
BACKUP_DIR: str = env.str("SLIPWAY_BACKUP_DIR", "")
BACKUP_HOSTS: list[str] = env.list("SLIPWAY_BACKUP_HOSTS", [])
TAG_CHECK_HOURS: int = env.int("SLIPWAY_TAG_CHECK_HOURS", 6)
REGISTRY_HOSTS: list[str] = env.list("SLIPWAY_REGISTRY_HOSTS", [])
GIT_HOSTS: list[str] = env.list("SLIPWAY_GIT_HOSTS", [])
WEBHOOK_HOSTS: list[str] = env.list("SLIPWAY_WEBHOOK_HOSTS", [])
ENGINE_SOCKETS: list[str] = env.list("SLIPWAY_ENGINE_SOCKETS", [])
OWN_CONTAINERS: list[str] = env.list("SLIPWAY_OWN_CONTAINERS", [])
NETWORK_POOL: list[str] = env.list("SLIPWAY_NETWORK_POOL", [])
EVENT_DAYS: int = env.int("SLIPWAY_EVENT_DAYS", 30, validate=validate.Range(min=1))
CONSOLE_RECORD: str = env.str(
    "SLIPWAY_CONSOLE_RECORD", "ask", validate=validate.OneOf(["never", "ask", "always"])
)
CONSOLE_KEEP_DAYS: float = env.float("SLIPWAY_CONSOLE_KEEP_DAYS", 30, validate=validate.Range(min=0))
CONSOLE_GRACE: float = env.float("SLIPWAY_CONSOLE_GRACE", 10, validate=validate.Range(min=3, max=3600))
CONSOLE_IDLE_MINUTES: float = env.float("SLIPWAY_CONSOLE_IDLE_MINUTES", 15, validate=validate.Range(min=0.05))
LOG_HISTORY_DAYS: int = env.int("SLIPWAY_LOG_HISTORY_DAYS", 7, validate=validate.Range(min=1))
LOG_HISTORY_MB: int = env.int("SLIPWAY_LOG_HISTORY_MB", 1024, validate=validate.Range(min=1))
LOG_FORMAT: str = env.str("SLIPWAY_LOG_FORMAT", "text", validate=validate.OneOf(["text", "json"]))
env.seal()
ADMIN_PATH = ADMIN_PATH.strip("/")  # empty: there is none


def _own_secret() -> str:
    """A key of our own, made once and readable by this user alone."""
    path = HOME / "secret_key"
    if not path.exists():
        HOME.mkdir(parents=True, exist_ok=True, mode=0o700)
        try:
            with os.fdopen(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w") as file:
                file.write(secrets.token_urlsafe(64))
        except FileExistsError:
            pass  # another process was faster, its key is as good
    return path.read_text().strip()


SECRET_KEY = _secret or _own_secret()
SECRET_KEY_FALLBACKS = _old_secrets
if len(SECRET_KEY) < 50:
    raise SystemExit("SLIPWAY_SECRET_KEY must have at least 50 characters; leave it unset to have one made.")

bind_host, _, bind_port = BIND.rpartition(":")
_public = urlsplit(PUBLIC_URL)
ALLOWED_HOSTS = _hosts or ["localhost", "127.0.0.1", "[::1]", *filter(None, [_public.hostname])]
if bind_host not in ("", "0.0.0.0", "::", "[::]") and bind_host not in ALLOWED_HOSTS:  # noqa: S104
    ALLOWED_HOSTS.append(bind_host)
if "*" in ALLOWED_HOSTS:
    raise SystemExit("SLIPWAY_ALLOWED_HOSTS must name the hosts; * lets any page speak for you.")
CSRF_TRUSTED_ORIGINS = [f"{_public.scheme}://{_public.netloc}"] if PUBLIC_URL else []
SECURE = _public.scheme == "https"


def _redis_socket() -> Path:
    """Where our own Redis listens. The kernel allows 107 bytes: a deep HOME gets a short path elsewhere."""
    path = HOME / "run" / "redis.sock"
    if len(os.fsencode(path)) <= 100:
        return path
    short = hashlib.sha256(os.fsencode(HOME)).hexdigest()[:12]
    return Path(tempfile.gettempdir()) / f"slipway-{os.getuid()}-{short}" / "redis.sock"


REDIS_SOCKET = None if REDIS_URL else _redis_socket()
if REDIS_SOCKET:
    REDIS_URL = f"unix://{REDIS_SOCKET}?db=0"

INSTALLED_APPS = [
    "allauth",
    "allauth.account",
    "allauth.mfa",
    "allauth.socialaccount",
    "dashboard",
    "containers_app",
    "images_app",
    "operations",
    "accounts",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "django.contrib.humanize",
    "channels",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "django_filters",
    "django_htmx",
    "template_partials",
    "csp",
]
MIDDLEWARE = [
    "dashboard.middleware.RequestId",
    "dashboard.middleware.ClientAddress",
    "dashboard.middleware.Compressed",
    "django.middleware.security.SecurityMiddleware",
    "dashboard.middleware.Headers",
    "csp.middleware.CSPMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "dashboard.middleware.Turned",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "dashboard.middleware.SessionClock",
    "dashboard.middleware.Reader",
    "dashboard.middleware.SecondFactorFirst",
    "dashboard.middleware.AdminConfirms",
    "allauth.account.middleware.AccountMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "dashboard.middleware.SetupFirst",
    # Last and sync-only: Django then runs the whole chain in one thread hop instead of about ten.
    "dashboard.middleware.SyncLast",
]
ROOT_URLCONF = "dashboard.urls"
ASGI_APPLICATION = "dashboard.asgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.template.context_processors.i18n",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "dashboard.home.frame",
            ],
            "builtins": [
                "dashboard.templatetags.ui",
                "django.contrib.humanize.templatetags.humanize",
                "django.templatetags.i18n",
            ],
        },
    }
]

if _database:
    DATABASES = {"default": dj_database_url.parse(_database, conn_max_age=0, conn_health_checks=True)}
    if DATABASES["default"]["ENGINE"].endswith("postgresql"):
        _options = DATABASES["default"].setdefault("OPTIONS", {})
        # Nobody waits for ever, and nobody who fell asleep holds up the others. What the address says counts more.
        _bounds = {"lock_timeout": 5, "statement_timeout": 30, "idle_in_transaction_session_timeout": 60}
        _said = " ".join(f"-c {name}={seconds}s" for name, seconds in _bounds.items())
        _options["options"] = f"{_said} {_options.get('options', '')}".strip()
        _options.setdefault("connect_timeout", 5)
        # Short pauses between tries: a server that is back is used again within seconds.
        _options["pool"] = {"min_size": 2, "max_size": 10, "timeout": 5, "reconnect_timeout": 4}
else:
    DATABASES = {
        "default": {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": str(HOME / "slipway.sqlite3"),
            # A file in tests too: threads that share a database in memory lock each other out of its tables.
            "TEST": {"NAME": str(HOME / "test.sqlite3")},
            "OPTIONS": {
                # IMMEDIATE: a transaction that reads first and then writes would else fail at once, whatever
                # the timeout, as soon as anybody commits in between (44 % of such writes under load).
                "transaction_mode": "IMMEDIATE",
                "timeout": 10,
                "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA temp_store=MEMORY;"
                " PRAGMA mmap_size=134217728; PRAGMA journal_size_limit=27103364; PRAGMA cache_size=2000;",
            },
        }
    }
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

AUTH_USER_MODEL = "accounts.User"
PASSWORD_HASHERS = ["django.contrib.auth.hashers.Argon2PasswordHasher"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 15}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "accounts.passwords.NotOurName"},
]
# Doors and limits are our own; allauth brings the second step, passkeys and single sign-on.
ACCOUNT_ADAPTER = "accounts.adapters.AccountAdapter"
ACCOUNT_EMAIL_VERIFICATION = "none"
ACCOUNT_RATE_LIMITS = MFA_RATE_LIMITS = False
SOCIALACCOUNT_ADAPTER = "accounts.sso.SocialAdapter"
MFA_ADAPTER = "accounts.adapters.FactorAdapter"
MFA_SUPPORTED_TYPES = ["totp", "recovery_codes", "webauthn"]
MFA_PASSKEY_LOGIN_ENABLED = True
MFA_WEBAUTHN_USER_VERIFICATION = "preferred"

OIDC = sign_on.checked(_oidc)
LOGIN_URL = "accounts:login"
LOGIN_REDIRECT_URL = "/"
LOGOUT_REDIRECT_URL = "accounts:login"
SESSION_COOKIE_AGE = SESSION_HOURS * 3600
SESSION_COOKIE_NAME = "__Host-session" if SECURE else "slipway_session"
CSRF_COOKIE_NAME = "__Host-csrf" if SECURE else "slipway_csrf"
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = SECURE
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = CSRF_COOKIE_SAMESITE = "Lax"
CSRF_FAILURE_VIEW = "dashboard.home.form_is_stale"
if _mail.scheme not in ("", "smtp", "smtps", "smtp+tls"):
    raise SystemExit(
        "SLIPWAY_EMAIL_URL must begin with smtp:// (a relay of your own), smtp+tls:// or smtps://."
    )
EMAIL_HOST = _mail.hostname or ""
EMAIL_PORT = _mail.port or {"smtps": 465, "smtp+tls": 587}.get(_mail.scheme, 25)
EMAIL_HOST_USER, EMAIL_HOST_PASSWORD = unquote(_mail.username or ""), unquote(_mail.password or "")
EMAIL_USE_TLS, EMAIL_USE_SSL = _mail.scheme == "smtp+tls", _mail.scheme == "smtps"
EMAIL_TIMEOUT = 10
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
SECURE_HSTS_SECONDS = 31536000 if SECURE else 0
# Subdomains and browsers' preload lists are the domain's owner's to decide; the proxy in front redirects to https.
SILENCED_SYSTEM_CHECKS = ["security.W005", "security.W008", "security.W021"]
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if SECURE and TRUSTED_PROXIES else None
X_FRAME_OPTIONS = "DENY"
DATA_UPLOAD_MAX_MEMORY_SIZE = 4 * 1024 * 1024
# Build contexts come as files: they go to disk as they arrive, never into memory.
FILE_UPLOAD_HANDLERS = ["django.core.files.uploadhandler.TemporaryFileUploadHandler"]

CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [NONE], "script-src": [SELF], "style-src": [SELF], "img-src": [SELF, "data:"],
        "font-src": [SELF], "connect-src": [SELF], "manifest-src": [SELF], "base-uri": [NONE], "object-src": [NONE],
        "form-action": [SELF], "frame-ancestors": [NONE],
        # static/js/trusted.js; dompurify is of the REST document's page.
        "require-trusted-types-for": ["'script'"], "trusted-types": ["default", "slipway", "dompurify"],
    }
}  # fmt: skip

STATIC_URL = "/static/"
STATIC_ROOT = HOME / "static"
STATICFILES_DIRS = [BASE_DIR / "static"]
STATICFILES_FINDERS = [
    "django.contrib.staticfiles.finders.FileSystemFinder",
    "django.contrib.staticfiles.finders.AppDirectoriesFinder",
]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "dashboard.static_files.Storage"},
}
WHITENOISE_KEEP_ONLY_HASHED_FILES = True

LANGUAGE_CODE = "en"
LANGUAGES = [("en", "English"), ("de", "Deutsch")]
LANGUAGE_COOKIE_NAME = "slipway_language"
LOCALE_PATHS = [BASE_DIR / "locale"]
FORMAT_MODULE_PATH = ["dashboard.formats"]
TIME_ZONE = "UTC"
USE_I18N = True
USE_TZ = True


def _celery_url(url: str) -> str:
    """Celery spells a unix socket ``redis+socket://path?virtual_host=n``; ``unix://`` it does not know."""
    if not url.startswith("unix://"):
        return url
    path, _, query = url.removeprefix("unix://").partition("?")
    return f"redis+socket://{path}?virtual_host={query.removeprefix('db=') or 0}"


CELERY_BROKER_URL = _celery_url(REDIS_URL)
CELERY_RESULT_BACKEND = None  # results live in our own rows
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_SERIALIZER = "json"
CELERY_ACCEPT_CONTENT = ["json"]
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_TASK_DEFAULT_QUEUE = "slipway"
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_WORKER_CANCEL_LONG_RUNNING_TASKS_ON_CONNECTION_LOSS = False
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_CONNECTION_MAX_RETRIES = None
CELERY_TASK_PUBLISH_RETRY = False  # fail fast: the sweeper sends again what Redis has lost
CELERY_BROKER_TRANSPORT_OPTIONS = {
    "visibility_timeout": 86400,  # redelivery is the lease's business, not Redis's
    "max_retries": 1,
    "interval_start": 0,
    "interval_step": 0.1,
    "interval_max": 0.2,
    "socket_connect_timeout": 2,
    "socket_keepalive": True,
}

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "accounts.authentication.TokenAuthentication",
        "accounts.authentication.BrowserSession",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["accounts.authentication.Declared"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["accounts.api.bodies.StrictJSONParser"],
    "DEFAULT_CONTENT_NEGOTIATION_CLASS": "accounts.api.bodies.OneKind",
    "DEFAULT_THROTTLE_CLASSES": ["accounts.api.rates.Sustained"],
    "DEFAULT_METADATA_CLASS": None,
    "URL_FORMAT_OVERRIDE": None,
    "DEFAULT_PAGINATION_CLASS": "accounts.api.pages.Keyset",
    "DEFAULT_FILTER_BACKENDS": ["django_filters.rest_framework.DjangoFilterBackend"],
    "DEFAULT_SCHEMA_CLASS": "accounts.api.schema.Schema",
    "EXCEPTION_HANDLER": "dashboard.problems.problem",
    "TEST_REQUEST_DEFAULT_FORMAT": "json",
    "UNAUTHENTICATED_USER": None,
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Slipway",
    "VERSION": "1",
    "OAS_VERSION": "3.1.0",
    "SERVE_INCLUDE_SCHEMA": False,
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "COMPONENT_SPLIT_REQUEST": True,
    "SCHEMA_PATH_PREFIX": "/api/v1",
    "SERVE_PUBLIC": True,
    "SERVE_PERMISSIONS": ["accounts.authentication.Declared"],
    "POSTPROCESSING_HOOKS": [
        "drf_spectacular.hooks.postprocess_schema_enums",
        "accounts.api.schema.with_problems",
    ],
    "ENUM_NAME_OVERRIDES": {
        "ContainerState": "containers_app.models.Container.State",
        "OperationState": "operations.models.Operation.State",
        "EngineStatus": "operations.models.Engine.Status", "ChannelKind": "operations.models.Channel.Kind",
        "DeliveryState": "operations.models.Delivery.State", "Scope": "accounts.permissions.SCOPES",
        "Role": "accounts.models.Role", "GivenRole": "accounts.api.permission_sets.ROLES",
    },
}  # fmt: skip

LOGGING = logs.configuration(LOG_FORMAT)
