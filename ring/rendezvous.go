package ring

import (
	"cmp"
	"encoding/binary"
	"math/bits"
	"slices"
	"unicode/utf8"
)

// candidates are the nodes of a Rendezvous ring by rank, which is the reverse
// order of their names: of equal scores the first is the one pymemcache takes.
type candidates []candidate

// candidate is what every score of a node begins with: the text "name-", hashed
// as far as it fills blocks.
type candidate struct {
	hash  uint32
	tail  [blockSize - 1]byte // what is left, at the end of the array
	left  int                 // its length
	total int                 // length of the whole text
}

func newCandidates(nodes []namedNode) candidates {
	cs := make(candidates, len(nodes))
	for i, n := range nodes {
		c, text := &cs[i], pythonBytes(nil, n.name+"-")
		c.total, c.left = len(text), len(text)%blockSize
		c.hash, text = murmurBlocks(0, text)
		copy(c.tail[len(c.tail)-c.left:], text)
	}
	return cs
}

// pymemcacheName is how pymemcache writes a server: host and port, without
// brackets, or the path of a socket.
func pymemcacheName(a address) string {
	if a.isSocket() {
		return a.host
	}
	return a.host + ":" + a.port
}

// score returns the candidate's murmur3 of "name-key". text has the key's bytes
// after room for a tail.
func (c *candidate) score(text []byte) uint32 {
	total := c.total + len(text) - len(c.tail)
	copy(text, c.tail[:])
	hash, rest := murmurBlocks(c.hash, text[len(c.tail)-c.left:])
	return murmurEnd(hash, rest, total)
}

// best returns the rank of the highest score.
func (cs candidates) best(key string) int {
	var buf [blockSize - 1 + 256]byte // no allocation for keys that memcached takes
	text := pythonBytes(buf[:blockSize-1], key)
	best, bestScore := 0, cs[0].score(text)
	for i := range cs[1:] {
		if score := cs[i+1].score(text); score > bestScore {
			best, bestScore = i+1, score
		}
	}
	return best
}

// order returns the ranks by falling score.
func (cs candidates) order(key string) []int {
	text := pythonBytes(make([]byte, blockSize-1, blockSize-1+len(key)), key)
	scores := make([]uint32, len(cs))
	ranks := make([]int, len(cs))
	for i := range cs {
		scores[i], ranks[i] = cs[i].score(text), i
	}
	slices.SortStableFunc(ranks, func(a, b int) int { return cmp.Compare(scores[b], scores[a]) })
	return ranks
}

// pythonBytes appends what pymemcache's murmur3 sees of a string: the low byte
// of every character. Bytes that are not UTF-8 stay as they are, as under
// Python's surrogateescape.
func pythonBytes(dst []byte, s string) []byte {
	for len(s) > 0 {
		r, size := utf8.DecodeRuneInString(s)
		if r == utf8.RuneError && size == 1 {
			r = rune(s[0])
		}
		dst = append(dst, byte(r))
		s = s[size:]
	}
	return dst
}

// MurmurHash3_x86_32 by Austin Appleby, in two parts.

const (
	blockSize = 4
	murmurC1  = 0xcc9e2d51
	murmurC2  = 0x1b873593
)

// murmurBlocks hashes all whole blocks of text and returns the rest.
func murmurBlocks(hash uint32, text []byte) (uint32, []byte) {
	for ; len(text) >= blockSize; text = text[blockSize:] {
		k := binary.LittleEndian.Uint32(text) * murmurC1
		hash ^= bits.RotateLeft32(k, 15) * murmurC2
		hash = bits.RotateLeft32(hash, 13)*5 + 0xe6546b64
	}
	return hash, text
}

// murmurEnd hashes the rest, at most three bytes, and the length of the whole.
func murmurEnd(hash uint32, rest []byte, total int) uint32 {
	var k uint32
	for i, b := range rest {
		k |= uint32(b) << (8 * i)
	}
	hash ^= bits.RotateLeft32(k*murmurC1, 15) * murmurC2
	hash ^= uint32(total)
	hash = (hash ^ hash>>16) * 0x85ebca6b
	hash = (hash ^ hash>>13) * 0xc2b2ae35
	return hash ^ hash>>16
}
