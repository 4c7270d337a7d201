"""Statistics of reader studies: ROC and MRMC, agreement, order effects, rank comparison."""
