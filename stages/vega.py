"""Write Vega's JavaScript for the pages of `dvc plots`."""

import vl_convert

from fisor.outputs import atomic_file
from stages import command


def main(out: str) -> None:
    """Write one script that defines `vegaEmbed`, from the installed package vl-convert-python."""
    with atomic_file(out) as file:
        file.write_text(vl_convert.javascript_bundle(), encoding="utf-8")


if __name__ == "__main__":
    command.run(main)
