import pytest

from tests.lm_envs.endpoint.server import Running


@pytest.fixture(scope="module")
def server():
    running = Running()
    yield running
    running.stop()


@pytest.fixture
def slept(monkeypatch):
    """Nobody sleeps; the seconds that they would have."""
    seconds = []
    monkeypatch.setattr("time.sleep", seconds.append)
    return seconds
