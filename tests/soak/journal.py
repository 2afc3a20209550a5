"""What writers of the soak said of their work (tests/soak/soak_writer.c has the lines), and what a table must hold by it."""
import os

ROWS_MAX = 20


def rows_of(batch):
	return 1 + batch % ROWS_MAX


class Journal:
	"""done: operations that happened, in order; open: the one that may be happening, or None. `say` adds lines."""

	def __init__(self, path):
		self.path, self.done, self.open, self.retries, self.next = path, [], None, 0, 0
		if not os.path.exists(path):
			return
		text = open(path).read()
		for line in text[:text.rfind("\n") + 1].splitlines():  # a line that is being written is not there yet
			words = line.split()
			if words[0] == "BEGIN":
				self.open = (words[2], int(words[3]))
				self.next = int(words[1]) + 1
			elif words[0] == "RETRY":
				self.retries += 1
			else:
				if words[0] == "DONE":
					self.done.append(self.open)
				self.open = None

	def say(self, *words):
		with open(self.path, "a") as file:
			file.write(" ".join(map(str, words)) + "\n")

	def states(self):
		"""Batch -> its version after each operation on it, -1 for one that is gone; the first entry is before it came."""
		states = {}
		for op, batch in self.done:
			known = states.setdefault(batch, [-1])
			known.append(-1 if op == "delete" else known[-1] + 1)
		return states

	def alive(self):
		return {batch: known[-1] for batch, known in self.states().items() if known[-1] >= 0}

	def bumps(self):
		return sum(op == "bump" for op, _ in self.done)


def after_open(journal):
	"""As if what is open had happened."""
	later = Journal(os.devnull)
	later.done = journal.done + ([journal.open] if journal.open else [])
	return later


def expected(tally, before, after):
	"""What is wrong with [writer, batch, version, rows, different rows]..., by the journals from before the version was opened and after;
	None where nothing is."""
	found = {}
	for writer, batch, version, count, distinct in tally:
		if (writer, batch) in found:
			return "batch %d of writer %s is there with versions %d and %d" % (batch, writer, found[writer, batch], version)
		found[writer, batch] = version
		due = 1 if writer == "shared" else rows_of(batch)
		if count != due or distinct != due:
			return "batch %d of writer %s has %d rows, %d of them different, instead of %d" % (batch, writer, count, distinct, due)
	low = sum(journal.bumps() for journal in before.values())
	high = sum(after_open(journal).bumps() for journal in after.values())
	if not low <= found.pop(("shared", 0), -1) <= high:
		return "the shared row is not at one of %d to %d, what the writers counted to: an update is lost" % (low, high)
	for writer, journal in after.items():
		states, known = after_open(journal).states(), before[writer].states()
		for batch, versions in states.items():
			allowed = versions[len(known.get(batch, [-1])) - 1:]
			version = found.pop((writer, batch), -1)
			if version not in allowed:
				return "batch %d of writer %s has version %d, its writer committed %s (-1: not there)" % (batch, writer, version, allowed)
	if found:
		return "rows that nobody committed, or that were deleted: %s" % sorted(found.items())[:5]
	return None
