"""What limits leave room for: the first jobs, never more than any limit has, and what is left out is counted."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.record import Run
from slurm.limits import Limit, Limits, limits_of_cluster, limits_of_profile, within
from slurm.plan import Array, arrays_of
from slurm.profile import profile_of
from slurm.queue import Entry, QueueError
from tests.slurm.test_plan import PLAIN, some_runs


@given(some_runs(), st.integers(1, 7), st.integers(1, 5), st.integers(0, 40))
def test_within_a_limit_the_first_jobs_stay(runs: list[Run], size: int, pack: int, room: int) -> None:
    arrays = arrays_of(runs, PLAIN, pack=pack, max_array_size=size)
    limit = Limit("few", room)
    kept, left_out = within(arrays, [limit, Limit("many", 1000)], [])
    tasks = [task for array in arrays for task in array.tasks]
    assert [task for array in kept for task in array.tasks] == tasks[:room]
    assert all(array.tasks for array in kept)
    assert left_out == ({limit: sum(map(len, tasks[room:]))} if tasks[room:] else {})
    assert within(arrays, [], []) == (arrays, {})


def arrays() -> list[Array]:
    """Two of four jobs: one of account a and QOS q, the other of none."""
    profile = profile_of({"methods": {"SAM": {"account": "a", "qos": "q"}}}, "")
    runs = [Run("mini", "mini-m2d2", method, seed) for method in ("SAM", "Adam") for seed in range(4)]
    return arrays_of(runs, profile, max_array_size=9)


@pytest.mark.parametrize(
    ("limit", "sizes"),
    [
        (Limit("l", 1, account="a"), [1, 4]),
        (Limit("l", 1, qos="q"), [1, 4]),
        (Limit("l", 1, account="b"), [4, 4]),
        (Limit("l", 1, account="b", is_default=True), [4, 1]),
        (Limit("l", 1, qos="r", is_default=True), [4, 1]),
        (Limit("l", 6), [4, 2]),
    ],
)
def test_a_limit_holds_for_its_account_and_its_qos(limit: Limit, sizes: list[int]) -> None:
    kept, _ = within(arrays(), [limit], [])
    assert [len(array.tasks) for array in kept] == sizes


def test_the_tightest_limit_cuts_and_is_named() -> None:
    own, wide = Limit("own", 2, account="a"), Limit("wide", 3)
    kept, left_out = within(arrays(), [wide, own], [])
    assert [len(array.tasks) for array in kept] == [2, 1]
    assert left_out == {own: 2, wide: 3}


@pytest.mark.parametrize(
    ("limit", "room"),
    [
        (Limit("l", 5), 3),
        (Limit("l", 5, ended_too=True), 2),
        (Limit("l", 5, account="a"), 4),
        (Limit("l", 5, qos="q"), 4),
        (Limit("l", 1), 0),
    ],
)
def test_what_is_in_the_queue_takes_room(limit: Limit, room: int) -> None:
    entries = [
        Entry("1_0", "PENDING", "", "", "", "a", "r"),
        Entry("1_1", "COMPLETING", "", "", "", "b", "q"),
        Entry("1_2", "COMPLETED", "", "", "", "a", "q"),
    ]
    assert limit.room(entries) == room


# -------------------------------------------------------------------------------------------------- what a cluster says


class Answers:
    """Stands in for `scontrol show config` and for sacctmgr, which finds rows by `name=value` and prints columns."""

    def __init__(self, **configuration: object) -> None:
        self.configuration = {"ClusterName": "ours", "AccountingStorageEnforce": "limits"} | configuration
        self.rows: dict[str, list[dict[str, str]]] = {"user": [], "assoc": [], "qos": []}
        self.deaf: tuple[str, ...] = ()
        self.noise = ""

    def add(self, kind: str, **row: str) -> None:
        self.rows[kind].append(row)

    def __call__(self, *command: str) -> str:
        if command[0] in self.deaf:
            raise QueueError(f"{command[0]}: no")
        if command == ("scontrol", "show", "config"):
            return "Configuration data\n" + "".join(f"{key} = {value}\n" for key, value in self.configuration.items())
        *said, kind = command[:5]
        assert said == ["sacctmgr", "-n", "-P", "show"]
        *wheres, form = (word.split("=") for word in command[5:])
        found = [row for row in self.rows[kind] if all(row.get(name) == value for name, value in wheres)]
        noise = self.noise if "," in form[1] else ""
        return noise + "".join("|".join(row.get(name, "") for name in form[1].split(",")) + "\n" for row in found)


def of_cluster(answers: Answers, monkeypatch: pytest.MonkeyPatch, **profile: object) -> Limits:
    monkeypatch.setattr("slurm.queue.asked", answers)
    monkeypatch.setattr("slurm.limits.getuser", lambda: "me")
    monkeypatch.setattr("shutil.which", lambda name: f"/usr/bin/{name}")
    return limits_of_cluster(profile_of(profile, ""))


def shared() -> Answers:
    """I have two accounts, the second is my usual one; others have limits too, and so has another cluster."""
    answers = Answers()
    answers.add("user", user="you", DefaultAccount="side")
    answers.add("user", user="me", DefaultAccount="lab")
    answers.add("assoc", user="you", cluster="ours", Account="lab", MaxSubmitJobs="1", QOS="fast")
    answers.add("assoc", user="me", cluster="theirs", Account="lab", MaxSubmitJobs="2", QOS="fast")
    answers.add("assoc", user="me", cluster="ours", Account="side", MaxSubmitJobs="3", QOS="fast")
    answers.add("assoc", user="me", cluster="ours", Account="lab", MaxSubmitJobs="4", QOS="normal,fast")
    answers.add("qos", Name="normal", MaxSubmitJobsPU="5")
    answers.add("qos", Name="free")
    answers.add("qos", Name="fast", MaxSubmitJobsPU="6")
    return answers


SIDE = Limit("MaxSubmitJobs of account side", 3, account="side")
LAB = Limit("MaxSubmitJobs of account lab", 4, account="lab", is_default=True)
NORMAL = Limit("MaxSubmitJobsPerUser of QOS normal", 5, qos="normal", is_default=True)
FAST = Limit("MaxSubmitJobsPerUser of QOS fast", 6, qos="fast")


@pytest.mark.parametrize("enforced", ["limits", "safe", "all", "associations,limits,qos"])
def test_accounts_limit_where_that_is_enforced(enforced: str, monkeypatch: pytest.MonkeyPatch) -> None:
    answers = shared()
    answers.configuration["AccountingStorageEnforce"] = enforced
    assert of_cluster(answers, monkeypatch) == Limits(1001, (SIDE, LAB, NORMAL, FAST))


@pytest.mark.parametrize("enforced", ["none", "associations", "associations,qos,wckeys", None])
def test_accounts_limit_nothing_elsewhere(enforced: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    answers = shared()
    answers.configuration["AccountingStorageEnforce"] = enforced
    if enforced is None:
        del answers.configuration["AccountingStorageEnforce"]
    assert of_cluster(answers, monkeypatch) == Limits(1001)


@pytest.mark.parametrize(
    ("association", "default"),
    [
        ({"QOS": "normal,fast"}, "normal"),
        ({"QOS": "fast"}, "fast"),
        ({"QOS": ""}, "normal"),
        ({"QOS": "normal,fast", "DefaultQOS": "fast"}, "fast"),
        ({"QOS": "fast", "DefaultQOS": "normal"}, "normal"),
    ],
)
def test_the_qos_of_jobs_that_name_none(
    association: dict[str, str], default: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The association's own default, else the only one that it may have, else Slurm's."""
    answers = shared()
    answers.rows["assoc"][-1] |= {"DefaultQOS": ""} | association
    found = of_cluster(answers, monkeypatch)
    assert {limit.qos: limit.is_default for limit in found.of_jobs if limit.qos} == {
        name: name == default for name in ("normal", "fast")
    }


def test_lines_that_are_no_rows_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = shared()
    answers.noise = "sacctmgr: warning\n"
    assert of_cluster(answers, monkeypatch).of_jobs == (SIDE, LAB, NORMAL, FAST)


def test_a_user_without_an_account(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = shared()
    answers.rows["user"].clear()
    assert of_cluster(answers, monkeypatch).of_jobs == (SIDE, replace(LAB, is_default=False), NORMAL, FAST)
    answers.rows["assoc"].clear()
    answers.add("assoc", user="me", cluster="ours", Account="", MaxSubmitJobs="")
    assert of_cluster(answers, monkeypatch).of_jobs == (NORMAL, FAST)


def test_accounts_that_cannot_be_asked_limit_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = shared()
    answers.deaf = ("sacctmgr",)
    assert of_cluster(answers, monkeypatch) == Limits(1001)
    monkeypatch.setattr("shutil.which", lambda name: None)
    asked: list[str] = []
    monkeypatch.setattr("slurm.queue.asked", lambda *command: asked.append(command[0]) or shared()(*command))
    assert limits_of_cluster(profile_of({}, "")) == Limits(1001)
    assert asked == ["scontrol"]


def test_a_submit_limit_is_instead_of_what_accounts_say(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = shared()
    answers.configuration["MaxJobCount"] = 10_000
    most = Limit("MaxJobCount of the cluster, less one,", 9_999, ended_too=True)
    assert of_cluster(answers, monkeypatch, submit_limit=7).of_jobs == (Limit("submit_limit", 7), most)
    assert of_cluster(answers, monkeypatch).of_jobs == (SIDE, LAB, NORMAL, FAST, most)


@pytest.mark.parametrize(
    ("of_profile", "of_slurm", "size"),
    [(None, None, 1001), (None, 5, 5), (3, 5, 3), (7, 5, 5), (None, 0, 0), (3, 0, 0), (2000, None, 1001), (3, None, 3)],
)
def test_arrays_are_no_larger_than_either_says(
    of_profile: int | None, of_slurm: int | None, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = {} if of_profile is None else {"max_array_size": of_profile}
    answers = Answers() if of_slurm is None else Answers(MaxArraySize=of_slurm)
    assert of_cluster(answers, monkeypatch, **said).array_size == size
    if of_slurm is None:
        assert limits_of_profile(profile_of(said, "")).array_size == size, "where no cluster is asked"


def test_a_cluster_without_a_largest_number_of_jobs(monkeypatch: pytest.MonkeyPatch) -> None:
    assert of_cluster(Answers(MaxJobCount="UNLIMITED"), monkeypatch).of_jobs == ()


def test_a_limit_cuts_several_arrays_and_counts_runs_not_jobs() -> None:
    profile = profile_of({}, "")
    runs = [Run("mini", "mini-m2d2", "SAM", seed) for seed in range(12)]
    pairs = arrays_of(runs, profile, pack=2, max_array_size=2)
    assert [len(array.tasks) for array in pairs] == [2, 2, 2]
    limit = Limit("few", 4)
    kept, left_out = within(pairs, [limit], iter([Entry("1_0", "PENDING", "", "", "")]))
    assert [len(array.tasks) for array in kept] == [2, 1]
    assert left_out == {limit: 2 + 4}
    # Two limits, and a queue that can be looked at once.
    other = Limit("other", 5)
    kept, left_out = within(pairs, [other, limit], iter([Entry("1_0", "PENDING", "", "", "")]))
    assert [len(array.tasks) for array in kept] == [2, 1]
    assert left_out == {limit: 6}
