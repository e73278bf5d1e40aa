package ring

import "slices"

// A point is one place of a node on the circle of 32-bit hashes: the place above
// and the node's rank below. So points sort by place, and where two nodes share
// one, the lower rank comes first and owns it.
type point uint64

func newPoint(place uint32, rank int) point { return point(place)<<32 | point(rank) }

func (p point) place() uint32 { return uint32(p >> 32) }
func (p point) rank() uint32  { return uint32(p) }

// sortPoints sorts points that come in the order of their ranks. It is a radix
// sort, 11 bits at a time: 1,000 nodes have two million points, and comparing
// those would take most of the time of New.
func sortPoints(points []point) {
	const digits = 1 << 11
	from, to := points, make([]point, len(points))
	for _, shift := range [...]int{32, 43, 54} {
		var next [digits]int // how many points have this digit, then where the next of them goes
		for _, p := range from {
			next[p>>shift%digits]++
		}
		sum := 0
		for digit, count := range &next {
			next[digit] = sum
			sum += count
		}
		for _, p := range from {
			digit := p >> shift % digits
			to[next[digit]] = p
			next[digit]++
		}
		from, to = to, from
	}
	copy(points, from)
}

// A line is 64 bytes, what one access to memory brings: 16 words in four groups.
type line [4][4]uint32

const (
	linePoints = 15 // the most that a line holds, beside its last word
	lineMean   = 9  // points per line on average: few words are unused, few lines overflow
)

func (l *line) word(i int) *uint32 { return &l[i/4%4][i%4] }

// overflows reports whether the line's points go on in spill.
func (l *line) overflows() bool { return l[3][3] == 0 }

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
// Words that a line does not need have the greatest position and the rank of the
// next point on the circle; the last word is always one of these. In a line with
// too many points it is 0 instead, and they go on in spill, down to such an end
// word, with the line number as their upper half.
type table struct {
	lines []line
	spill []uint64 // sorted
	ranks uint32   // mask of the rank in a word
}

// newTable builds the table of the points of n nodes, which are sorted. There is
// at least one point.
func newTable(points []point, n int) table {
	var t table
	for t.ranks < uint32(n-1) {
		t.ranks = t.ranks<<1 | 1
	}
	t.lines = make([]line, max(len(points)/lineMean, int(t.ranks)+1))
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
	for i := range linePoints + 1 {
		*line.word(i) = end
	}
	for i, p := range points[:min(len(points), linePoints)] {
		*line.word(i) = t.word(t.at(p.place())) | p.rank()
	}
	if len(points) <= linePoints {
		return
	}
	*line.word(linePoints) = 0
	t.spill = append(t.spill, uint64(l)<<32|uint64(end))
	for _, p := range slices.Backward(points[linePoints:]) {
		t.spill = append(t.spill, uint64(l)<<32|uint64(t.word(t.at(p.place()))|p.rank()))
	}
}

// at returns the line of hash in its upper half and the position in its lower.
func (t *table) at(hash uint32) uint64 { return uint64(hash) * uint64(len(t.lines)) }

// word returns the least word at a position: that of rank 0.
func (t *table) word(at uint64) uint32 { return uint32(at) &^ t.ranks }

// owner returns the rank of the node that owns hash.
//
// It finds the group and then the word by counting those before hash, without
// branches: they could not be predicted, and a wrong guess costs more than all
// comparisons. The masks only show the compiler that no index is out of range.
func (t *table) owner(hash uint32) uint32 {
	at := t.at(hash)
	line, word := &t.lines[at>>32], t.word(at)
	group := &line[(less(line[0][3], word)+less(line[1][3], word)+less(line[2][3], word))&3]
	found := group[(less(group[0], word)+less(group[1], word)+less(group[2], word))&3]
	if found < word { // only if the line overflows, whose last word is 0
		found = uint32(t.spilled(at)[0])
	}
	return found & t.ranks
}

// less returns 1 if a < b, else 0. The compiler makes no branch of it.
func less(a, b uint32) uint32 { return uint32((uint64(a) - uint64(b)) >> 63) }

// spilled returns spill from the first point on that is not before at.
func (t *table) spilled(at uint64) []uint64 {
	i, _ := slices.BinarySearch(t.spill, at&^uint64(t.ranks))
	return t.spill[i:]
}

// walk visits the points from hash on, once around the circle, until visit
// returns false, and reports whether it did not. It visits a node at least once
// for each of its points.
func (t *table) walk(hash uint32, visit func(rank uint32) (goOn bool)) bool {
	at := t.at(hash)
	for range len(t.lines) + 1 { // the first line again, for what is before hash
		line := &t.lines[at>>32]
		for i := range linePoints {
			if word := *line.word(i); word >= t.word(at) && !visit(word&t.ranks) {
				return false
			}
		}
		if line.overflows() && !t.walkSpill(at, visit) {
			return false
		}
		at = (at>>32 + 1) % uint64(len(t.lines)) << 32
	}
	return true
}

// walkSpill visits what the line of at has spilled, from at on.
func (t *table) walkSpill(at uint64, visit func(rank uint32) (goOn bool)) bool {
	for _, p := range t.spilled(at) {
		if p>>32 != at>>32 {
			break
		}
		if !visit(uint32(p) & t.ranks) {
			return false
		}
	}
	return true
}
