"""What we are measured against. Each is a program of its own that uses its library at its best, and none of our code.

They are told what to do in lines of JSON, so that rounds of theirs and of ours can be interleaved: see `_serving`.
"""
