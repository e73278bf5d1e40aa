package ring

import "slices"

// A point is one place of a node on the circle of 32-bit hashes: the place above
// and the node's rank below. So points sort by place, and where two nodes share
// one, the lower rank comes first and owns it.
type point uint64

func newPoint(place uint32, rank int) point { return point(place)<<32 | point(rank) }

func (p point) place() uint32 { return uint32(p >> 32) }
func (p point) rank() uint32  { return uint32(p) }

const (
	lineWords = 16 // 64 bytes, what one access to memory brings
	lineMean  = 9  // points per line: lines are well used, and 2 % of them overflow
)

// table finds the owner of a hash: the node of the first point at or after it.
//
// A lookup among the points of 1,000 nodes costs what its accesses to memory
// cost, and among those of 10 what its mispredicted branches cost. Here it takes
// one access, and no branch depends on the hash: the circle is cut into lines of
// equal length, which hold their points in order and are searched by arithmetic.
//
// A hash times the number of lines is a line number (upper half) and a position
// in that line (lower half). A word is the position of a point with its low bits
// replaced by the rank. That keeps the order, because the positions of different
// places differ by at least the number of lines, and ranks are no more than that.
//
// Unused words of a line are at its end, in position and in order, and have the
// rank of the next point on the circle. If a line has 16 points or more, those
// beyond the 16th and one such end word go to spill, with the line number as
// their upper half.
type table struct {
	lines [][lineWords]uint32
	spill []uint64 // sorted
	ranks uint32   // mask of the rank in a word
}

// newTable builds the table of the points of n nodes. There is at least one
// point. It sorts points.
func newTable(points []point, n int) table {
	slices.Sort(points)
	var t table
	for t.ranks < uint32(n-1) {
		t.ranks = t.ranks<<1 | 1
	}
	t.lines = make([][lineWords]uint32, max(len(points)/lineMean, int(t.ranks)+1))
	// From the last line to the first, because the end of a line needs the first
	// point after it; after the last line that is the first point of all.
	next := points[0].rank()
	for l := len(t.lines) - 1; l >= 0; l-- {
		start := len(points)
		for start > 0 && t.at(points[start-1].place())>>32 == uint64(l) {
			start--
		}
		t.fill(l, points[start:], next)
		if start < len(points) {
			next = points[start].rank()
		}
		points = points[:start]
	}
	slices.Reverse(t.spill)
	return t
}

// fill writes line l, and what it spills in reverse order.
func (t *table) fill(l int, points []point, next uint32) {
	line := &t.lines[l]
	end := ^t.ranks | next
	for i := range line {
		line[i] = end
	}
	for i, p := range points[:min(len(points), lineWords)] {
		line[i] = t.word(t.at(p.place())) | p.rank()
	}
	if len(points) < lineWords {
		return
	}
	t.spill = append(t.spill, uint64(l)<<32|uint64(end))
	for _, p := range slices.Backward(points[lineWords:]) {
		t.spill = append(t.spill, uint64(l)<<32|uint64(t.word(t.at(p.place()))|p.rank()))
	}
}

// at returns the line of hash in its upper half and the position in its lower.
func (t *table) at(hash uint32) uint64 { return uint64(hash) * uint64(len(t.lines)) }

// word returns the least word at a position: that of rank 0.
func (t *table) word(at uint64) uint32 { return uint32(at) &^ t.ranks }

// owner returns the rank of the node that owns hash.
func (t *table) owner(hash uint32) uint32 {
	at := t.at(hash)
	line, word := &t.lines[at>>32], t.word(at)
	if i := search(line, word); line[i] >= word {
		return line[i] & t.ranks
	}
	return uint32(t.spill[t.searchSpill(at)]) & t.ranks
}

// search returns the index of the first word of line that is not less than word,
// or the last index. It is a binary search without branches: which way it goes
// cannot be predicted, and a wrong guess would cost more than the four steps.
// The masks only tell the compiler that no index is out of range.
func search(line *[lineWords]uint32, word uint32) uint32 {
	i := less(line[7], word) << 3
	i += less(line[(i+3)%lineWords], word) << 2
	i += less(line[(i+1)%lineWords], word) << 1
	i += less(line[i%lineWords], word)
	return i % lineWords
}

// less returns 1 if a < b, else 0. The compiler makes no branch of it.
func less(a, b uint32) uint32 { return uint32((uint64(a) - uint64(b)) >> 63) }

// searchSpill returns the index in spill of the first point not before at.
func (t *table) searchSpill(at uint64) int {
	i, _ := slices.BinarySearch(t.spill, at&^uint64(t.ranks))
	return i
}

// walk visits the points from hash on, once around the circle, until visit
// returns false, and reports whether it did not. It may visit a point twice.
func (t *table) walk(hash uint32, visit func(rank uint32) (goOn bool)) bool {
	at := t.at(hash)
	first := int(at >> 32)
	from := search(&t.lines[first], t.word(at))
	if t.lines[first][from] < t.word(at) {
		from = lineWords
	}
	spill := t.searchSpill(at)
	for i := range len(t.lines) + 1 {
		l := (first + i) % len(t.lines)
		for _, word := range t.lines[l][from:] {
			if !visit(word & t.ranks) {
				return false
			}
		}
		from = 0
		for ; spill < len(t.spill) && t.spill[spill]>>32 == uint64(l); spill++ {
			if !visit(uint32(t.spill[spill]) & t.ranks) {
				return false
			}
		}
		if spill == len(t.spill) {
			spill = 0
		}
	}
	return true
}
