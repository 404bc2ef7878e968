"""Write Vega's JavaScript for the pages of `dvc plots`."""

import vl_convert

from fisor.outputs import atomic_file
from stages import command


def main(out: str) -> None:
    """Write one script that defines `vegaEmbed`, from the installed package vl-convert-python."""
    with atomic_file(out) as file:
        script = vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;")
        file.write_text(script, encoding="utf-8")


if __name__ == "__main__":
    command.run(main)
