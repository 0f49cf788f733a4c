"""What a profile may say, and what is answered to what it may not."""

from pathlib import Path

import pytest

from benchmarks.record import Run
from slurm.plan import need_of
from slurm.profile import EXAMPLES, Profile, ProfileError, profile_of, read_profile

RUN = Run("mini", "mini-m2d2", "TRAM-x", 0)


def written(tmp_path: Path, text: str) -> str:
    path = tmp_path / "site.yaml"
    path.write_text(text)
    return str(path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("partitoin: gpu", "no key 'partitoin'; the nearest is 'partition'"),
        ("gpu-style: gres", "no key 'gpu-style'; the nearest is 'gpu_style'"),
        ("benchmarks: {xnli: {tme: '1:00:00'}}", "no key 'benchmarks.xnli.tme'; the nearest is 'time'"),
        ("benchmarks: {xnli: {setup: [a]}}", "no key 'benchmarks.xnli.setup'; the nearest is"),
        ("benchmarks: {xnl: {cpus: 2}}", "benchmarks: no 'xnl'; the nearest is 'xnli'"),
        ("methods: {TRAMx: {cpus: 2}}", "methods: no method 'TRAMx'; the nearest is 'TRAM-x'"),
        ("gpu_style: gpu", "gpu_style: input should be 'gres', 'gpus' or 'gpus-per-task'"),
        ("time: 1h", "time: '1h' is no time as Slurm writes it"),
        ("time: 1:00:00", "time: is the number 3600: YAML reads an unquoted 1:00:00 as that. Put it in quotes: "),
        ("time: 1:00:00", '"01:00:00", or "3600" for minutes'),
        ("time: 10:00:00", "unquoted 10:00:00"),
        ("benchmarks: {xnli: {time: 36:00:00}}", 'benchmarks.xnli.time: is the number 129600'),
        ("mem: 64GB", "mem: '64GB' is no amount of memory"),
        ("cpus: 0", "cpus: input should be greater than 0"),
        ("cpus: many", "cpus: input should be a valid integer"),
        ("setup: module load cuda", "setup: is to be a list of lines, each behind a dash"),
        ("export: HF_TOKEN", "export: is to be a list of names"),
        ("mem: 1G\ncpus: 2\nmem: 2G", "'mem' stands twice, again in line 3; keep one"),
        ("benchmarks:\n  xnli: {cpus: 1}\n  xnli: {mem: 1G}", "'xnli' stands twice, again in line 3"),
        ("options: {nice: '1', nice: '2'}", "'nice' stands twice"),
        ("options: {mem: 1G}", ": options: 'mem' is not for `options`: use the key `mem`"),
        ("benchmarks: {xnli: {options: {export: ALL}}}", "benchmarks.xnli.options: 'export' is not for `options`"),
        ("methods: {SAM: {options: {array: 1-3}}}", "methods.SAM.options: 'array' is not for `options`"),
        ("options: {no-such-thing-at-all: '1'}", "sbatch has no 'no-such-thing-at-all'; `man sbatch` shows all"),
        ("options: {exclud: n7}", "options: sbatch has no 'exclud'; the nearest is 'exclude'"),
        ("options: {partitoin: gpu}", "nearest is 'partition', which is not for `options`: use the key `partition`"),
        ("setup: ['a\\n#SBATCH --account=b']", ""),
        ('setup: ["a\\nb"]', "setup.0: is to be one line"),
        ("export: ['A=secret']", "export.0: string should match pattern"),
        ("options: {Time: '1'}", "options.Time"),
        ("- a", "is to be a list of `key: value`"),
        ("a: [", "is not YAML"),
        ("timeouts: -1", "timeouts: input should be greater than or equal to 0"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named(tmp_path: Path, text: str, message: str) -> None:
    name = written(tmp_path, text)
    if not message:
        assert read_profile(name).setup == ("a\\n#SBATCH --account=b",), "a single-quoted backslash is none"
        return
    with pytest.raises(ProfileError) as caught:
        read_profile(name)
    assert str(caught.value).startswith(f"{name}: ")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_times_that_yaml_leaves_alone(tmp_path: Path) -> None:
    for text in ("time: 01:00:00", 'time: "1:00:00"', "time: 2-12:00:00", 'time: "60"'):
        assert read_profile(written(tmp_path, text)).time is not None


def test_a_key_of_several_benchmarks_and_of_an_anchor_stands_once_in_each(tmp_path: Path) -> None:
    text = "benchmarks:\n  xnli: &small {cpus: 1, mem: 1G}\n  vision: {<<: *small, cpus: 2}\n"
    profile = read_profile(written(tmp_path, text))
    assert [(name, said.cpus, said.mem) for name, said in profile.benchmarks.items()] == [
        ("xnli", 1, "1G"),
        ("vision", 2, "1G"),
    ]


def test_a_profile_that_is_not_there() -> None:
    with pytest.raises(ProfileError, match="the nearest example is 'gpu-gres'"):
        read_profile("gpu-gress")
    with pytest.raises(ProfileError, match="no profile 'nowhere"):
        read_profile("nowhere.yaml")


def test_an_empty_file_is_a_profile(tmp_path: Path) -> None:
    assert read_profile(written(tmp_path, "# nothing yet\n")) == Profile()


@pytest.mark.parametrize("example", sorted(path.stem for path in EXAMPLES.glob("*.yaml")))
def test_examples_are_valid_and_say_something(example: str) -> None:
    assert read_profile(example).model_fields_set


def test_examples_show_every_way_to_ask_for_gpus() -> None:
    styles = {read_profile(path.stem).gpu_style for path in EXAMPLES.glob("*.yaml")}
    assert styles == {"gres", "gpus", "gpus-per-task"}


def test_a_method_wins_over_a_benchmark_and_a_benchmark_over_its_family() -> None:
    profile = profile_of(
        {
            "cpus": 1,
            "mem": "1G",
            "partition": "all",
            "time": "10",
            "options": {"exclude": "n1", "nice": "5"},
            "benchmarks": {"m2d2": {"cpus": 2, "mem": "2G", "time": "20"}, "m2d2-wiki": {"mem": "3G", "time": "30"}},
            "methods": {
                "TRAM-x": {"time": "40", "qos": "a", "options": {"nice": "7"}},
                "TRAM-x@std=0.03": {"partition": "long", "qos": "b"},
            },
        },
        "site.yaml",
    )
    settings = profile.settings(Run("paper", "m2d2-wiki", "TRAM-x@std=0.03", 0))
    assert (settings.cpus, settings.mem, settings.time, settings.partition) == (2, "3G", "40", "long")
    assert settings.options == {"exclude": "n1", "nice": "7"}
    assert settings.qos == "b"
    other = profile.settings(Run("paper", "xnli", "SAM", 0))
    assert (other.cpus, other.mem, other.time, other.partition) == (1, "1G", "10", "all")


def test_settings_reach_the_need() -> None:
    need = need_of(RUN, profile_of({"time": "00:05:00", "mem": "2G", "cpus": 3, "qos": "short"}, "site.yaml"))
    assert (need.seconds, need.memory, need.cpus, need.qos, need.gpus) == (300, 2048, 3, "short", 0)
