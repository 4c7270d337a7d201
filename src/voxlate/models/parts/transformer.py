"""A pre-norm transformer layer, as in the Vision Transformer (Dosovitskiy et al., ICLR 2021, Figure 1)."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from voxlate.errors import UsageError

EXPANSION = 8
"""Channels of the hidden linear layer per channel of a token, 4096 of 512 in TransBTS."""


class TransformerLayer(nn.Module):
    """Self-attention between all tokens, then two linear layers with GELU, each with a residual connection.

    Args:
        channels: channels of each token.
        heads: number of attention heads.
        dropout: share of activations, and of attention weights, dropped during training.
        attention_dropouts: how often activations are dropped after the attention; the code of TransBTS does so twice.

    Raises:
        UsageError: `MODEL_ARGUMENT` when the channels are not a multiple of the heads.
    """

    def __init__(self, channels: int, heads: int, *, dropout: float, attention_dropouts: int = 1) -> None:
        super().__init__()
        if channels % heads:
            raise UsageError("MODEL_ARGUMENT", f"{channels} channels per token are not a multiple of {heads} heads")
        self.heads, self.dropout, self.attention_dropouts = heads, dropout, attention_dropouts
        self.attention_norm = nn.LayerNorm(channels)
        self.query_key_value = nn.Linear(channels, 3 * channels, bias=False)
        self.project = nn.Linear(channels, channels)
        self.feed_forward = nn.Sequential(
            nn.LayerNorm(channels),
            nn.Linear(channels, EXPANSION * channels),
            nn.GELU(),
            nn.Dropout(dropout),
            nn.Linear(EXPANSION * channels, channels),
            nn.Dropout(dropout),
        )

    def forward(self, tokens: Tensor) -> Tensor:
        """Maps tokens (B, N, channels) to the same shape."""
        attended = self._attend(self.attention_norm(tokens))
        for _ in range(self.attention_dropouts):
            attended = F.dropout(attended, self.dropout, self.training)
        tokens = tokens + attended
        result: Tensor = tokens + self.feed_forward(tokens)
        return result

    def _attend(self, tokens: Tensor) -> Tensor:
        b, n, channels = tokens.shape
        packed = self.query_key_value(tokens).reshape(b, n, 3, self.heads, channels // self.heads)
        query, key, value = packed.permute(2, 0, 3, 1, 4).unbind(0)
        mixed = F.scaled_dot_product_attention(query, key, value, dropout_p=self.dropout if self.training else 0.0)
        projected: Tensor = self.project(mixed.transpose(1, 2).reshape(b, n, channels))
        return projected
