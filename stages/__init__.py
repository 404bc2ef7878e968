"""One thin file per stage of dvc.yaml: paths on the command line, one call, one output."""
