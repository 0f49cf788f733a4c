"""Times and amounts of memory as Slurm writes them."""

import re

_TIME = re.compile(r"(?:(?P<days>\d+)-)?(?P<rest>\d+(?::\d+){0,2})")
_MEMORY = re.compile(r"(\d+)([KMGT]?)")
_MEBIBYTES = {"K": 1 / 1024, "": 1, "M": 1, "G": 1024, "T": 1024**2}


def seconds_in(text: str) -> int:
    """Of `minutes`, `minutes:seconds`, `hours:minutes:seconds`, `days-hours`, `days-hours:minutes` or
    `days-hours:minutes:seconds`. Raises ValueError for anything else, and for no time at all."""
    match = _TIME.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"{text!r} is no time as Slurm writes it: 30 (minutes), 12:00:00 or 2-12:00:00")
    parts = [int(part) for part in match["rest"].split(":")]
    if match["days"] is not None:
        hours, minutes, seconds = (*parts, 0, 0)[:3]
        total = ((int(match["days"]) * 24 + hours) * 60 + minutes) * 60 + seconds
    elif len(parts) == 3:
        total = (parts[0] * 60 + parts[1]) * 60 + parts[2]
    else:
        total = parts[0] * 60 + (parts[1] if len(parts) == 2 else 0)
    if total == 0:
        raise ValueError(f"{text!r} is no time at all")
    return total


def time_text(seconds: int) -> str:
    """`hours:minutes:seconds`, with `days-` in front where there are any: the one way that is never ambiguous."""
    days, rest = divmod(seconds, 86_400)
    clock = f"{rest // 3600:02d}:{rest // 60 % 60:02d}:{rest % 60:02d}"
    return f"{days}-{clock}" if days else clock


def mebibytes_in(text: str) -> int:
    """Of `4096`, `512M`, `64G` or `1T`. Raises ValueError for anything else."""
    match = _MEMORY.fullmatch(text.strip())
    if match is None or int(match[1]) == 0:
        raise ValueError(f"{text!r} is no amount of memory as Slurm writes it: 4096 (MiB), 512M or 64G")
    return max(1, round(int(match[1]) * _MEBIBYTES[match[2]]))


def memory_text(mebibytes: int) -> str:
    return f"{mebibytes // 1024}G" if mebibytes % 1024 == 0 else f"{mebibytes}M"
