"""Models of transformers, each kind in its smallest size: the same weights at every call, for tokens below 17."""

from typing import Any

import torch
import transformers
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


_GENERATING_TOKENS = {**TOKENS, "eos_token_id": 0, "pad_token_id": 1}
_DECODER = {"d_model": 8, "decoder_layers": 1, "decoder_attention_heads": 2, "decoder_ffn_dim": 8}
_OF_ENCODER_DECODER = {
    **_DECODER,
    "encoder_layers": 1,
    "encoder_attention_heads": 2,
    "encoder_ffn_dim": 8,
    "decoder_start_token_id": 0,
}
_BERT = {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2}
_LLAMA = {**_BERT, "num_key_value_heads": 2}
_GEMMA = {**_GENERATING_TOKENS, **_LLAMA, "head_dim": 4}
_EYE = {**_BERT, "image_size": 4, "patch_size": 2}
_XLM = {"emb_dim": 8, "n_layers": 1, "n_heads": 2}

GENERATING: dict[str, dict[str, Any]] = {
    "GPT2LMHeadModel": {"n_embd": 8, "n_layer": 1, "n_head": 2},
    "LlamaForCausalLM": _LLAMA,
    "BertLMHeadModel": {**_BERT, "is_decoder": True},
    "XLMRobertaForCausalLM": {**_BERT, "is_decoder": True},
    "LlavaForConditionalGeneration": {
        "vision_config": {**_EYE, "model_type": "clip_vision_model"},
        "text_config": {**_GENERATING_TOKENS, **_LLAMA, "model_type": "llama"},
        "image_token_index": 16,
    },
    "Gemma3ForConditionalGeneration": {
        "vision_config": {**_EYE, "model_type": "siglip_vision_model"},
        "text_config": {**_GEMMA, "model_type": "gemma3_text"},
        "mm_tokens_per_image": 4,
    },
    "Qwen2VLForConditionalGeneration": {
        "vision_config": {"embed_dim": 8, "depth": 1, "num_heads": 2, "hidden_size": 8, "patch_size": 2},
        "text_config": {
            **_GENERATING_TOKENS,
            **_LLAMA,
            "rope_scaling": {"type": "mrope", "rope_type": "default", "mrope_section": [1, 1, 0]},
        },
        "vision_start_token_id": 17,
        "image_token_id": 18,
        "video_token_id": 19,
    },
    "T5ForConditionalGeneration": {
        "d_model": 8,
        "d_kv": 4,
        "d_ff": 8,
        "num_layers": 1,
        "num_heads": 2,
        "decoder_start_token_id": 0,
    },
    "BartForConditionalGeneration": _OF_ENCODER_DECODER,
    "T5GemmaForConditionalGeneration": {"encoder": _GEMMA, "decoder": _GEMMA},
    "BartForCausalLM": _OF_ENCODER_DECODER,
    "BigBirdPegasusForCausalLM": {**_OF_ENCODER_DECODER, "attention_type": "original_full"},
    "BlenderbotForCausalLM": _OF_ENCODER_DECODER,
    "BlenderbotSmallForCausalLM": _OF_ENCODER_DECODER,
    "MBartForCausalLM": _OF_ENCODER_DECODER,
    "MarianForCausalLM": _OF_ENCODER_DECODER,
    "MvpForCausalLM": _OF_ENCODER_DECODER,
    "PLBartForCausalLM": _OF_ENCODER_DECODER,
    "PegasusForCausalLM": _OF_ENCODER_DECODER,
    "TrOCRForCausalLM": _DECODER,
    "WhisperForCausalLM": _OF_ENCODER_DECODER,
    "ProphetNetForCausalLM": {
        "hidden_size": 8,
        "num_decoder_layers": 1,
        "num_decoder_attention_heads": 2,
        "decoder_ffn_dim": 8,
        "ngram": 1,
        "eps": 0.0,
    },
    "XLMWithLMHeadModel": _XLM,
    "FlaubertWithLMHeadModel": _XLM,
    "XLNetLMHeadModel": {"d_model": 8, "n_layer": 1, "n_head": 2, "d_inner": 8},
}
"""Classes that predict tokens, with the sizes that make them small."""


def generating(name: str) -> Any:
    torch.manual_seed(0)
    kind = getattr(transformers, name)
    return kind(kind.config_class(**_GENERATING_TOKENS, **GENERATING[name]))
