"""Which jobs a launcher takes over from one that was killed."""

from pathlib import Path

import yaml

from fisor.cluster.submitted import Submitted
from fisor.cluster.workplace import Source, Work

SOURCE = Source("/origin.git", "abc")


def work(name: str, md5: str = "1") -> Work:
    lock = {"stages": {"code": {"outs": [{"path": "code.txt", "md5": md5}]}}}
    return Work(name, ["code.txt"], yaml.safe_dump(lock))


def test_a_job_is_taken_over_with_its_inputs_and_its_commit(tmp_path: Path) -> None:
    """One that has ended or has another input is not; all of another commit are named."""
    path = tmp_path / "slurm/jobs.json"
    first = Submitted(path, SOURCE)
    assert first.job_of(work("a")) is None
    first.add([work("a"), work("b")], ["7_0", "7_1"])
    first.add([work("c")], ["8"])
    first.remove("b")

    second = Submitted(path, SOURCE)
    assert second.of_other_commits == []
    assert second.job_of(work("a")) == "7_0"
    assert second.job_of(work("b")) is None
    assert second.job_of(work("c", md5="2")) is None
    assert second.numbers() == ["7_0", "8"]

    third = Submitted(path, SOURCE._replace(commit="def"))
    assert third.of_other_commits == ["7_0", "8"]
    assert third.job_of(work("a")) is None
    assert third.numbers() == []
