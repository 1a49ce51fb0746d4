"""The lab's socket: Docker's API, confined to one lab, in the learner's names.

A request's names are resolved within the lab before the engine sees them, what it makes bears the
lab's labels, and answers are told in the learner's names again. Streams pass through unread.
It holds up nobody who means harm: whoever may run containers is root on the engine's machine.
"""
