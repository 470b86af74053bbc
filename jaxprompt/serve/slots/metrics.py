"""What the server counts: vLLM's metrics, by the names jaxprompt:... instead."""

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
)

_LABELS = ("model_name", "prompt")
_SECONDS = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0)
_TOKENS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000)


class Metrics:
    """Counts what happens; no text is among it. Any thread may use it.

    Source: the names and labels are those of vLLM's docs/usage/metrics.md.
    """

    def __init__(self, model: str):
        """Starts at 0.

        Args:
            model: The model's name, a label of every metric.
        """
        self._model = model
        self._registry = registry = CollectorRegistry()

        def counter(name: str, text: str, *labels: str) -> Counter:
            labels = ("model_name", *labels)
            return Counter(f"jaxprompt:{name}", text, labels, registry=registry)

        def gauge(name: str, text: str) -> Gauge:
            found = Gauge(f"jaxprompt:{name}", text, ["model_name"], registry=registry)
            return found.labels(model)

        def histogram(name: str, text: str, buckets: tuple[float, ...]) -> Histogram:
            return Histogram(
                f"jaxprompt:{name}", text, _LABELS, buckets=buckets, registry=registry
            )

        self._running = gauge("num_requests_running", "Answers that have a slot.")
        self._waiting = gauge("num_requests_waiting", "Answers that wait for one.")
        self._slots_busy = gauge("slots_busy", "Slots in use.")
        self._prompts = gauge("prompts_loaded", "Prompts that can be asked.")
        self._compiles = gauge("compiles_total", "Programs compiled since the start.")
        self._read = counter("prompt_tokens", "Tokens of texts.", "prompt")
        self._written = counter("generation_tokens", "Tokens of answers.", "prompt")
        self._success = counter(
            "request_success", "Answers that ended.", "prompt", "finished_reason"
        )
        self._refused = counter("request_refused", "Requests refused.", "status")
        self._text_sizes = histogram(
            "request_prompt_tokens", "Tokens of each text.", _TOKENS
        )
        self._first = histogram(
            "time_to_first_token_seconds", "From a request to its token.", _SECONDS
        )
        self._next = histogram(
            "inter_token_latency_seconds", "From a token to the next.", _SECONDS
        )
        self._whole = histogram(
            "e2e_request_latency_seconds", "From a request to its end.", _SECONDS
        )
        self._queued = histogram(
            "request_queue_time_seconds", "From a request to its slot.", _SECONDS
        )
        self._iteration = Histogram(
            "jaxprompt:iteration_tokens_total",
            "Tokens of each step.",
            ["model_name"],
            buckets=_TOKENS,
            registry=registry,
        ).labels(model)

    def load(self, running: int, waiting: int) -> None:
        """Says how many answers have a slot, and how many wait."""
        self._running.set(running)
        self._slots_busy.set(running)
        self._waiting.set(waiting)

    def prompts(self, count: int) -> None:
        """Says how many prompts are loaded."""
        self._prompts.set(count)

    def compiled(self, count: int) -> None:
        """Says how many programs were compiled."""
        self._compiles.set(count)

    def admitted(self, prompt: str, tokens: int, waited: float) -> None:
        """Counts an answer that got a slot after so many seconds."""
        self._read.labels(self._model, prompt).inc(tokens)
        self._text_sizes.labels(self._model, prompt).observe(tokens)
        self._queued.labels(self._model, prompt).observe(waited)

    def first_token(self, prompt: str, seconds: float) -> None:
        """Counts the first token of an answer."""
        self._written.labels(self._model, prompt).inc()
        self._first.labels(self._model, prompt).observe(seconds)

    def next_token(self, prompt: str, seconds: float) -> None:
        """Counts a later one."""
        self._written.labels(self._model, prompt).inc()
        self._next.labels(self._model, prompt).observe(seconds)

    def stepped(self, tokens: int) -> None:
        """Counts a step of the engine."""
        self._iteration.observe(tokens)

    def finished(self, prompt: str, reason: str, seconds: float) -> None:
        """Counts the end of an answer."""
        self._success.labels(self._model, prompt, reason).inc()
        self._whole.labels(self._model, prompt).observe(seconds)

    def refused(self, status: int) -> None:
        """Counts a request that was refused."""
        self._refused.labels(self._model, str(status)).inc()

    def text(self) -> bytes:
        """Writes all metrics as Prometheus reads them."""
        return generate_latest(self._registry)
