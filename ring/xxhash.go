package ring

import (
	"fmt"
	"strconv"

	"github.com/cespare/xxhash/v2"
)

const (
	// pointPairs is half the points of a node of weight 1. 3,000 points keep the
	// share of a node within 1.8 % of what it should be (one standard deviation:
	// 1/√3000); 1,000 nodes take 21 MB.
	pointPairs = 1500

	// maxWeight bounds the sum of the weights, and by that the memory: each unit
	// takes about 20 KB, all of them 190 MB.
	maxWeight = 10_000
)

func xxhashKey(key string) uint32 { return uint32(xxhash.Sum64String(key)) }

// xxhashPoints returns the points of an XXHash ring. They are the halves of the
// 64-bit xxhash of "id-0", "id-1" and so on, and depend on nothing but the
// node's own id and weight: that is why a change of one node moves no key
// between the others.
func xxhashPoints(ranked []Node) ([]point, error) {
	total := 0
	for _, n := range ranked {
		total += n.weight()
		if n.Weight > maxWeight || total > maxWeight {
			return nil, fmt.Errorf("ring: the weights sum to more than %d; divide them all by a common factor, only their ratio counts", maxWeight)
		}
	}
	points := make([]point, 0, 2*pointPairs*total)
	var name []byte
	for rank, n := range ranked {
		name = append(append(name[:0], n.ID...), '-')
		for i := range pointPairs * n.weight() {
			sum := xxhash.Sum64(strconv.AppendInt(name, int64(i), 10))
			points = append(points, newPoint(uint32(sum), rank), newPoint(uint32(sum>>32), rank))
		}
	}
	return points, nil
}
