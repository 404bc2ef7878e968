"""How fast training, acting and loading are on this machine: a table, and JSON beside this file.

Run from the project's root: `python -m benchmarks` (minutes; `--help` for parts and sizes). It
needs no more than training does. Timings are taken in turns, so that other load hits both sides of
a ratio alike; compilation is left out. The least time of the rounds is given, ratios are the median
over rounds.
"""

import argparse
import json
import re
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmarks import acting, acting_baselines, baselines, loading, repro, training
from benchmarks.measuring import circumstances
from fisor.config.files import load_params
from fisor.methods import BASELINES

PARTS = "training", "acting", "loading", "repro", "baselines", "acting_baselines"
RESULTS = Path(__file__).parent / "results"


def table(header: str, rows: Sequence[Sequence[Any]]) -> None:
    """Print a Markdown table; floats get three digits, missing values a dash."""

    def text(value: Any) -> str:
        if value is None:
            return "-"
        return (
            f"{value:.3g}"
            if isinstance(value, float) and value < 1000
            else f"{value:,.0f}"
            if (isinstance(value, float))
            else str(value)
        )

    columns = header.split(" | ")
    print(f"\n| {header} |\n|{' --- |' * len(columns)}")
    for row in rows:
        print("| " + " | ".join(text(value) for value in row) + " |", flush=True)


def show(results: dict[str, Any]) -> None:
    """Print what was measured."""
    if "training" in results:
        found = results["training"]
        for name, rate in found["machine"].items():
            print(f"{name}: {rate / 1e9:.0f}e9")
        table(
            "stage | observation | seeds | products | updates/s | ms | floor: products, ms | "
            "floor: bytes, ms | share of product rate | against one seed | times the loop",
            [
                [cell["what"], cell["observation_dim"], cell["seeds"], cell["precision"]]
                + [
                    cell.get(key)
                    for key in (
                        "updates_per_second",
                        "milliseconds",
                        "floor_products_milliseconds",
                        "floor_bytes_milliseconds",
                        "share_of_product_rate",
                        "time_against_one_seed",
                        "times_faster_than_reference_loop",
                    )
                ]
                for cell in found["updates"]
            ],
        )
        table(
            "a million steps of all: observation | seeds | products | ours, minutes | "
            "reference loop, minutes | times faster",
            [list(total.values()) for total in found["million_steps"]],
        )
    if "baselines" in results:
        table(
            "one update: training | observation | batch | products | 1e9 operations | ms | "
            "its products, ms | times its products | at most",
            [
                [
                    row[key]
                    for key in (
                        "training",
                        "observation_dim",
                        "batch_size",
                        "products",
                        "gigaoperations",
                        "milliseconds",
                        "products_milliseconds",
                        "times_its_products",
                        "bound",
                    )
                ]
                for row in results["baselines"]
            ],
        )
    if "acting" in results:
        table(
            "acting: policy | batch | candidates | observation | ms a call | observations/s",
            [list(row.values()) for row in results["acting"]],
        )
    if "acting_baselines" in results:
        table(
            "acting of baselines: method | episodes | observation | 1e9 operations | ms a call | "
            "its products, ms | times its products | at most, ms",
            [list(row.values()) for row in results["acting_baselines"]],
        )
    if "loading" in results:
        table("loading: rows | observation | MB | s | MB/s", [list(results["loading"].values())])
    if "checkpoint" in results:
        header = "a checkpoint of three seeds' policies: MB | s | % of training"
        table(header, [list(results["checkpoint"].values())])
    if "repro" in results:
        table("dvc repro: stage | minutes", list(results["repro"]["stages_minutes"].items()))
        print(f"in all {results['repro']['minutes']:.1f} minutes")


def main() -> None:
    """Measure the parts asked for, print them, and write them to JSON."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "parts", nargs="*", choices=[[], *PARTS], help="training, acting and loading if none given"
    )
    parser.add_argument("--observation-dims", type=int, nargs="+", default=[8, 72, 259])
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 3, 8])
    parser.add_argument("--full", action="store_true", help="all seeds at all observation sizes")
    parser.add_argument(
        "--baselines", nargs="+", choices=BASELINES, default=BASELINES, help="of these parts"
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--results", type=Path, default=RESULTS, help="the JSON's folder")
    options = parser.parse_args()
    parts = options.parts or PARTS[:3]
    params, started = load_params(), time.perf_counter()
    dims, rounds = options.observation_dims, options.rounds
    one_dim, methods = dims[0], options.baselines

    def growing(part: str, rows: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
        """The part with each further row."""
        so_far: list[dict[str, Any]] = []
        for row in rows:
            so_far.append(row)
            yield {part: so_far}

    def measured(part: str) -> Iterable[dict[str, Any]]:
        """What is known of a part; a longer one is given again with each row."""
        match part:
            case "training":
                return [{part: training.measure(params, dims, options.seeds, rounds, options.full)}]
            case "baselines":
                return growing(part, baselines.measure(params, dims[:2], methods, rounds))
            case "acting_baselines":
                return growing(part, acting_baselines.measure(params, one_dim, methods, rounds))
            case "acting":
                return growing(part, acting.measure(params, one_dim, rounds))
            case "loading":
                checkpoint = loading.measure_checkpoint(params, one_dim, rounds)
                return [{part: loading.measure(one_dim, rounds), "checkpoint": checkpoint}]
        return [{part: repro.measure()}]

    results = circumstances() | {"rounds": rounds}
    name = re.sub(r"[^a-z0-9]+", "-", results["hardware"].lower()).strip("-")
    path = options.results / f"{name}.json"
    options.results.mkdir(parents=True, exist_ok=True)
    print(f"{results['hardware']}; load average {results['load_average']}", flush=True)
    for part in PARTS:
        if part not in parts:
            continue
        for found in measured(part):
            results |= found
            results["load_average_at_the_end"] = circumstances()["load_average"]
            results["minutes"] = (time.perf_counter() - started) / 60
            # At once: a run that is cut off keeps what it has measured.
            path.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
        show(found)
    print(f"\n{results['minutes']:.1f} minutes; written to {path}")


if __name__ == "__main__":
    main()
