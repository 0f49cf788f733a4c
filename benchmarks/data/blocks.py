"""Texts as blocks of tokens: tokenised in a stream, stored as Arrow, read from disk page by page."""

import bisect
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import torch
from tokenizers import Tokenizer
from torch import Tensor, nn
from torch.utils.data import Dataset

from benchmarks.errors import DataError
from benchmarks.sources import Joiner
from benchmarks.task import Batch

_BLOCKS_AT_ONCE = 1024
_PIECE_CHARACTERS = 2**15
_LONGEST_PIECE = 2**24
_PIECES_AT_ONCE_CHARACTERS = 2**22


def pieces(rows: Iterable[str], joiner: Joiner, added: tuple[str, ...], name: str) -> Iterator[str]:
    """The texts to tokenise one by one, whose tokens in a row are those of the rows with the joiner between them.

    Where that is a line break, the rows are one string, of which a piece is a part. It ends only before a line break
    that a character follows which is no white space: a pre-tokenizer such as GPT-2's, `\\s+(?!\\S)|\\s+`, takes that
    line break for itself whatever stands before it, unless one of the tokenizer's `added` tokens follows, which it
    looks for first. Raises DataError, which calls the text `name`, where there is no such line break for very long.
    """
    if joiner != "newline":
        yield from rows
        return
    piece: list[str] = []
    characters = 0
    for number, row in enumerate(rows):
        if row and characters >= _PIECE_CHARACTERS and not row.startswith(added):
            yield "".join(piece)
            piece, characters = [], 0
        piece.append(f"\n{row}" if number else row)
        characters += len(piece[-1])
        if characters > _LONGEST_PIECE:
            raise DataError(
                f"{name}: more than {_LONGEST_PIECE:,} characters before the end of line {number + 1:,} cannot be "
                "parted. Use another joiner."
            )
    yield "".join(piece)


def token_ids(
    tokenizer: Tokenizer, texts: Iterable[str], separator: Sequence[int], dtype: np.dtype[Any]
) -> Iterator[npt.NDArray[Any]]:
    """The tokens of the texts in a row, `separator` between each two, as arrays of some length.

    Many texts are tokenised at once, on all cores, and few are held in memory.
    """
    between: Sequence[int] = ()
    for group in _groups(texts, _PIECES_AT_ONCE_CHARACTERS):
        ids: list[int] = []
        for encoding in tokenizer.encode_batch_fast(group, add_special_tokens=False):
            ids.extend(between)
            ids.extend(encoding.ids)
            between = separator
        yield np.asarray(ids, dtype=dtype)


def _groups(texts: Iterable[str], characters: int) -> Iterator[list[str]]:
    """Lists of texts of so many characters, or little more, together."""
    group: list[str] = []
    held = 0
    for text in texts:
        group.append(text)
        held += len(text) + 1
        if held >= characters:
            yield group
            group, held = [], 0
    if group:
        yield group


def write_blocks(
    arrays: Iterable[npt.NDArray[Any]], block: int, keep_rest: bool, dtype: np.dtype[Any], path: Path
) -> dict[str, int]:
    """Write the tokens as an Arrow stream of lists, `block` tokens each; how many tokens and blocks there are.

    With `keep_rest` the last list holds what is left; a single token is not kept, as it predicts nothing.
    """
    kind = pa.list_(pa.from_numpy_dtype(dtype))
    schema = pa.schema([("input_ids", kind)])
    rest = np.empty(0, dtype)
    tokens = blocks = 0
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_stream(file, schema) as writer:

        def write(values: npt.NDArray[Any], length: int) -> int:
            offsets = np.arange(0, len(values) + 1, length, dtype=np.int32)
            lists = pa.ListArray.from_arrays(pa.array(offsets), pa.array(values), type=kind)
            writer.write_batch(pa.record_batch([lists], schema))
            return len(lists)

        for array in arrays:
            tokens += len(array)
            rest = np.concatenate([rest, array])
            if len(rest) >= block * _BLOCKS_AT_ONCE:
                whole = len(rest) - len(rest) % block
                blocks += write(rest[:whole], block)
                rest = rest[whole:]
        if whole := len(rest) - len(rest) % block:
            blocks += write(rest[:whole], block)
            rest = rest[whole:]
        if keep_rest and len(rest) > 1:
            blocks += write(rest, len(rest))
    return {"tokens": tokens, "blocks": blocks}


class Blocks(Dataset[Tensor]):
    """Blocks of tokens on disk, mapped into memory: (tokens,) int64 each, the last may be shorter."""

    def __init__(self, path: Path) -> None:
        self._path = path
        with pa.memory_map(str(path)) as file:
            self._columns = pa.ipc.open_stream(file).read_all().column("input_ids").chunks
        self._ends = list(accumulate(map(len, self._columns)))

    def __reduce__(self) -> tuple[type["Blocks"], tuple[Path]]:
        return Blocks, (self._path,)

    def __len__(self) -> int:
        return self._ends[-1] if self._ends else 0

    def __getitem__(self, index: int) -> Tensor:
        if not 0 <= index < len(self):
            raise IndexError(index)
        column = bisect.bisect_right(self._ends, index)
        within = index - (self._ends[column - 1] if column else 0)
        tokens = self._columns[column].slice(within, 1).flatten().to_numpy()
        return torch.from_numpy(tokens.astype(np.int64))


def padded_right(blocks: Sequence[Tensor]) -> Batch:
    """`input_ids` (blocks, tokens of the longest) and, where a block is shorter, `mask`, which is False on padding.

    A causal model looks at nothing to the right, so that padding there needs no attention mask.
    """
    input_ids = nn.utils.rnn.pad_sequence(list(blocks), batch_first=True)
    lengths = torch.tensor([len(block) for block in blocks])
    if bool((lengths == input_ids.shape[1]).all()):
        return {"input_ids": input_ids}
    return {"input_ids": input_ids, "mask": torch.arange(input_ids.shape[1]) < lengths[:, None]}
