"""Runs the contract on the fake engine and on a real one."""

from engine.tests.contract import *  # noqa: F403 - the tests are there
from engine.tests.contract_clone import *  # noqa: F403
from engine.tests.contract_commit import *  # noqa: F403
from engine.tests.contract_console import *  # noqa: F403
from engine.tests.contract_files import *  # noqa: F403
from engine.tests.contract_networks import *  # noqa: F403
from engine.tests.contract_update import *  # noqa: F403
from engine.tests.contract_usage import *  # noqa: F403
