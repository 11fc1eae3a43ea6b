"""The conversation as a WebSocket endpoint that clients of OpenAI's Realtime API can talk to (docs/realtime.md)."""
