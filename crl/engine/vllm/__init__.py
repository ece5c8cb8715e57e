"""vLLM behind `crl.engine.protocol`: in this process, or as OpenAI-compatible servers. See docs/vllm.md."""
