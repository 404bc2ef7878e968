"""The schema of params.yaml and tasks.yaml: one section a stage.

The sections are plain dataclasses, which stages fill from the two files (`layers`) without any
library; the files are checked as a whole (`files`) by stage `code`, on which every other depends.
"""
