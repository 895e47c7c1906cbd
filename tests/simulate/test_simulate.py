"""The arithmetic of many GPUs, and its command."""

from dataclasses import fields, replace

import pytest

from tstitch.config.cli import compose
from tstitch.runtime.errors import UserError
from tstitch.simulate.measure import measure_costs
from tstitch.simulate.model import Costs, Run, even_schedules, simulate_run, simulate_runs
from tstitch.simulate.run import run_simulation

FREE = Costs(*[0.0] * len(fields(Costs)))
COSTS = Costs(10, 1e-3, 1e-6, 1e-4, 1e-4, 1e-2, 5e-9, 1e-8, 1e-8)
RUN = Run(50_000, 64, 0.05, 196_608, prepare=60, evaluate=0.002)
GPUS = [2**power for power in range(11)]


def test_one_gpu_is_the_sum_of_its_parts():
    """Catches: a part that is left out or counted twice."""
    units, size = 782, 50_000 * 196_608
    by_hand = {
        "start": 10 + 60,
        "join": 1e-3,
        "sampling": units * (64 * 0.05 + units * 1e-6 + 1e-4),
        "finish": units * 1e-2 + size * 1.5e-8,
        "evaluation": 50_000 * 0.002,
    }
    spent = simulate_run(RUN, 1, COSTS)
    assert spent.parts == pytest.approx(by_hand)
    assert spent.wall == pytest.approx(sum(by_hand.values()))
    assert spent.gpu == pytest.approx(spent.wall - 1e-3 / 2)  # who waits for the lock


def test_without_costs_gpus_divide_the_time():
    """Catches: seconds that no cost explains."""
    run = replace(RUN, images=64 * 1024, prepare=0, evaluate=0)
    walls = [simulate_run(run, gpus, FREE).wall for gpus in GPUS]
    assert walls == pytest.approx([64 * 1024 * 0.05 / gpus for gpus in GPUS])


def test_more_gpus_are_no_slower_until_what_is_one_after_the_other_counts():
    """Catches: batches that are dealt to fewer GPUs than there are, a lock that costs nothing."""
    walls = [simulate_run(RUN, gpus, COSTS).wall for gpus in GPUS]
    assert walls == sorted(walls, reverse=True)
    serial = simulate_run(RUN, 1024, replace(COSTS, locked=1.0))
    assert serial.wall > simulate_run(RUN, 64, replace(COSTS, locked=1.0)).wall
    assert serial.parts["join"] == 1024


@pytest.mark.parametrize("cost", ["look", "claim", "refused"])
def test_files_of_all_workers_are_served_in_turn(cost):
    """Catches: looks, claims, or the polls of idle workers, that cost the same however many."""
    slow = replace(COSTS, **{cost: 1000 * getattr(COSTS, cost)})
    spent, before = (simulate_run(RUN, 1024, costs).parts["sampling"] for costs in (slow, COSTS))
    assert spent > before + 1
    assert COSTS.on_slower_files(1000).start == COSTS.start


def test_schedules_share_gpus():
    """Catches: runs that are left out, GPUs without a run, start-ups that are paid too often."""
    runs = even_schedules(RUN, (0.01, 0.06), 66)
    assert [runs[0].seconds_per_image, runs[-1].seconds_per_image] == pytest.approx([0.06, 0.01])
    single = [simulate_run(run, 1, COSTS) for run in runs]
    for groups in (1, 66):
        spent = simulate_runs(runs, 1, COSTS, groups)
        assert spent.wall == pytest.approx(sum(one.wall for one in single))
    at_once = simulate_runs(runs, 66, COSTS, 66)
    assert at_once.wall == pytest.approx(single[0].wall)
    assert at_once.gpu == pytest.approx(sum(one.gpu for one in single))
    assert simulate_runs(runs, 1024, COSTS, 66).gpu < simulate_runs(runs, 1024, COSTS, 1).gpu


@pytest.mark.slow
def test_costs_are_measured(tmp_path):
    """Catches: a measurement of code that has changed, or of nothing."""
    costs = measure_costs(tmp_path, units=50, batch_size=4, image=(512, 512))
    assert all(value > 0 for value in costs.as_dict().values()), costs
    assert costs.on_slower_files(2).claim == 2 * costs.claim


def test_command(capsys):
    """Catches: a number of GPUs without a row, rates of a benchmark that are not used."""
    rates = "simulate.seconds_per_image=docs/performance/benchmark.json"
    run_simulation(compose("simulate", ["simulate.gpus=[1,64]", rates]))
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(" ")[1] for line in lines[4:6]] == ["1", "64"]
    hours = 66 * 50_000 * (1 / 50.96771800961387 + 1 / 10.089408376957232) / 2 / 3600
    assert lines[7] == f"66 runs of 50,000 images, {hours:,.1f} GPU-hours of denoisers and decoding"
    assert lines[9].startswith("at once: the denoisers have 50% of the GPU-hours or more up to 64")


@pytest.mark.parametrize(
    ("override", "allowed"),
    [
        ("simulate.gpus=[]", "at least one value"),
        ("simulate.gpus=[0]", "from 1 to"),
        ("simulate.image=[256]", "missing"),
        ("simulate.seconds_per_image=[1]", "a benchmark.json"),
        ("simulate.seconds_per_image=nowhere.json", "a benchmark.json"),
        ("simulate.costs.look=-1", "at least 0"),
        ("simulate.slower=0.5", "at least 1"),
    ],
)
def test_bad_input(override, allowed):
    """Catches: a traceback for a value that is no use."""
    with pytest.raises(UserError) as caught:
        run_simulation(compose("simulate", [override]))
    message = str(caught.value)
    assert message.startswith(override.split("=")[0]) and allowed in message
    assert len(message.splitlines()) == 1
