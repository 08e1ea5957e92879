"""The words of OpenAI's API and of vendors' metrics, in one place."""
