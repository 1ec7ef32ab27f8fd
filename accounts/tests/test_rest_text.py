"""Texts that REST takes are as long as its document says, whatever blanks stand at their ends."""

from __future__ import annotations

import pytest
from rest_framework.exceptions import ValidationError

from accounts.api.base import Text


def test_a_text_is_measured_as_it_was_sent() -> None:
    field = Text(max_length=3)
    assert field.run_validation(" a ") == "a"
    with pytest.raises(ValidationError) as caught:
        field.run_validation("\x0babc")
    assert caught.value.get_codes() == ["max_length"]
