"""The OpenAI Responses API: its bodies, items, answers and events. It knows no tier and no store."""
