"""Writers of small repositories in exactly the layout of the hub's, below the root of a `tests.hub.Hub`."""

import io
import random
import tarfile
from collections.abc import Iterable, Mapping
from pathlib import Path

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers

M2D2 = "datasets/machelreid/m2d2"
MEMBERS = {"train": "train.txt", "validation": "valid.txt", "test": "test.txt"}
END_OF_TEXT = "<|endoftext|>"

SCRIPT = 'raise RuntimeError("this script must never run")\n'
_ENGLISH = (
    "a all and any are as at be but by can do for from has how if in is it of on proof that the theorem to we with"
)
WORDS = [*_ENGLISH.split(), "été", "naïve", "Ωmega", "数学"]


def write_m2d2(
    root: Path,
    configs: Iterable[str],
    *,
    model: str = "openai-community/gpt2",
    train_lines: int = 400,
    other_lines: int = 60,
    positions: int = 64,
    vocabulary: int = 400,
) -> None:
    """The data set with an archive for each config, and a random GPT-2 with a tokenizer of its own.

    Every line names its config and its split, one in seven is blank; validation and test end and begin in the middle
    of a letter, as the corpus's do.
    """
    folder = root / M2D2
    for config in configs:
        write_archive(folder / "data" / f"{config}.tar.gz", m2d2_members(config, train_lines, other_lines))
    (folder / "m2d2.py").write_text(SCRIPT)
    (folder / "README.md").write_text("---\nlicense: cc-by-nc-4.0\n---\n")
    write_gpt2(root / "models" / model, positions=positions, vocabulary=vocabulary)


def m2d2_members(config: str, train_lines: int, other_lines: int) -> dict[str, bytes]:
    """The files of one archive by name, test first."""
    test = text(f"{config} test", other_lines)
    return {
        f"{config}/{MEMBERS['test']}": "é".encode()[1:] + test,
        f"{config}/{MEMBERS['train']}": text(f"{config} train", train_lines),
        f"{config}/{MEMBERS['validation']}": text(f"{config} validation", other_lines) + "é".encode()[:1],
    }


def text(name: str, lines: int) -> bytes:
    """So many lines, each of which begins with `name` unless it is blank."""
    words = random.Random(name)
    rows = [
        "" if number % 7 == 3 else f"{name} {number}: {' '.join(words.choices(WORDS, k=words.randint(3, 20)))}."
        for number in range(lines)
    ]
    return "".join(f"{row}\n" for row in rows).encode()


def write_archive(path: Path, members: Mapping[str, bytes | tarfile.TarInfo]) -> None:
    """A tar.gz with these files in this order; a TarInfo is an entry without content."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w:gz") as archive:
        for name, content in members.items():
            entry = content if isinstance(content, tarfile.TarInfo) else tarfile.TarInfo(name)
            if isinstance(content, bytes):
                entry.size = len(content)
                archive.addfile(entry, io.BytesIO(content))
            else:
                archive.addfile(entry)


def byte_level_tokenizer(vocabulary: int = 400) -> Tokenizer:
    """GPT-2's kind of tokenizer: byte-level byte-pair encoding, trained on `text`, the end of a text the last entry."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=vocabulary - 1, initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator([text("to train", 200).decode() + "\n\n \n" * 20], trainer)
    tokenizer.add_special_tokens([END_OF_TEXT])
    return tokenizer


def write_gpt2(folder: Path, *, positions: int = 64, vocabulary: int = 400) -> None:
    """A random GPT-2 of two layers with its tokenizer, as `save_pretrained` writes them."""
    import torch
    from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

    tokenizer = byte_level_tokenizer(vocabulary)
    end = tokenizer.token_to_id(END_OF_TEXT)
    config = GPT2Config(
        vocab_size=vocabulary,
        n_positions=positions,
        n_embd=32,
        n_layer=2,
        n_head=2,
        bos_token_id=end,
        eos_token_id=end,
        initializer_range=0.2,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        GPT2LMHeadModel(config).save_pretrained(folder)
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token=END_OF_TEXT, eos_token=END_OF_TEXT, unk_token=END_OF_TEXT
    ).save_pretrained(folder)
