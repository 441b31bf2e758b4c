"""Questions asked of arguments, in one place."""


def is_whole(value: object, *, least: int) -> bool:
    """Return whether ``value`` is an integer, and no bool, of at least ``least``.

    Examples
    --------
    >>> is_whole(3, least=1), is_whole(0, least=1), is_whole(True, least=0), is_whole(3.0, least=0)
    (True, False, False, False)
    """
    return isinstance(value, int) and not isinstance(value, bool) and value >= least
