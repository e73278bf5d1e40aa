package memcachetest

import (
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/seed99545744/msm/internal/memcached"
)

// binaryCommand returns one command of the binary protocol that does not end the
// connection, and a noop behind it.
func (v vocabulary) binaryCommand() string {
	be := binary.BigEndian
	key := v.pick("a", "b", "c", "n", "m", "x y", strings.Repeat("k", 250))
	exptime := be.AppendUint32(nil, []uint32{0, 0, 100, 2592000, 2592001, 0xffffffff}[v.IntN(6)])
	opcodes := []byte{0x00, 0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x08, 0x09, 0x0c, 0x0d, 0x0e, 0x0f, 0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0x18, 0x19, 0x1a, 0x1b, 0x1c, 0x1d, 0x1e, 0x23, 0x24}
	opcode := opcodes[v.IntN(len(opcodes))]
	l := layoutOf(opcode)
	var extras, value string
	switch {
	case l.op == opIncrement || l.op == opDecrement:
		extras = string(append(be.AppendUint64(be.AppendUint64(nil, []uint64{0, 1, 7, 1 << 63}[v.IntN(4)]), []uint64{0, 5, 1<<64 - 1}[v.IntN(3)]), exptime...))
	case l.op == opFlush:
		extras = v.pick("", "\x00\x00\x00\x00")
	case l.extras == 8:
		extras = string(append(be.AppendUint32(nil, []uint32{0, 7, 1<<32 - 1}[v.IntN(3)]), exptime...))
	case l.extras == 4:
		extras = string(exptime)
	}
	if l.key == none {
		key = ""
	}
	if l.value == may {
		value = v.value()
	}
	b := []byte(packet(opcode, key, extras, value))
	if v.IntN(4) == 0 {
		be.PutUint64(b[16:], uint64(v.IntN(200)))
	}
	return string(b) + packet(0x0a, "", "", "")
}

// TestDifferential for the binary protocol.
func TestBinaryDifferential(t *testing.T) {
	for seed := range uint64(10) {
		ok := t.Run(fmt.Sprint(seed), func(t *testing.T) {
			real := dialTCP(t, memcached.StartVersion(t, version, "-o", "no_lru_maintainer").Addr())
			fake := dial(t, start(t, Config{Network: new(Network)}))
			v := vocabulary{rand.New(rand.NewPCG(seed, 6))}
			var history []string
			for range 500 {
				cmd := v.binaryCommand()
				if history = append(history, cmd); len(history) > 10 {
					history = history[1:]
				}
				want, got := binaryReply(t, real, cmd), binaryReply(t, fake, cmd)
				if got != want {
					t.Fatalf("after %s:\ngot  %q\nwant %q, as memcached says", short(history), got, want)
				}
			}
		})
		if !ok {
			break
		}
	}
}

// binaryReply sends commands and returns the packets up to that of the noop.
func binaryReply(t *testing.T, c *client, cmd string) string {
	t.Helper()
	if _, err := io.WriteString(c.nc, cmd); err != nil {
		t.Fatalf("%q: %v", cmd, err)
	}
	var all []byte
	for {
		head := make([]byte, headerSize)
		if _, err := io.ReadFull(c.r, head); err != nil {
			t.Fatalf("%q: %v after %q", cmd, err, all)
		}
		body := make([]byte, binary.BigEndian.Uint32(head[8:]))
		if _, err := io.ReadFull(c.r, body); err != nil {
			t.Fatalf("%q: %v after %q", cmd, err, all)
		}
		all = append(append(all, head...), body...)
		if head[1] == 0x0a {
			return string(all)
		}
	}
}
