package ring

import "strconv"

// walkPoints is Walk for the strategies that have points: clockwise from the
// key, each node when its first point comes.
func (r *Ring) walkPoints(key string, yield func(Node) bool) {
	seen := make([]uint64, (len(r.ranked)+63)/64) // a bit per rank
	left := len(r.ranked)
	visit := func(rank uint32) (goOn bool) {
		word, bit := &seen[rank/64], uint64(1)<<(rank%64)
		if *word&bit != 0 {
			return true
		}
		*word |= bit
		left--
		return yield(r.ranked[rank]) && left > 0
	}
	hash := r.strategy.hash(key)
	if r.strategy == KetamaSpy && !r.retry(key, hash, visit) {
		return
	}
	if !r.points.walk(hash, visit) {
		return
	}
	for rank := range r.ranked { // those whose weight is too small for a point
		if !visit(uint32(rank)) {
			return
		}
	}
}

// spyTries is how many places spymemcached tries.
const spyTries = 7

// retry visits the nodes that spymemcached tries for a key (KetamaIterator): the
// owner, and those of places that it reaches by adding hashes of the key with the
// number of the try before it. It reports whether to go on.
func (r *Ring) retry(key string, hash uint32, visit func(rank uint32) bool) bool {
	for try := range spyTries {
		if !visit(r.points.owner(hash)) {
			return false
		}
		hash += md5Key(strconv.Itoa(try) + key)
	}
	return true
}
