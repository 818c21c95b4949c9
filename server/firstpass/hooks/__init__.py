"""Git hooks that ask a running server: a draft of the commit's message, and a summary of what is pushed.

`script` has the files that git runs, `placing` puts them there and takes them away, `message` knows the form of git's
message file, `asking` asks within a time, `running` joins them. None of them ever stops a commit or a push.
"""
