"""The command ``viscy-data``: convert, synthesize, import, index, check, audit, bench, optimize.

Each command has a file, and parses, calls one function of the library and prints a table. What is slow to
import is imported inside the command that needs it, so that ``--help`` answers at once.
"""

import typer

from viscy_data.cli.audit import audit
from viscy_data.cli.bench import bench
from viscy_data.cli.check import check
from viscy_data.cli.convert import convert
from viscy_data.cli.import_viscy import import_viscy
from viscy_data.cli.index import index
from viscy_data.cli.optimize import optimize
from viscy_data.cli.plain_errors import open_streams
from viscy_data.cli.synthesize import synthesize

app = typer.Typer(
    help="Compose training batches from time-lapse microscopy of single cells.\n\n"
    "The usual way: [bold]convert[/] movies (or [bold]synthesize[/] some, or [bold]import[/] files of "
    "VisCy), [bold]check[/] what is known of them, [bold]index[/] them into an anchors table, [bold]audit[/] "
    "the batches that a plan would compose; [bold]bench[/] how fast they are read, and [bold]optimize[/] "
    "slow stores.",
    no_args_is_help=True,
    rich_markup_mode="rich",
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command()(convert)
app.command()(synthesize)
app.command("import")(import_viscy)
for _command in (index, audit, check, bench, optimize):
    app.command()(_command)


def main() -> None:
    """Run the command line, whatever of its streams is closed."""
    open_streams()
    app()
