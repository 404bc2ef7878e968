"""Write the report: metrics, tables, pictures, curves."""

import json
from pathlib import Path

from fisor.config.files import load_params, load_task
from fisor.config.params import Params
from fisor.page.report_page import write_report_page
from fisor.report.report import write_report
from fisor.report.results import Results
from stages import command


def main(data: str, reports: str) -> None:
    """Write the report of the tasks and methods that params.yaml names."""
    params = load_params()
    tasks = [results(Path(data), task, params) for task in params.run]
    metrics = write_report(Path(reports), tasks, params)
    code = json.loads((Path(data) / "code/report.json").read_text(encoding="utf-8"))
    page = Path(reports) / "report.html"
    write_report_page(page, Path.cwd(), code["packages"], tasks, params.policies, metrics)


def results(data: Path, name: str, params: Params) -> Results:
    """The paths of a task's results, written by the other stages."""
    return Results(
        task=load_task(name),
        transitions=data / "transitions" / f"{name}.parquet",
        labels=data / "labels" / name,
        feasibility=data / "feasibility" / name,
        logs=data / "logs" / name,
        raw=[data / "raw" / name / f"{part}.hdf5" for part in params.acquire_parts],
        recordings={method: data / "recordings" / name / method for method in params.running},
        rollouts={
            method: data / "rollouts" / name / f"{method}.parquet" for method in params.running
        },
    )


if __name__ == "__main__":
    command.run(main)
