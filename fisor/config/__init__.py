"""The schema of params.yaml and tasks.yaml: one section per stage.

The sections are plain dataclasses. Stages fill them from the two files (`layers`) without further
libraries; stage `code`, on which all others depend, checks the files as a whole (`files`).
"""
