"""Labelled examples from parquet files of the hub: checked on the way into one Arrow file, which is read from disk."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import datasets
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from benchmarks.errors import DataError

_ARROW = "examples.arrow"


@dataclass(frozen=True)
class Wanted:
    """What the parquet files of one split have to hold: `columns` of a kind, a class for each example, and how many.

    `classes` is the number of classes or, where their order matters, their names.
    """

    name: str
    """Of the split, for messages: `<repository> <split>`."""
    columns: tuple[str, ...]
    is_kind: Callable[[pa.DataType], bool]
    kind: str
    label: str
    classes: int | tuple[str, ...]
    examples: int

    @property
    def class_count(self) -> int:
        return self.classes if isinstance(self.classes, int) else len(self.classes)


def batches(files: Sequence[Path], wanted: Wanted, rows: int) -> Iterator[tuple[int, pa.RecordBatch]]:
    """(number of the first row, at most `rows` rows) in order, of the wanted columns and the label.

    Schemas and the number of examples are checked before the first batch, labels on the way. Raises DataError.
    """
    opened = [_opened(path, wanted) for path in files]
    found = sum(file.metadata.num_rows for file in opened)
    if found != wanted.examples:
        raise DataError(
            f"{wanted.name}: holds {found:,} examples, not {wanted.examples:,}. It is another data set or another "
            "version: correct the repository, its revision or the size in the benchmark's row."
        )
    first = 0
    for file in opened:
        for batch in file.iter_batches(rows, columns=[*wanted.columns, wanted.label]):
            _check_labels(batch.column(wanted.label), first, wanted)
            yield first, batch
            first += len(batch)


def write(batches: Iterable[pa.RecordBatch], schema: pa.Schema, folder: Path) -> None:
    with pa.OSFile(str(folder / _ARROW), "wb") as file, pa.ipc.new_stream(file, schema) as writer:
        for batch in batches:
            writer.write_batch(batch)


def read(folder: Path) -> Any:
    """The `datasets.Dataset` of what `write` left in a folder, mapped into memory page by page."""
    return datasets.Dataset.from_file(str(folder / _ARROW))


def _opened(path: Path, wanted: Wanted) -> pq.ParquetFile:
    """A file whose columns are the wanted ones; raises DataError."""
    try:
        file = pq.ParquetFile(path)
    except pa.ArrowInvalid as error:
        raise DataError(
            f"{wanted.name}: {path.name} is not a whole parquet file. Delete {path} and prepare again."
        ) from error
    schema = file.schema_arrow
    for column in (*wanted.columns, wanted.label):
        if column not in schema.names:
            raise DataError(
                f"{wanted.name}: there is no column {column!r}, only {', '.join(schema.names)}. "
                "Correct the column or the repository in the benchmark's row."
            )
    for column in wanted.columns:
        if not wanted.is_kind(schema.field(column).type):
            raise DataError(
                f"{wanted.name}: column {column!r} is {schema.field(column).type}, not {wanted.kind}. "
                "Correct the column or the repository in the benchmark's row."
            )
    if not pa.types.is_integer(schema.field(wanted.label).type):
        raise DataError(
            f"{wanted.name}: column {wanted.label!r} is {schema.field(wanted.label).type}, not the number of a class. "
            "Correct the column or the repository in the benchmark's row."
        )
    _check_class_names(schema, wanted)
    return file


def _check_class_names(schema: pa.Schema, wanted: Wanted) -> None:
    """The names of the classes, where the file has them, are the wanted ones."""
    feature = datasets.Features.from_arrow_schema(schema)[wanted.label]
    if not isinstance(feature, datasets.ClassLabel):
        return
    correct = "Correct the classes or the repository in the benchmark's row."
    if isinstance(wanted.classes, tuple) and tuple(feature.names) != wanted.classes:
        raise DataError(
            f"{wanted.name}: its classes are {', '.join(feature.names)}, not {', '.join(wanted.classes)}, in this "
            "order. Name a repository that numbers them so."
        )
    if len(feature.names) != wanted.class_count:
        raise DataError(f"{wanted.name}: has {len(feature.names)} classes, not {wanted.class_count}. {correct}")


def _check_labels(labels: pa.Array, first: int, wanted: Wanted) -> None:
    inside = pc.and_(pc.greater_equal(labels, 0), pc.less(labels, wanted.class_count))
    outside = pc.indices_nonzero(pc.invert(pc.fill_null(inside, False)))
    if len(outside):
        row = outside[0].as_py()
        raise DataError(
            f"{wanted.name}: row {first + row} has the label {labels[row].as_py()}, and labels go from 0 to "
            f"{wanted.class_count - 1}. Name a repository or a revision without such rows."
        )
