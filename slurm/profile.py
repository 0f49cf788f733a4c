"""What a site wants to be told, and what its users change: a small YAML file, checked before anything is submitted."""

from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    NonNegativeInt,
    PositiveInt,
    ValidationError,
)

from benchmarks.processes import Parallel
from benchmarks.record import Run
from benchmarks.registry import BENCHMARKS
from benchmarks.row import Precision
from benchmarks.variants import UnknownMethodError, nearest, parse
from slurm.options import refusal
from slurm.units import mebibytes_in, seconds_in, time_text

EXAMPLES = Path(__file__).parent / "profiles"


class ProfileError(Exception):
    """A profile that cannot be used; the message names the file, the key and what to do."""


class _Loader(yaml.SafeLoader):
    """Of YAML that says each key once: the last one would win."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        said: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode):
                if key.value in said:
                    raise ProfileError(f"{key.value!r} stands twice, again in line {key.start_mark.line + 1}; keep one")
                said.add(key.value)
        return super().construct_mapping(node, deep)


def _time(value: Any) -> Any:
    if isinstance(value, int) and not isinstance(value, bool):
        raise ValueError(
            f"is the number {value}: YAML reads an unquoted {_sexagesimal(value)} as that. "
            f'Put it in quotes: "{time_text(value)}", or "{value}" for minutes'
        )
    if isinstance(value, str):
        seconds_in(value)
    return value


def _sexagesimal(value: int) -> str:
    return f"{value // 3600}:{value // 60 % 60:02d}:{value % 60:02d}"


def _memory(value: Any) -> Any:
    text = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
    if isinstance(text, str):
        mebibytes_in(text)
    return text


def _one_line(value: str) -> str:
    if "\n" in value or not value.strip():
        raise ValueError("is to be one line, and not empty")
    return value


Time = Annotated[str, BeforeValidator(_time)]
Memory = Annotated[str, BeforeValidator(_memory)]
Word = Annotated[str, AfterValidator(_one_line)]
Variable = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]
Option = Annotated[str, Field(pattern=r"^[a-z][a-z-]*$")]
GpuStyle = Literal["gres", "gpus", "gpus-per-task"]


class Settings(BaseModel):
    """What may differ between benchmarks and methods. What is unsaid follows from the benchmark's row, or is not asked
    for."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    partition: Word | None = None
    account: Word | None = None
    qos: Word | None = None
    constraint: Word | None = None
    reservation: Word | None = None
    time: Time | None = None
    """Limit of a job."""
    mem: Memory | None = None
    """Of one run, over all of its processes."""
    cpus: PositiveInt | None = None
    """Of one process."""
    gpus: NonNegativeInt | None = None
    """Of one run."""
    processes: PositiveInt | None = None
    """Of one run; as many as GPUs if unsaid."""
    parallel: Parallel = "ddp"
    micro_batches: PositiveInt | None = None
    precision: Precision | None = None
    loaders: NonNegativeInt | None = None
    options: dict[Option, Word | Literal[True]] = {}
    """Other options of sbatch, without their dashes, as `exclude: node7`; `slurm.options` says which are refused."""


class Profile(Settings):
    """Settings of all runs, of some benchmarks and methods, and what holds for the site."""

    gpu_style: GpuStyle = "gres"
    """How the site wants GPUs to be asked for."""
    gpu_type: Word | None = None
    gpus_per_node: PositiveInt = 8
    """The most that one node has: a run with more is spread over several nodes."""
    max_time: Time | None = None
    """The longest limit that the site allows: a longer run goes on in the next one."""
    safety: Annotated[float, Field(gt=0)] = 2.0
    """What the estimated time of a run is multiplied by."""
    setup: tuple[Word, ...] = ()
    """Lines of the batch script before the work begins."""
    export: tuple[Variable, ...] = ()
    """Environment variables that jobs get besides the usual ones."""
    submit_limit: PositiveInt | None = None
    """The most jobs that a user may have in the queue."""
    max_array_size: PositiveInt | None = None
    """Smaller than the cluster's own MaxArraySize, which is asked for."""
    timeouts: NonNegativeInt = 8
    """How often a run may reach its time limit and go on in the next one."""
    benchmarks: dict[str, Settings] = {}
    """Settings by benchmark or family."""
    methods: dict[str, Settings] = {}
    """Settings by method; they win over those of a benchmark."""

    def settings(self, run: Run) -> Settings:
        """Those of one run: the profile's, then its family's, its benchmark's, its method's."""
        found: dict[str, Any] = {name: getattr(self, name) for name in Settings.model_fields}
        base = parse(run.method).base
        for table, names in (
            (self.benchmarks, (BENCHMARKS[run.benchmark].family, run.benchmark)),
            (self.methods, (base, run.method)),
        ):
            for name in dict.fromkeys(names):
                if name in table:
                    said = table[name].model_dump(exclude_unset=True)
                    options = found["options"] | said.pop("options", {})
                    found |= said | {"options": options}
        return Settings(**found)


def read_profile(name: str) -> Profile:
    """The profile in the file `name`, or the example of that name. Raises ProfileError."""
    path = Path(name)
    if not path.suffix and not path.exists():
        path = EXAMPLES / f"{name}.yaml"
    if not path.is_file():
        examples = sorted(item.stem for item in EXAMPLES.glob("*.yaml"))
        raise ProfileError(
            f"no profile {name!r}; the nearest example is {nearest(name, examples)!r}, of {', '.join(examples)}. "
            "Copy one from slurm/profiles/ and adapt it."
        )
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), _Loader)
    except (OSError, UnicodeDecodeError) as error:
        raise ProfileError(f"{path}: cannot be read ({error})") from error
    except ProfileError as error:
        raise ProfileError(f"{path}: {error}") from error
    except yaml.YAMLError as error:
        raise ProfileError(f"{path}: is not YAML: {' '.join(str(error).split())}") from error
    return profile_of(content or {}, str(path))


def profile_of(content: Any, source: str) -> Profile:
    """The profile that `content` describes. Raises ProfileError, naming `source` and the first thing that is wrong."""
    if not isinstance(content, dict):
        raise ProfileError(f"{source}: is to be a list of `key: value`, not {content!r}")
    try:
        profile = Profile.model_validate(content)
    except ValidationError as error:
        raise ProfileError(f"{source}: {_explained(error)}") from error
    _check_options(profile, source)
    for name in profile.benchmarks:
        known = [*BENCHMARKS, *(row.family for row in BENCHMARKS.values())]
        if name not in known:
            raise ProfileError(f"{source}: benchmarks: no {name!r}; the nearest is {nearest(name, known)!r}")
    for name in profile.methods:
        try:
            parse(name)
        except UnknownMethodError as error:
            raise ProfileError(f"{source}: methods: {error}") from error
    return profile


def _check_options(profile: Profile, source: str) -> None:
    where: dict[str, Settings] = {"": profile}
    where |= {f"benchmarks.{name}.": said for name, said in profile.benchmarks.items()}
    where |= {f"methods.{name}.": said for name, said in profile.methods.items()}
    for above, said in where.items():
        for option in said.options:
            if (why := refusal(option)) is not None:
                raise ProfileError(f"{source}: {above}options: {why}")


def _explained(error: ValidationError) -> str:
    first = error.errors()[0]
    *above, key = (str(part) for part in first["loc"])
    where = ".".join((*above, key))
    if first["type"] == "extra_forbidden":
        # Below `benchmarks` and `methods` stand the settings of one of them.
        keys = Settings.model_fields if above else Profile.model_fields
        return f"no key {where!r}; the nearest is {nearest(key, keys)!r}"
    if first["type"] == "tuple_type":
        return f'{where}: is to be a list of {"lines" if key == "setup" else "names"}, each behind a dash ("- ")'
    message = first["msg"].removeprefix("Value error, ")
    return f"{where}: {message[0].lower()}{message[1:]}"
