"""The flag by which a loader tells its workers that it is done: nobody can be killed while holding it."""

from multiprocessing.process import BaseProcess

from mortal_rows import ask

from viscy_data.dataset.processes import worker_context


def test_a_process_that_is_killed_while_it_asks_takes_the_flag_from_nobody() -> None:
    """An event of multiprocessing loses its lock to one of the first, and is not to be set any more."""
    context = worker_context()
    flag = context.Event()

    def asking() -> BaseProcess:
        started = context.Event()
        process: BaseProcess = context.Process(target=ask, args=(flag, started), daemon=True)
        process.start()
        while not started.is_set():
            assert process.is_alive()
        return process

    for _ in range(16):
        process = asking()
        process.kill()
        process.join()
    assert not flag.is_set()
    last = asking()
    flag.set()
    last.join()
    assert last.exitcode == 0
