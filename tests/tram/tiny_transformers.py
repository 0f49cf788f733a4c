"""Models of transformers, each kind in its smallest size: the same weights at every call, for tokens below 17."""

from typing import Any

import torch
from transformers import (
    BartConfig,
    BartForConditionalGeneration,
    GPT2Config,
    GPT2LMHeadModel,
    T5Config,
    T5ForConditionalGeneration,
    XLMRobertaConfig,
    XLMRobertaForSequenceClassification,
)

TOKENS: dict[str, Any] = {"vocab_size": 17, "bos_token_id": 0}


def classifier() -> XLMRobertaForSequenceClassification:
    """An encoder, of three classes."""
    torch.manual_seed(0)
    return XLMRobertaForSequenceClassification(
        XLMRobertaConfig(
            **TOKENS,
            hidden_size=8,
            num_hidden_layers=1,
            num_attention_heads=2,
            intermediate_size=8,
            max_position_embeddings=12,
            num_labels=3,
            hidden_dropout_prob=0.0,
            attention_probs_dropout_prob=0.0,
        )
    )


def language_model(dropout: float = 0.1) -> GPT2LMHeadModel:
    """A decoder, whose head is tied to its embedding."""
    torch.manual_seed(0)
    dropouts = dict.fromkeys(("resid_pdrop", "embd_pdrop", "attn_pdrop"), dropout)
    return GPT2LMHeadModel(
        GPT2Config(**TOKENS, **dropouts, n_positions=8, n_embd=8, n_layer=1, n_head=2, eos_token_id=0)
    )


def t5() -> T5ForConditionalGeneration:
    torch.manual_seed(0)
    return T5ForConditionalGeneration(
        T5Config(
            vocab_size=17,
            d_model=8,
            d_kv=4,
            d_ff=8,
            num_layers=1,
            num_heads=2,
            dropout_rate=0.0,
            decoder_start_token_id=0,
        )
    )


def bart() -> BartForConditionalGeneration:
    torch.manual_seed(0)
    layers = {"layers": 1, "attention_heads": 2, "ffn_dim": 8}
    sides = {f"{side}_{what}": size for side in ("encoder", "decoder") for what, size in layers.items()}
    dropouts = dict.fromkeys(("dropout", "attention_dropout", "activation_dropout"), 0.0)
    return BartForConditionalGeneration(
        BartConfig(**TOKENS, **sides, **dropouts, d_model=8, max_position_embeddings=8, decoder_start_token_id=0)
    )
