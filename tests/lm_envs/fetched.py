"""Tests that need what is fetched."""

from contextlib import contextmanager

import pytest

from lm_envs.assets import AssetError


@contextmanager
def skipped_without(asset):
    """Skip a test, with the reason, where an asset can't be had."""
    try:
        yield
    except AssetError as error:
        pytest.skip(f"{asset} can't be had: {error}")
