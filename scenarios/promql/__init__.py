"""Pure: an evaluator of a stated subset of PromQL over samples in memory; see README.md in this folder."""
