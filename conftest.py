"""People, engines and processes for every test.

Alice administers the site. In team blue Tara is team admin, Bob operator and Vic viewer. Charlie is a
stranger: an operator too, but of team red.

The environment is set here, before anything reads the settings; that is why pyproject.toml names no
settings module.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

from tests import machine, registry, trail

HOME = machine.short_folder()
for _name in [name for name in os.environ if name.startswith("SLIPWAY_") and name != "SLIPWAY_TEST_ENGINE"]:
    del os.environ[_name]
for _name in ("DOCKER_HOST", "DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH"):
    os.environ.pop(_name, None)
os.environ |= {
    "SLIPWAY_HOME": str(HOME),
    "REDIS_URL": f"unix://{HOME}/redis.sock?db=0",
    "DJANGO_SETTINGS_MODULE": "dashboard.settings",
    # Tests ask for more in a minute than people do.
    "SLIPWAY_EXPENSIVE_RATE": "0",
    "SLIPWAY_SEARCH_RATE": "0",
    "SLIPWAY_SOCKETS": "200",
    # Whatever this runs in: its id would cost a query that is counted.
    "SLIPWAY_OWN_CONTAINERS": "none",
}

import django
from django.conf import settings as django_settings

# Hashed names need collected files; only the running app has those.
django_settings.STORAGES["staticfiles"] = {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}
# The folders' own conftests import models at their top.
django.setup()
# Parallel test processes inherit this environment. With the name in it pytest-django would read the settings
# before this file gives such a process a folder and a Redis of its own.
del os.environ["DJANGO_SETTINGS_MODULE"]

if TYPE_CHECKING:
    import docker
    from django.test import Client
    from rest_framework.test import APIClient

    from accounts.models import Role, Team, User
    from engine.base import Engine as EngineBackend
    from operations.models import Engine, Operation

pytest_plugins = ["tests.gateways"]

BUSYBOX = "slipway-test/busybox:1"
OWN_ENGINE = {"engine_url", "engine_backend", "docker_client", "busybox", "engine_row"}


def pytest_addoption(parser: pytest.Parser) -> None:
    """Options of our own."""
    parser.addoption(
        "--write-baselines",
        action="store_true",
        help="write what is measured into the files it is compared with",
    )
    parser.addoption("--bench", action="store_true", help="the measurements, and nothing else")
    parser.addoption("--security", action="store_true", help="many more tries where tests guess")
    parser.addoption("--faults", action="store_true", help="the long tests of faults, too")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Marks follow from what a test asks for, so that nobody forgets one."""
    benches = [item for item in items if item.get_closest_marker("bench")]
    others = [item for item in items if not item.get_closest_marker("bench")]
    wanted, left = (benches, others) if config.getoption("--bench") else (others, benches)
    config.hook.pytest_deselected(items=left)
    items[:] = wanted
    if not config.getoption("--faults"):
        long = [item for item in items if item.get_closest_marker("long")]
        config.hook.pytest_deselected(items=long)
        items[:] = [item for item in items if item not in long]
    for item in items:
        names = set(getattr(item, "fixturenames", ()))
        if names & (OWN_ENGINE | {"live_app"}):
            item.add_marker("engine")
        if "chromium" in names:
            item.add_marker("browser")
        if "live_app" in names:
            # The first of them starts all of Slipway, on a machine that may be busy with the other half.
            item.add_marker(pytest.mark.timeout(300))


# --- The machine -------------------------------------------------------------------------------------


@pytest.fixture(scope="session", autouse=True)
def redis_server() -> Iterator[str]:
    """A private Redis, the one the settings and Celery point at. Emptied after each test; the URL."""
    with machine.redis_at(HOME / "redis.sock"):
        yield os.environ["REDIS_URL"]


@pytest.fixture(autouse=True)
def _redis_is_emptied(redis_server: str) -> Iterator[None]:
    yield
    import redis

    with redis.Redis.from_url(redis_server) as client:
        client.flushall()


@pytest.fixture(scope="session", autouse=True)
def _the_trail_is_emptied() -> Iterator[None]:
    with trail.emptied_between_tests():
        yield


@pytest.fixture(autouse=True)
def _nothing_is_anchored() -> Iterator[None]:
    """What one test has anchored of its audit trail is no business of the next one's."""
    yield
    (HOME / "audit-anchor.log").unlink(missing_ok=True)


@pytest.fixture(scope="session")
def engine_url() -> Iterator[str]:
    """A real engine that tests may fill and empty: SLIPWAY_TEST_ENGINE, else a private one."""
    given = os.environ.get("SLIPWAY_TEST_ENGINE", "")
    if given and os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1") != "1":
        # Each test leaves an engine as it found it, and would take away what the other processes' tests make.
        given = ""
    if given:
        yield given
        return
    try:
        with machine.engine_of_our_own() as url:
            yield url
    except machine.dockerd.EngineError as error:
        pytest.fail(machine.NO_ENGINE.format(why=error), pytrace=False)


@pytest.fixture(scope="session")
def docker_client(engine_url: str) -> Iterator[docker.DockerClient]:
    """The engine from beside Slipway, as somebody else's terminal sees it."""
    client = machine.docker_client(engine_url)
    yield client
    client.close()


@pytest.fixture(scope="session")
def busybox(docker_client: docker.DockerClient) -> str:
    """An image with a shell and the usual small programs: its reference."""
    machine.import_busybox(docker_client, BUSYBOX)
    return BUSYBOX


@pytest.fixture(scope="session")
def engine_backend(engine_url: str) -> Iterator[EngineBackend]:
    """The engine as the worker holds it."""
    from engine.connect import connect

    backend = connect(engine_url)
    yield backend
    backend.close()


@pytest.fixture(autouse=True)
def _engine_is_left_as_found(request: pytest.FixtureRequest) -> Iterator[None]:
    """What a test makes on the engine is gone after it."""
    if not OWN_ENGINE & set(request.fixturenames):
        yield
        return
    request.getfixturevalue("busybox")
    inventory = machine.Inventory(request.getfixturevalue("docker_client"))
    yield
    inventory.restore()


@pytest.fixture(scope="session")
def registry_place() -> Iterator[registry.Place]:
    """A registry with a password."""
    with registry.registry() as found:
        yield found


@pytest.fixture(scope="session")
def live_app(engine_url: str, busybox: str) -> Iterator[machine.LiveApp]:
    """The whole of Slipway, running on the test engine, with the first administrator made: ``admin``."""
    app = machine.LiveApp(
        engine_url, SLIPWAY_ADMIN_USER="admin", SLIPWAY_ADMIN_PASSWORD=machine.PASSWORD,
        SLIPWAY_REGISTRY_HOSTS="127.0.0.1", SLIPWAY_GIT_HOSTS="127.0.0.1", SLIPWAY_WEBHOOK_HOSTS="127.0.0.1",
    )  # fmt: skip
    try:
        yield app.start()
    finally:
        app.discard()


# --- People ------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def hashed_password() -> str:
    """`machine.PASSWORD`, hashed once: Argon2 is slow on purpose."""
    from django.contrib.auth.hashers import make_password

    return make_password(machine.PASSWORD)


@pytest.fixture
def person(db: None, hashed_password: str) -> Callable[..., User]:
    """``person(name, team, role)``: somebody with `machine.PASSWORD` and perhaps a role in a team."""
    from accounts.models import Membership, User

    def make(name: str, team: Team | None = None, role: Role | None = None, **fields: Any) -> User:
        user = User.objects.create(username=name, password=hashed_password, **fields)
        if team is not None and role is not None:
            Membership.objects.create(user=user, team=team, role=role)
        return user

    return make


@pytest.fixture
def team(db: None) -> Team:
    """Team blue."""
    from accounts.models import Team

    return Team.objects.create(slug="blue", name="Blue")


@pytest.fixture
def other_team(db: None) -> Team:
    """Team red, Charlie's."""
    from accounts.models import Team

    return Team.objects.create(slug="red", name="Red")


@pytest.fixture
def alice(person: Callable[..., User]) -> User:
    """Site administrator, member of no team."""
    return person("alice", is_superuser=True, is_staff=True)


@pytest.fixture
def tara(person: Callable[..., User], team: Team) -> User:
    """Admin of team blue."""
    from accounts.models import Role

    return person("tara", team, Role.ADMIN)


@pytest.fixture
def bob(person: Callable[..., User], team: Team) -> User:
    """Operator of team blue."""
    from accounts.models import Role

    return person("bob", team, Role.OPERATOR)


@pytest.fixture
def vic(person: Callable[..., User], team: Team) -> User:
    """Viewer of team blue."""
    from accounts.models import Role

    return person("vic", team, Role.VIEWER)


@pytest.fixture
def charlie(person: Callable[..., User], other_team: Team) -> User:
    """Operator of team red, of whom blue's things are hidden."""
    from accounts.models import Role

    return person("charlie", other_team, Role.OPERATOR)


@pytest.fixture
def client_for(db: None) -> Callable[..., Client]:
    """``client_for(user)``: a browser in which that person is signed in, with a session of the database."""
    from django.test import Client

    def make(user: User | None = None, **options: Any) -> Client:
        client = Client(**options)
        if user is not None:
            client.force_login(user)
        return client

    return make


@pytest.fixture
def api_for(db: None) -> Callable[..., APIClient]:
    """``api_for(user, "read", …)``: a script with that person's token; without scopes, with all of them."""
    from rest_framework.test import APIClient

    from accounts import tokens
    from accounts.permissions import SCOPES

    def make(user: User | None = None, *scopes: str, team: Team | None = None) -> APIClient:
        client = APIClient()
        if user is not None:
            _, secret = tokens.make(user, "test", scopes or SCOPES, team=team)
            client.credentials(HTTP_AUTHORIZATION=f"Bearer {secret}")
        return client

    return make


# --- Rows --------------------------------------------------------------------------------------------


@pytest.fixture
def engine_row(db: None, engine_url: str, busybox: str) -> Engine:
    """The row of the test engine, online."""
    from operations.models import Engine

    return Engine.objects.create(name="test", endpoint=engine_url, status=Engine.Status.ONLINE)


@pytest.fixture
def run_operations(db: None) -> Callable[[], list[Operation]]:
    """``run_operations()``: what the worker would do, oldest first, in this process, until none is queued."""
    from operations.models import Operation

    def run() -> list[Operation]:
        from operations.tasks import run_operation

        done = []
        while queued := Operation.objects.filter(state=Operation.State.QUEUED).order_by("created_at").first():
            run_operation(str(queued.pk))
            queued.refresh_from_db()
            assert queued.state != Operation.State.QUEUED, f"the worker left {queued} where it was"
            done.append(queued)
        return done

    return run
