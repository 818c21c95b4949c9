"""The API of OpenAI: chats, completions, embeddings."""
