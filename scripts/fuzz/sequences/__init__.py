"""Sequences of API calls, right ones and wrong ones, from several renderers; a model says what each must do."""
