"""Calls as rows of LiteLLM's spend log, in its own words."""

import hashlib
import json
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from exporter.demo.history import Call
from exporter.demo.profiles import CLAUDE, DEEPSEEK, EMAIL_CLASSIFY, GEMINI, MODELS

COLUMNS = tuple(
    """
    request_id call_type api_key spend total_tokens prompt_tokens completion_tokens startTime endTime
    request_duration_ms completionStartTime model model_group custom_llm_provider user metadata cache_hit request_tags
    team_id status
    """.split()
)
_PROVIDERS: Mapping[str, str] = {DEEPSEEK: "deepseek", GEMINI: "gemini", CLAUDE: "anthropic"}
_CALL_TYPES: Mapping[str, str] = {EMAIL_CLASSIFY.name: "aresponses", "analytics": "anthropic_messages"}
_ERRORS: Mapping[str, tuple[str, str]] = {
    "timeout": ("Timeout", "408"),
    "rate_limit": ("RateLimitError", "429"),
    "auth": ("AuthenticationError", "401"),
    "context_length": ("ContextWindowExceededError", "400"),
    "content_filter": ("ContentPolicyViolationError", "400"),
    "provider": ("ServiceUnavailableError", "503"),
    "network": ("APIConnectionError", ""),
    "other": ("BadRequestError", "400"),
}
"""For each error class LiteLLM's exception, and its code."""


def call_type(operation: str) -> str:
    """What LiteLLM logs as the call's type, which is the operation there, for an operation of the demo."""
    return _CALL_TYPES.get(operation) or _CALL_TYPES.get(operation.split("-")[0], "acompletion")


def to_row(call: Call) -> tuple[Any, ...]:
    """The row of a call that has ended, in the order of `COLUMNS`. LiteLLM has no NULL where a figure is not known."""
    if call.outcome in {"pending", "running"}:
        raise ValueError("LiteLLM has no rows of calls in progress")
    failed, provider, team = call.outcome != "success", _PROVIDERS[call.model], call.operation.split("-")[0]
    input_tokens, output_tokens = call.input_tokens or 0, call.output_tokens or 0
    # an answer that cost nothing came from the cache
    from_cache = not failed and not call.cost_usd
    first_token = min(call.latency_ms or 0, round(MODELS[call.model].first_token_ms))
    return (
        f"chatcmpl-{call.id}",
        call_type(call.operation),
        hashlib.sha256(f"key of {call.user}".encode()).hexdigest(),
        float(call.cost_usd or 0),
        input_tokens + output_tokens,
        input_tokens,
        output_tokens,
        call.at,
        call.ended_at,
        call.latency_ms or 0,
        call.ended_at if failed else call.at + timedelta(milliseconds=first_token),
        f"{provider}/{call.model}",
        call.model,
        provider,
        "" if call.user is None else str(call.user),
        json.dumps(_metadata(call, team)),
        str(from_cache),
        json.dumps([call.operation]),
        f"team-{team}",
        "failure" if failed else "success",
    )


def _metadata(call: Call, team: str) -> dict[str, Any]:
    known = {"user_api_key_alias": call.operation, "user_api_key_team_alias": team}
    if call.error_class is None:
        return {**known, "status": "success"}
    name, code = _ERRORS[call.error_class]
    error = {"error_class": name, "error_code": code, "error_message": call.error_message}
    return {**known, "status": "failure", "error_information": error}
