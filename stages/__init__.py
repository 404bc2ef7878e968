"""One thin file a stage of dvc.yaml: paths on the command line, one call, one output."""
