"""What a benchmark's data and model are made from, as data: repositories of the Hugging Face hub and what is in them.

A revision is the commit that this project was written against; None where it is not known, and then `prepare` takes
the newest one and the records name it.
"""

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import Literal

Joiner = Literal["newline", "eos", "none"]
"""What stands between two lines of a corpus: a line break, the tokenizer's end-of-text token, nothing."""


@dataclass(frozen=True)
class Repository:
    """A repository of the hub."""

    kind: Literal["dataset", "model"]
    name: str
    revision: str | None = None

    def __str__(self) -> str:
        return self.name if self.revision is None else f"{self.name}@{self.revision[:12]}"


@dataclass(frozen=True)
class M2D2Source:
    """Corpora with a test split each, one of which is trained on; blocks of tokens of a causal language model.

    `configs` maps each domain, as the tables print it, to its archive `data/<config>.tar.gz`. `trained` are the domains
    whose train and validation splits are prepared too.
    """

    repository: Repository
    model: Repository
    configs: tuple[tuple[str, str], ...]
    trained: tuple[str, ...]
    joiner: Joiner = "newline"
    block: int = 1024
    published_tokens: tuple[tuple[str, float], ...] = ()
    """Tokens of each `domain/split` in the paper's Table 7: what is prepared is shown beside it."""


@dataclass(frozen=True)
class XNLISource:
    """Pairs of sentences in three classes, learned in one language and tested in all.

    `configs` maps each language, as the tables print it, to its folder. Sizes are numbers of examples and are checked.
    `train` is the repository of the English training pairs where it is another one.
    """

    repository: Repository
    model: Repository
    configs: tuple[tuple[str, str], ...]
    train_size: int
    validation_size: int
    test_size: int
    train: Repository | None = None
    max_length: int = 128


@dataclass(frozen=True)
class VisionSource:
    """Labelled images, and the timm model that learns them.

    `train` and `test` name splits of the repository, each with its number of examples, which is checked; several
    training splits are joined. `files` maps each split to a pattern of its parquet files.
    """

    repository: Repository
    model: Repository
    architecture: str
    image_column: str
    label_column: str
    classes: int
    train: tuple[tuple[str, int], ...]
    test: tuple[str, int]
    files: tuple[tuple[str, str], ...]
    noise_site: Literal["patch_embed", "pixels"] = "patch_embed"


Source = M2D2Source | XNLISource | VisionSource


def identity(source: Source) -> str:
    """A digest of all that decides what a run trains on and is tested on; the paper's counts do not."""
    fields = {name: value for name, value in asdict(source).items() if name != "published_tokens"}
    return hashlib.sha256(json.dumps(fields, sort_keys=True).encode()).hexdigest()[:16]
