"""One reading of what the wearer said, on its way to an answer: begun at a soft end, heard only if it was the end."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from lorgnette.assistant.live.answer_sound import AnswerSound
from lorgnette.assistant.live.mouth import Heard
from lorgnette.assistant.trace import TurnTrace
from lorgnette.device.frame import Frame
from lorgnette.device.sound import AudioChunk


@dataclass(eq=False, slots=True)
class Draft:
    """Handed from thread to thread: each fills in what it finds out, and looks at `is_stale` before it goes on.

    `asked` is the turn's sound, or the question in writing. Times are monotonic ns.
    """

    turn: int
    revision: int
    asked: AudioChunk | str
    speech_end_ns: int
    speech_start_ns: int | None = None
    wake_ns: int | None = None
    soft_end_ns: int | None = None
    last_partial_ns: int | None = None
    end_of_turn_ns: int | None = None
    transcribe_start_ns: int | None = None
    transcript_ns: int | None = None
    question: str = ""
    log_probability: float = 0.0  # of its words, the transcriber's
    understood: bool = False  # and found to be something that gets an answer
    reply: str = ""  # words that are to be said as they are, in place of an answer
    speech_s: float = 0.0
    over: str = ""  # the answer that was being heard when the wearer began
    picture: Frame | None = None
    answer: AnswerSound = field(default_factory=AnswerSound)
    trace: TurnTrace | None = None
    is_stale: bool = False  # nobody waits for it any more
    is_retracted: bool = False  # it was no turn: the question went on

    @property
    def is_committed(self) -> bool:
        """Whether the turn is over, so that the answer may be heard."""
        return self.end_of_turn_ns is not None

    def record(self, began: str, heard: Heard | None) -> TurnTrace:
        """The turn's trace; `began` is the wall-clock time for a turn that never came to an answer."""
        outcome = "cancelled" if self.is_stale else "failed"
        trace = self.trace or TurnTrace(began, "", outcome, spoken=False, asked_at_ns=self.speech_end_ns)
        return replace(
            trace,
            spoken=isinstance(self.asked, AudioChunk),
            asked_at_ns=self.speech_end_ns,
            capture_at_ns=(self.picture.timestamp_ns or None) if self.picture else None,
            wake_at_ns=self.wake_ns,
            speech_start_at_ns=self.speech_start_ns,
            soft_end_at_ns=self.soft_end_ns,
            last_partial_at_ns=self.last_partial_ns,
            end_of_turn_at_ns=self.end_of_turn_ns,
            transcribe_start_at_ns=self.transcribe_start_ns,
            transcript_at_ns=self.transcript_ns,
            revisions=self.revision,
            played_at_ns=heard.played_at_ns if heard else None,
            playback_end_at_ns=heard.end_at_ns if heard else None,
        )
