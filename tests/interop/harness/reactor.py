"""pynetdicom's own thread, and how it is kept from what others wait for. Whoever sends a request pauses it, and believes
it paused a moment too early: it then takes the first response, when the server is quick, and the request seems to have no
answer ("Received unexpected C-FIND service message"). Here a pause begins when the thread really waits."""

import threading

from pynetdicom.association import Association

# A thread that has ended never waits.
PATIENCE_S = 5


class Checkpoint(threading.Event):
    """The event that the thread passes in each round."""

    def __init__(self, association):
        super().__init__()
        self.association = association
        self.waits = False
        self.changed = threading.Condition()

    def note(self, waits):
        with self.changed:
            self.waits = waits
            self.changed.notify_all()

    def wait(self, timeout=None):
        while not self.is_set():
            self.note(True)
            super().wait(timeout)
            self.note(False)
        return True

    def clear(self):
        super().clear()
        # What a handler sends, it sends on this very thread.
        if threading.current_thread() is self.association or not self.association.is_alive():
            return
        with self.changed:
            self.changed.wait_for(lambda: self.waits or self.is_set() or not self.association.is_alive(), PATIENCE_S)


def mend():
    """For all associations that are made from now on."""
    begin = Association.__init__

    def __init__(self, *args, **keywords):
        begin(self, *args, **keywords)
        self._reactor_checkpoint = Checkpoint(self)
        self._reactor_checkpoint.set()

    Association.__init__ = __init__
