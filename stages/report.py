"""Write the report: metrics, tables, pictures, curves."""

from pathlib import Path

from fisor import command
from fisor.params import load_params
from fisor.report import write_report
from fisor.tasks import load_task


def main(data: str, reports: str) -> None:
    """Write the report of the tasks and methods that params.yaml names."""
    params = load_params()
    write_report(Path(data), Path(reports), params, [load_task(name) for name in params.run])


if __name__ == "__main__":
    command.run(main)
