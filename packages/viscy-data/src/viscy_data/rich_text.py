"""Text for the terminal that rich prints as it is: no markup, no emoji codes, no control characters."""

from rich.style import Style
from rich.text import Text

from viscy_data.text import shown_lines


def verbatim(content: object, style: str | Style = "") -> Text:
    """Return what rich prints as it is.

    Examples
    --------
    >>> verbatim("[/red] :smile:").plain
    '[/red] :smile:'
    """
    return Text(shown_lines(content), style=style)
