"""The flag by which a loader tells its workers that it is done: nobody can be killed while holding it."""

from mortal_rows import ask

from viscy_data.dataset.processes import worker_context


def test_a_process_that_is_killed_while_it_asks_takes_the_flag_from_nobody() -> None:
    """With an event of multiprocessing its lock dies with the first process, and nobody could set it."""
    context = worker_context()
    flag = context.Event()
    started = [context.Event() for _ in range(4)]
    asking = [context.Process(target=ask, args=(flag, one), daemon=True) for one in started]
    for process in asking:
        process.start()
    while not all(one.is_set() for one in started):
        assert all(process.is_alive() for process in asking)
    for process in asking[:3]:
        process.kill()
        process.join()
    assert not flag.is_set()
    flag.set()
    asking[3].join()
    assert [process.exitcode for process in asking] == [-9, -9, -9, 0]
