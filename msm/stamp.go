package msm

// stamp orders the versions of a session: its lower 16 bits count commits, its
// upper 16 bits are the epoch. It is kept in the flags of the stored items, so
// that two copies can be compared without reading their values.
//
// A commit adds 1. A fence starts the next epoch: whoever holds a cookie of it
// is never again shown a copy of an older one. A takeover skips some epochs: it
// is decided without the node that decides otherwise, and outranks whatever
// that one does at the same time. Its epochs are its own: no fence starts one.
type stamp uint32

// epochBits is how far the epoch stands to the left.
const epochBits = 16

// takeoverEpochs bounds how many fences may be under way at the node that a
// takeover passes over.
const takeoverEpochs = 32

// next is the stamp of an ordinary commit.
func (s stamp) next() stamp { return s + 1 }

// fence is the first stamp of the next epoch that is no takeover's.
func (s stamp) fence() stamp {
	next := (s | (1<<epochBits - 1)) + 1
	if next.epoch()%takeoverEpochs == 0 {
		next += 1 << epochBits
	}
	return next
}

// takeover is the first stamp of the next epoch that is a multiple of
// takeoverEpochs.
func (s stamp) takeover() stamp {
	const mask = takeoverEpochs<<epochBits - 1
	return (s | mask) + 1
}

// first tells whether s begins its epoch: it was decided where the epoch before
// was.
func (s stamp) first() bool { return s&(1<<epochBits-1) == 0 }

// before is the last stamp of the epoch before.
func (s stamp) before() stamp { return s>>epochBits<<epochBits - 1 }

// epoch is what the cookie carries.
func (s stamp) epoch() uint16 { return uint16(s >> epochBits) }

// newerThan compares stamps as serial numbers (RFC 1982, section 3.2): they
// may wrap around, as long as no two that meet are half the range apart.
func (s stamp) newerThan(other stamp) bool { return int32(s-other) > 0 }

// reaches tells whether s is of that epoch or a later one.
func (s stamp) reaches(epoch uint16) bool { return int16(s.epoch()-epoch) >= 0 }
