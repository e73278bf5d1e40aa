package ring

import "hash/crc32"

// gomemcacheKey is how much of a key gomemcache hashes. No valid key is longer.
const gomemcacheKey = 256

// crcKey is the place of a key for gomemcache: its CRC-32 (IEEE). It is computed
// here since crc32.ChecksumIEEE takes bytes, and would allocate for a string.
func crcKey(key string) uint32 {
	crc := ^uint32(0)
	for i := range min(len(key), gomemcacheKey) {
		crc = crc32.IEEETable[byte(crc)^key[i]] ^ crc>>8
	}
	return ^crc
}
