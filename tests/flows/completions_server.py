"""A small real server of completions for tests: our transformers engine behind the HTTP calls that vLLM's server has.

    python -m tests.flows.completions_server PORT CONTEXT_TOKENS HOLD ROLE=FOLDER...

It is no vLLM: it starts in seconds, serves each role under its own path (http://host:port/actor), and while the file HOLD
exists every completion waits, so that a test can do something in mid-round.
"""

import asyncio
import sys
from pathlib import Path

import uvicorn
from safetensors.torch import load_file
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Mount, Route

from crl.engine.protocol import Sampling
from crl.engine.transformers import TransformersEngine
from crl.models.chat import ChatFormat
from crl.models.resolve import load_model, stops_of


class Served:
    """One model."""

    def __init__(self, folder: str, context_tokens: int, hold: Path) -> None:
        model, tokenizer = load_model(folder)
        self.context_tokens, self.hold, self.waiting, self.asked = context_tokens, hold, 0, 0
        end_ids = ChatFormat(tokenizer, stops_of(model)).end_ids
        self.engine = TransformersEngine(
            model, tokenizer, end_ids=end_ids, max_sessions=64, context_tokens=context_tokens, turnstile=None
        )

    async def health(self, _: Request) -> JSONResponse:
        return JSONResponse({"waiting": self.waiting, "version": self.engine.version})

    async def models(self, _: Request) -> JSONResponse:
        return JSONResponse({"data": [{"max_model_len": self.context_tokens}]})

    async def complete(self, request: Request) -> JSONResponse:
        body = await request.json()
        self.waiting += 1
        try:
            while self.hold.exists():
                await asyncio.sleep(0.05)
        finally:
            self.waiting -= 1
        self.asked += 1
        sampling = Sampling(
            body["temperature"],
            body["top_p"],
            max(0, body["top_k"]),
            body["max_tokens"],
            tuple(body["stop"]),
            body["seed"],
        )
        async with self.engine.session(str(self.asked)) as session:
            made = await session.generate(tuple(body["prompt"]), sampling, str(self.asked))
        logprobs = {"token_logprobs": made.logprobs}
        choice = {"token_ids": made.token_ids, "logprobs": logprobs, "finish_reason": made.stop_reason}
        return JSONResponse({"choices": [choice]})

    async def call(self, request: Request) -> JSONResponse:
        body = await request.json()
        if body["method"] == "reload_weights":
            state = load_file(Path(body["kwargs"]["weights_path"]) / "model.safetensors")
            await asyncio.to_thread(self.engine.load_weights, state, self.engine.version + 1)
        return JSONResponse({})

    async def done(self, _: Request) -> JSONResponse:
        return JSONResponse({})  # nothing is cached between requests

    def routes(self) -> list[Route]:
        return [
            Route("/health", self.health),
            Route("/v1/models", self.models),
            Route("/v1/completions", self.complete, methods=["POST"]),
            Route("/collective_rpc", self.call, methods=["POST"]),
            Route("/reset_prefix_cache", self.done, methods=["POST"]),
        ]


def main(port: str, context_tokens: str, hold: str, *models: str) -> None:
    served = {
        role: Served(folder, int(context_tokens), Path(hold)) for role, folder in (m.split("=", 1) for m in models)
    }
    routes = [Mount(f"/{role}", routes=model.routes()) for role, model in served.items()]
    uvicorn.run(Starlette(routes=routes), host="127.0.0.1", port=int(port), log_level="warning", access_log=False)


if __name__ == "__main__":
    main(*sys.argv[1:])
