import math

import pytest

from tests.bench import capacity
from tests.bench.capacity import Figures
from tests.deploy.kubernetes_files import of_kind

FIGURES = Figures(
    gateway_s=0.0006, server_s=0.003, embedded_s=0.003, request_bytes=900, response_bytes=100, tensor_bytes=500
)
SERIES = 300


def test_the_page_is_what_the_figures_give():
    assert capacity.PAGE.read_text() == capacity.page(*capacity.read()), "python -m tests.bench.capacity --page"


def test_the_figures_are_of_every_workload_and_could_be_true():
    workloads, series = capacity.read()
    assert workloads.keys() == capacity.WORKLOADS.keys()
    assert 50 < series < 2000
    for figures in workloads.values():
        assert 1e-5 < figures.gateway_s < 0.1
        assert 1e-5 < figures.server_s < 0.1
        assert figures.embedded_s < 1.5 * (figures.gateway_s + figures.server_s)
        assert figures.request_bytes > figures.response_bytes > 0


def test_a_small_load_needs_two_of_each():
    found = capacity.plan(FIGURES, 10, SERIES)
    assert (found.gateways, found.servers, found.cells, found.connections) == (2, 2, 1, 4)


def test_the_arithmetic_by_hand():
    """100,000 requests/s: 60 gateway cores of work, 300 of the model server's, each busy for 0.6 of the time."""
    found = capacity.plan(FIGURES, 100_000, SERIES)
    assert found.gateways == 100
    assert found.server_cores == 500
    assert found.servers == math.ceil(500 / 8)
    assert found.connections == 100 * 63
    assert found.client_gbit_per_s == pytest.approx(100_000 * 1000 * 8 / 1e9)
    assert found.server_gbit_per_s == pytest.approx(100_000 * 500 * 8 / 1e9)
    assert found.samples_per_s == 100 * 300 / 15


@pytest.mark.parametrize("rate", capacity.RATES)
def test_a_cell_stays_within_its_bounds_and_one_less_would_not(rate):
    found = capacity.plan(FIGURES, rate, SERIES)

    def fits(cells: int) -> bool:
        return capacity.within_bounds(capacity.per_cell(found.gateways, cells), capacity.per_cell(found.servers, cells))

    assert fits(found.cells)
    assert found.cells == 1 or not fits(found.cells - 1)


def test_needs_grow_with_the_rate():
    plans = [capacity.plan(FIGURES, rate, SERIES) for rate in (100, 1_000, 10_000, 100_000, 1_000_000)]
    assert [plan.gateways for plan in plans] == sorted(plan.gateways for plan in plans)
    assert [plan.cells for plan in plans] == sorted(plan.cells for plan in plans)


def test_the_narrow_part_moves_with_the_work():
    large_bodies = Figures(0.003, 0.0006, 0.003, 900, 100, 500)
    small, large = capacity.plan(FIGURES, 10, SERIES), capacity.plan(FIGURES, 10_000_000, SERIES)
    assert capacity.bottleneck(FIGURES, small).startswith("none")
    assert "model servers, 83%" in capacity.bottleneck(FIGURES, large)
    assert "gateways" in capacity.bottleneck(large_bodies, capacity.plan(large_bodies, 100_000, SERIES))


def test_waiting_by_a_simulation():
    """Poisson arrivals at one core: the formula's 99th percentile, and that of 200,000 requests one after the other."""
    import numpy as np

    random = np.random.default_rng(0)
    count, service_s = 200_000, 0.001
    arrivals = np.cumsum(random.exponential(service_s / capacity.UTILISATION, count))
    services = random.exponential(service_s, count)
    free, stays = 0.0, np.empty(count)
    for i in range(count):
        free = max(free, arrivals[i]) + services[i]
        stays[i] = free - arrivals[i]
    assert np.quantile(stays, 0.99) == pytest.approx(capacity.leaves_within_s(service_s), rel=0.05)


def test_the_autoscalers_limit_is_the_pages():
    most = of_kind("cpu", "HorizontalPodAutoscaler")["gateway"]["spec"]["maxReplicas"]
    assert f"| {most} gateways | `maxReplicas`" in capacity.PAGE.read_text()
