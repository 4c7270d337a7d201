import pytest

from voxlate.simulation import Options, simulate_subject


@pytest.fixture(scope="session")
def glioma():
    """A small head with a glioma and its images before and after the agent, on scanner A."""
    return simulate_subject("t1ce_t1", seed=11, subject=2, scanner="A", options=Options(lesions="glioma"))


@pytest.fixture(scope="session")
def spine():
    return simulate_subject("spine", seed=5)
